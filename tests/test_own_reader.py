"""A data set of the user's own with a reader of its own: one Python file and one YAML file, through every verb."""

import itertools
import json
import shutil
import sys

import numpy as np
import polars
import pytest

import nnrun as package
from nnrun.errors import ConfigError
from nnrun.folders import preprocessing

LINES = '''
"""Lines of `x;y;class`, each number so many units above a base."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nnrun.datasets.base import Data, Dataset, DatasetConfig, DataSpec, Scaling
from nnrun.datasets.reader import Block, Reader
from nnrun.schema import setting


@dataclass(frozen=True)
class LinesConfig(DatasetConfig):
    path: str = setting("known.lines")


@dataclass(frozen=True)
class LinesReader(Reader):
    base: np.ndarray
    separator: str

    def blocks(self, source, size):
        rows = Path(source).read_text().split()
        for start in range(0, len(rows), size):
            yield self.block([row.split(self.separator) for row in rows[start : start + size]])

    def block(self, values):
        part = {"inputs": np.array([row[:2] for row in values], np.float32) - self.base}
        if all(len(row) == 3 for row in values):
            part["targets"] = np.array([row[2] for row in values], np.int32)
        return Block(part, {"line": np.arange(1, len(values) + 1)})


class Lines(Dataset):
    def __init__(self, config: LinesConfig):
        self.config = config

    def spec(self):
        return DataSpec("table", (2,), (), "classification", classes=2)

    def load(self):
        base = np.float32([100, 1 / 3])
        reader = LinesReader(base, ";")
        part = next(reader.blocks(self.config.path, 10**6)).part
        train, val, test = ({n: v[i::3] for n, v in part.items()} for i in range(3))
        scaling = Scaling(train["inputs"].mean(0), train["inputs"].std(0))
        return Data(self.spec(), train, val, test, scaling, reader=reader)
'''
YAML = """\
_target_: {}.Lines
_task_: auto
path: known.lines
seed: 0
limit: null
val_fraction: 0.15
test_fraction: 0.15
scaling: standard
"""
numbers = itertools.count()


def lines(count, seed, labelled):
    rng, rows = np.random.default_rng(seed), []
    for _ in range(count):
        label = int(rng.integers(0, 2))
        x, y = 100 + rng.normal(3 * label, 0.5), rng.normal(0, 0.5)
        rows.append(f"{x:.3f};{y:.3f}" + f";{label}" * labelled)
    return "\n".join([*rows, ""])


def write_data_set(folder, old="", new=""):
    """Writes the data set with one thing replaced by another, under a name that is new each time, and its files."""
    name = f"lines{next(numbers)}"
    assert old in LINES
    (folder / f"{name}.py").write_text(LINES.replace(old, new) if old else LINES)
    (folder / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "dataset" / f"{name}.yaml").write_text(YAML.format(name))
    (folder / "known.lines").write_text(lines(60, 0, labelled=True))
    (folder / "labelled.lines").write_text(lines(30, 1, labelled=True))
    (folder / "new.lines").write_text(lines(30, 1, labelled=False))
    return name


@pytest.fixture(scope="module")
def folder(command, tmp_path_factory):
    """A folder with the data set and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("own")
    name = write_data_set(folder)
    done = command(f"dataset={name}", "training.epochs=20", "hydra.run.dir=run", "debug=tiny", folder=folder)
    assert done.code == 0, done
    return folder


@pytest.fixture
def here(folder, tmp_path):
    """The test's folder with a copy of everything."""
    return shutil.copytree(folder, tmp_path, dirs_exist_ok=True)


def reader_of(here):
    return json.loads((here / "run" / "preprocessing.json").read_text())["reader"]


def test_the_reader_is_kept_by_its_dotted_path_and_reads_new_files_with_trust(nnrun, here):
    kept = reader_of(here)
    assert kept["name"].startswith("lines")
    assert kept["name"].endswith(".LinesReader")
    assert (kept["separator"], kept["base"]) == (";", [100.0, pytest.approx(1 / 3)])
    done = nnrun("predict", "run", "new.lines", "--trust")
    assert done == (0, "30 predictions are in new_predictions.csv\n", "")
    found = polars.read_csv(here / "new_predictions.csv")
    assert found["line"].to_list() == list(range(1, 31))
    assert nnrun("evaluate", "run", "labelled.lines", "--trust").code == 0
    measured = json.loads((here / "run/evaluations/labelled/evaluation.json").read_text())
    labels = [int(line.split(";")[2]) for line in (here / "labelled.lines").read_text().split()]
    right = np.mean([str(label) == str(given) for label, given in zip(labels, found["predicted"], strict=True)])
    assert measured["metrics"]["test/accuracy"] == pytest.approx(right)
    assert measured["examples"] == 30
    assert nnrun("evaluate", "run", "--trust").code == 0
    own = json.loads((here / "run/evaluations/test/evaluation.json").read_text())["metrics"]
    summary = json.loads((here / "run/summary.json").read_text())
    assert own == {n: v for n, v in summary["metrics"].items() if n.startswith("test/")}


def test_python_loads_it_with_trust(here, monkeypatch):
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", list(sys.path))
    model = package.load("run", trust=True)
    assert len(model.predict("new.lines")) == 30
    assert len(model.predict([["103", "0.1"], ["100", "0.2"]])) == 2
    with pytest.raises(ConfigError, match=r"dataset\._target_=lines\d+\.Lines, code outside nnrun, .* with --trust"):
        package.load("run")


@pytest.mark.parametrize(
    "words",
    [("predict", "run", "new.lines"), ("evaluate", "run"), ("evaluate", "run", "labelled.lines"), ("export", "run")],
)
def test_without_trust_one_sentence_says_so(nnrun, here, words):
    done = nnrun(*words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert (
        "code outside nnrun, which is not run from a folder. If the folder is your own, run again with --tr" in done.err
    )


HOSTILE = [
    "os.system",
    "subprocess.Popen",
    "numpy.ndarray",
    "nnrun.datasets.tables.reader.TableReader",
    "pathlib.Path",
    "{}.Lines",
    "{}.Reader",
    "{}.nothing",
    "{}.LinesReader.blocks",
    "{}..LinesReader",
    ".{}.LinesReader",
    "../{}.LinesReader",
    "{}",
    "",
    "pwn.Evil",
    "a.b\n.c",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_other_name_is_imported_whoever_is_trusted(nnrun, here, name):
    own, _, _ = reader_of(here)["name"].partition(".")
    content = json.loads((here / "run/preprocessing.json").read_text())
    content["reader"]["name"] = name.format(own)
    (here / "run/preprocessing.json").write_text(json.dumps(content))
    (here / "pwn").mkdir()
    (here / "pwn" / "pwn.py").write_text("open('pwned', 'w')")
    done = nnrun("predict", "run", "new.lines", "--trust")
    assert (done.code, done.out, done.err.count("\n"), (here / "pwned").exists()) == (2, "", 1, False)
    assert "pwn" not in sys.modules
    assert done.err.startswith("nnrun: run/preprocessing.json names the reader ") or name == "{}.nothing"


def test_a_reader_of_ones_own_is_not_imported_for_a_data_set_of_ours(nnrun, finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    name = write_data_set(tmp_path)
    content = json.loads((tmp_path / "run/preprocessing.json").read_text())
    content["reader"] = {"name": f"{name}.LinesReader", "base": [0.0, 0.0], "separator": ";"}
    (tmp_path / "run/preprocessing.json").write_text(json.dumps(content))
    for trust in ((), ("--trust",)):
        done = nnrun("predict", "run", "new.lines", *trust)
        assert (done.code, name in sys.modules) == (2, False)
        assert f"is damaged or of another version ('{name}.LinesReader')" in done.err


def test_a_reader_whose_file_is_gone_is_told(nnrun, here):
    name, _, _ = reader_of(here)["name"].partition(".")
    (here / f"{name}.py").rename(here / "elsewhere.py")
    done = nnrun("predict", "run", "new.lines", "--trust")
    said = f"names the reader {name}.LinesReader, which is no Reader in a Python file of this folder. Start nnrun where"
    assert (done.code, said in done.err) == (2, True)


def test_an_export_says_that_the_reader_stays_behind(nnrun, here):
    done = nnrun("export", "run", "--trust")
    said = (
        f"It takes the arrays that {reader_of(here)['name']} reads; that class is code of your own and not in the file."
    )
    assert (done.code, said in done.out) == (0, True)
    assert "is code of your own" not in nnrun("export", "run", "--trust", "--format", "safetensors").out


FIELDS = "@dataclass(frozen=True)\nclass LinesReader(Reader):\n    base: np.ndarray\n    separator: str\n"
PLAIN = """\
class LinesReader(Reader):
    def __init__(self, base, separator):
        self.base, self.separator = base, separator
"""
CANNOT_BE_KEPT = [
    (FIELDS, PLAIN, "must be called with a dataclass type or instance"),
    ("    separator: str\n", "    separator: object\n", "object is no part of a preprocessing."),
    ("base = np.float32([100, 1 / 3])", "base = np.array([100, 1 / 3])", "its fields come back as other values"),
    ("    separator: str\n", "    separator: str\n    name: str = 'x'\n", "it has a field called name"),
    (" = LinesReader(", " = type('Made', (LinesReader,), {'__module__': __name__})(", "it is no Reader at the top"),
    ("reader=reader)", "reader=LinesReader(base, np.linalg))", "module is no part of a preprocessing."),
]


@pytest.mark.parametrize(("old", "new", "said"), CANNOT_BE_KEPT)
def test_what_the_file_cannot_hold_is_told_before_training(nnrun, tmp_path, old, new, said):
    name = write_data_set(tmp_path, old, new)
    done = nnrun(f"dataset={name}", "debug=tiny", "hydra.run.dir=run")
    assert (done.code, (tmp_path / "run").exists()) == (2, False), done
    assert done.err.startswith(f"nnrun: The data set's reader {name}."), done.err
    assert said in done.err
    assert "Make it a frozen dataclass in a Python file beside ./conf; its fields may be numbers, strings" in done.err


def test_a_sweep_tells_it_before_its_trials_are_trained_and_keeps_the_winners_reader(nnrun, tmp_path):
    words = ("debug=tiny", "search.trials=null", "optimizer.learning_rate=1e-3,1e-2", "hydra.sweep.dir=sweep")
    name = write_data_set(tmp_path, "base = np.float32([100, 1 / 3])", "base = np.array([100, 1 / 3])")
    done = nnrun("-m", f"dataset={name}", *words)
    assert (done.code, (tmp_path / "sweep").exists()) == (2, False)
    assert f"The data set's reader {name}.LinesReader cannot be kept in preprocessing.json" in done.err
    name = write_data_set(tmp_path)
    assert nnrun("-m", f"dataset={name}", *words).code == 0
    assert nnrun("predict", "sweep/best", "new.lines", "--trust").code == 0


def test_ours_are_kept_by_their_keys():
    assert all(
        preprocessing.schema.locate(path).__name__ == path.rpartition(".")[2] for path in preprocessing.READERS.values()
    )
