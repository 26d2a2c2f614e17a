"""A member of the user's own that does not work: one paragraph with its file and line, before anything is written."""

import dataclasses
import importlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnrun.compose import compatible, compose
from nnrun.config import choices, run_config
from nnrun.errors import ConfigError
from nnrun.schema import key_of
from nnrun.search.base import SearchConfig
from nnrun.sweeps import record as sweep_record
from tests.sweep_folders import record

WIDE = """\
from dataclasses import dataclass
import jax
from flax import nnx
from nnrun.models.base import Model, Outputs
from nnrun.schema import number, size

@dataclass(frozen=True)
class WideConfig:
    width: int = size(8)
    slope: float = number(0.1, least=0)

class Wide(Model):
    kinds = ("table",)

    def __init__(self, config: WideConfig, data, output, *, rngs):
        self.hidden = nnx.Linear(*data.inputs, config.width, rngs=rngs)
        self.head = nnx.Linear(config.width, output.size, rngs=rngs)
        self.slope = config.slope

    def __call__(self, batch, rngs=None, carry=None):
        return Outputs(self.head(self.hidden(batch["inputs"]))), carry
"""
YAML = "_target_: {}.Wide\nwidth: 8\nslope: 0.1\n"
NEXT = "Correct it there; NNRUN_TRACEBACK=1 shows how it was reached."
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
numbers = itertools.count()


@pytest.fixture
def own(tmp_path):
    """Writes a model of the user's own, with one thing replaced by another; its name, new each time."""

    def write(old="", new="", yaml=YAML):
        name = f"wide{next(numbers)}"
        assert old in WIDE
        (tmp_path / f"{name}.py").write_text(WIDE.replace(old, new) if old else WIDE)
        (tmp_path / "conf" / "model").mkdir(parents=True)
        (tmp_path / "conf" / "model" / f"{name}.yaml").write_text(yaml.format(name))
        return name

    return write


@pytest.fixture
def refused(nnrun, own, tmp_path):
    """The sentence for a model with one thing replaced by another, before anything is written."""

    def run(old, new):
        name = own(old, new)
        done = nnrun(f"model={name}", "dataset=iris")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert not (tmp_path / "outputs").exists()
        assert done.err.startswith(f"nnrun: {name}.py, line ")
        return done.err.partition(".py")[2]

    return run


@pytest.mark.parametrize(
    ("yaml", "text"),
    [
        ("_target_: {}.Wide\nwidth 8\n", ", line 2: could not find expected ':'. Every line is written `key: value`"),
        ("_target_: [{}\nwidth: 8\n", ", line 2: expected ',' or ']', but got ':'. Every line is written"),
        ("- a\n", " must hold keys with values, but holds ['a']. Write `key: value` lines."),
    ],
)
@pytest.mark.parametrize("words", [["dataset=iris"], ["--help"]])
def test_a_file_that_is_no_yaml_is_named_with_its_line(nnrun, own, tmp_path, yaml, text, words):
    name = own(yaml=yaml)
    done = nnrun(f"model={name}", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"nnrun: {tmp_path}/conf/model/{name}.yaml{text}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("def __init__(self,", "def __init__(self;", ", line 15: SyntaxError: invalid syntax. "),
        ("import jax\n", "import jaxx\n", ", line 2, `import jaxx`: ModuleNotFoundError: No module named 'jaxx'. "),
        (
            "self.slope = config.slope",
            "self.slope = config.slop",
            ", line 18, `self.slope = config.slop`: AttributeError: 'WideConfig' object has no attribute 'slop'. ",
        ),
        (
            "self.hidden(batch",
            "self.hiden(batch",
            ', line 21, `return Outputs(self.head(self.hiden(batch["inputs"]))), carry`: AttributeError: '
            "'Wide' object has no attribute 'hiden'. ",
        ),
        (
            "config.slope",
            "1 if config.slope > 0 else 0",
            ", line 18, `self.slope = 1 if config.slope > 0 else 0`: TracerBoolConversionError: Attempted boolean ",
        ),
    ],
)
def test_code_that_fails_is_named_with_its_line(refused, old, new, text):
    said = refused(old, new)
    assert said.startswith(text)
    assert said.endswith(f"{NEXT}\n")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            'Outputs(self.head(self.hidden(batch["inputs"]))), carry',
            'self.head(self.hidden(batch["inputs"]))',
            "must return (Outputs, carry), but returned an array (batch, 3). End it with: return Outputs(prediction), "
            "carry",
        ),
        ("))), carry", ")))", "must return (Outputs, carry), but returned Outputs. End it with: return Outputs("),
        (
            "output.size",
            "7",
            "must predict an array (batch, 3), but got an array (batch, 7). The shape that the task needs after the "
            "batch is in output.shape.",
        ),
    ],
)
def test_a_wrong_answer_is_described(refused, old, new, text):
    assert refused(old, new).startswith(f", line 20: Wide.__call__ {text}")


def test_what_fails_in_training_alone_ends_with_1_and_keeps_the_folder(nnrun, own, tmp_path):
    name = own("return Outputs", "assert len(batch['inputs']) == 2, 'of two'; return Outputs")
    done = nnrun(f"model={name}", "dataset=iris", "debug=tiny", "hydra.run.dir=run")
    assert done.code == 1
    assert done.err.startswith(f"nnrun: {name}.py, line 21, `assert len(batch['inputs']) == 2, 'of two'; return ")
    assert done.err.endswith(f"What was computed is in {tmp_path}/run; its run.log has the details.\n")
    assert done.err.count("\n") == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"


def test_what_a_strategys_file_leaves_out_has_its_default(nnrun, tmp_path):
    (tmp_path / "conf" / "search").mkdir(parents=True)
    (tmp_path / "conf" / "search" / "mine.yaml").write_text("_target_: nnrun.search.random.Random\n")
    words = ("-m", "dataset=iris", "search=mine", "training.epochs=1", "seed=range(20)", "hydra.sweep.dir=sweep")
    words = (*words, "report.slow_baselines=false")
    done = nnrun(*words, "search.trials=2")
    where = tmp_path / "conf" / "search" / "mine.yaml"
    text = f"{where} leaves trials out. Write +search.trials=VALUE, or add a line to the file: trials: VALUE"
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")
    assert nnrun(*words, "+search.trials=2").code == 0
    kept = record(tmp_path / "sweep")["search"]
    defaults = {key_of(one): getattr(SearchConfig(), one.name) for one in dataclasses.fields(SearchConfig)}
    defaults["first"] = []
    mine = {"_target_": "nnrun.search.random.Random", "trials": 2, "sequence": "uniform"}
    assert kept == defaults | mine


@pytest.mark.parametrize("sign", ["", "+"])
def test_a_key_that_a_file_leaves_out_can_be_swept(nnrun, tmp_path, monkeypatch, sign):
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "conf" / "optimizer" / "mine.yaml").write_text("_target_: nnrun.optimizers.adam.adam\n")
    monkeypatch.chdir(tmp_path)
    asked = sweep_record.start(["dataset=iris", "optimizer=mine,adam", f"{sign}optimizer.learning_rate=0.1,0.2"], "")
    points = asked.plan.strategy().ask(9)
    rates = [asked.plan.composed(point).plain["optimizer"]["learning_rate"] for point in points]
    assert rates == [0.1, 0.2] * 2
    commands = [asked.command_of(point) for point in points[1:3]]
    assert commands[0] == "nnrun dataset=iris optimizer=mine +optimizer.learning_rate=0.2"
    assert commands[1] == "nnrun dataset=iris optimizer=adam optimizer.learning_rate=0.1"


def test_the_whole_traceback_is_shown_on_request(nnrun, own, monkeypatch):
    monkeypatch.setenv("NNRUN_TRACEBACK", "1")
    assert "jaxx\n" in nnrun(f"model={own('import jax', 'import jaxx')}", "dataset=iris").err


@pytest.mark.parametrize("name", choices.choices("model"))
def test_what_a_network_of_the_users_is_tried_for_holds_for_ours(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    compose.prepare_imports()
    tried = 0
    for dataset in ("iris", "friedman1", "digits", "sine", "cifar10"):
        try:
            (composed,) = compose.compose_all([f"model={name}", f"dataset={dataset}"], False)
            built = run_config.build(composed.plain)
            compatible.check_fit(built)
        except ConfigError:
            continue
        compatible.try_network(built, built.dataset.create().spec())
        tried += 1
    assert tried


STRANGER = "open({!r}, 'w')\n"
SCRIPT = "import sys; from nnrun.__main__ import main; sys.argv[0] = 'nnrun'; main()"


@pytest.mark.parametrize("starts", [["-P", "-c", SCRIPT], ["-m", "nnrun"]], ids=["nnrun", "python -m nnrun"])
def test_nothing_in_the_current_folder_runs_unasked(tmp_path, starts):
    (tmp_path / "conf").mkdir()
    for name in ("hydra_plugins/evil", "jax_plugins/evil", "nnrun_plugins"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(STRANGER.format(str(tmp_path / "pwned")))
    for name in ("jax2onnx", "sklearn", "colorlog", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(STRANGER.format(str(tmp_path / "pwned")))
    words = ["model=mlp", "dataset=iris", "debug=tiny", "hydra.run.dir=run"]
    done = subprocess.run([sys.executable, *starts, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
    assert (done.returncode, (tmp_path / "pwned").exists()) == (0, False), done.stderr


def test_a_member_finds_its_own_modules_and_nobody_elses_do(nnrun, own, tmp_path):
    name = own("import jax\n", "import jax\nfrom beside_me.part import SLOPE\n")
    (tmp_path / "beside_me").mkdir()
    (tmp_path / "beside_me" / "part.py").write_text("from further import SLOPE\n")
    (tmp_path / "further.py").write_text("def late():\n    import late_one\n    return late_one\nSLOPE = 1\n")
    (tmp_path / "late_one.py").touch()
    (tmp_path / "unasked.py").touch()
    assert nnrun(f"model={name}", "dataset=iris", "debug=tiny", "hydra.run.dir=run").code == 0
    assert str(tmp_path) not in sys.path
    assert sys.modules["further"].late().__file__ == str(tmp_path / "late_one.py")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("unasked")
