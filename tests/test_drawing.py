"""The report of a sweep by a process of its own."""

import json
import subprocess
import sys

import pytest

from nnrun.folders.ledger import Ledger
from nnrun.report.sweep.subject import Subject
from nnrun.search.space import Categorical, Interval, Steps, written
from nnrun.search.trial import Trial
from nnrun.sweeps import drawing
from nnrun.sweeps.drawing import Drawing

pytestmark = pytest.mark.usefixtures("pictures")

SPACE = {
    "optimizer.learning_rate": Interval(1e-4, 1e-1, log=True),
    "model.hidden_sizes": Categorical(([64], [64, 32], None)),
    "training.batch_size": Steps(16, 16, 4),
}
FACTS = {
    "title": "grid search: mlp on digits",
    "command": "nnrun -m …",
    "metric": "val/loss",
    "direction": "minimize",
    "space": {key: written(found) for key, found in SPACE.items()},
    "best_command": "nnrun model=mlp",
}


@pytest.fixture
def apart(monkeypatch):
    """As in a process that has drawn nothing yet."""
    monkeypatch.setattr(drawing, "LIBRARY", "a library that nothing imports")


@pytest.fixture
def sweep(tmp_path):
    """Makes a folder with a ledger of a dozen trials."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        ledger = Ledger(folder)
        rates = [1e-4 * 1.7**i for i in range(12)]
        sizes = SPACE["model.hidden_sizes"].values
        points = [
            {
                "optimizer.learning_rate": rate,
                "model.hidden_sizes": sizes[i % 3],
                "training.batch_size": 16 + 16 * (i % 4),
            }
            for i, rate in enumerate(rates)
        ]
        for number, rate in zip(ledger.ask(points), rates, strict=True):
            row = {"epoch": 1, "val/loss": rate, "seconds": 1.0}
            ledger.record({number: row}, [Trial(number, "completed", {}, rate, {"val/loss": rate}, None, 1.0)])
        ledger.close()
        return folder

    return make


def test_facts_are_read_back_as_they_were_written():
    subject = Subject.of(json.loads(json.dumps(FACTS)), [], {})
    assert subject.space == SPACE
    assert {key: value for key, value in vars(subject).items() if key in FACTS} == FACTS | {"space": SPACE}


def test_all_libraries_are_imported_before_a_report_is_asked_for(sweep):
    """They take two seconds, in which the other process compiles."""
    code = """if True:
        import json, sys
        from pathlib import Path
        from nnrun.sweeps import __main__ as process
        process.import_all()
        before = set(sys.modules)
        process.write_report(Path(sys.argv[1]), json.loads(sys.argv[2]))
        print(json.dumps(sorted(set(sys.modules) - before)))
    """
    words = [sys.executable, "-c", code, str(sweep("sweep")), json.dumps(FACTS)]
    late = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert "nnrun.folders.ledger" in late
    heavy = ("numpy", "scipy", "sklearn", "plotly", "PIL", "matplotlib.figure", "matplotlib.backends", "nnrun.report")
    assert not [name for name in late if name.startswith(heavy)]


@pytest.mark.usefixtures("apart")
def test_another_process_draws_the_same_report(sweep, monkeypatch):
    here, there = sweep("here"), sweep("there")
    drawing.write_report(here, FACTS)
    with Drawing() as other:
        other.begin(there, FACTS)
        with monkeypatch.context() as patch:
            patch.setattr(drawing, "write_report", lambda *_: pytest.fail("drawn here"))
            other.end()
    assert (there / "report.html").read_bytes() == (here / "report.html").read_bytes()
    pictures = {path.name: path.read_bytes() for path in (here / "figures").iterdir()}
    assert {path.name: path.read_bytes() for path in (there / "figures").iterdir()} == pictures
    assert pictures


@pytest.mark.usefixtures("apart")
def test_where_it_was_killed_the_report_is_drawn_here(sweep):
    folder = sweep("sweep")
    with Drawing() as other:
        other._process.kill()
        other._process.wait()
        other.begin(folder, FACTS)
        other.end()
    assert (folder / "report.html").exists()


@pytest.mark.usefixtures("apart")
def test_its_errors_are_raised_here(sweep):
    folder = sweep("sweep")
    (folder / "report.html").mkdir()
    with Drawing() as other:
        other.begin(folder, FACTS)
        with pytest.raises(OSError, match=r"report\.html"):
            other.end()


@pytest.mark.usefixtures("apart")
def test_it_ends_with_the_process_that_started_it(sweep):
    folder = sweep("sweep")
    with Drawing() as idle, Drawing() as asked:
        asked.begin(folder, FACTS)
        for process in (idle._process, asked._process):
            process.stdin.close()
        assert idle._process.wait(600) == 0
        assert asked._process.wait(600) == 1
    assert not list(folder.glob(".*.partial"))


def test_no_report_is_drawn_that_nobody_asked_for(monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "write_report", lambda *asked: drawn.append(asked))
    with Drawing() as unasked:
        unasked.end()
    assert not drawn
