"""Figures of the user's own: found beside ./conf and checked before training; one that fails costs no run."""

import itertools
import json
import subprocess
import sys

import pytest

from nnrun import report
from nnrun.config import choices
from nnrun.schema import locate

pytestmark = pytest.mark.usefixtures("pictures")

MODEL = """\
from dataclasses import dataclass
from flax import nnx
from nnrun.models.base import Model, Outputs

@dataclass(frozen=True)
class PlainConfig:
    pass

class Plain(Model):
    kinds = ("table",)
    figures = {figures}

    def __init__(self, config: PlainConfig, data, output, *, rngs):
        self.head = nnx.Linear(*data.inputs, output.size, rngs=rngs)

    def __call__(self, batch, rngs=None, carry=None):
        return Outputs(self.head(batch["inputs"])), carry
"""
FIGURE = """\
from matplotlib.figure import Figure

def draw(run):
    figure = Figure()
    figure.subplots().set_title(f"{run.title}: {len(run.outputs.prediction)} of {run.data.spec.classes} classes")
    return figure
"""
TINY = ("debug=tiny", "dataset=iris", "hydra.run.dir=run")
numbers = itertools.count()
OURS = {f"{name}.png" for name in ("learning_curves", "confusion_matrix", "ranking_curves", "calibration")}


@pytest.fixture
def own(tmp_path):
    """Writes modules of the user's own by dotted names, and a model that names the figures; returns its words."""

    def write(figures, **modules):
        name = f"plain{next(numbers)}"
        (tmp_path / "conf/model").mkdir(parents=True)
        (tmp_path / f"conf/model/{name}.yaml").write_text(f"_target_: {name}.Plain\n")
        (tmp_path / f"{name}.py").write_text(MODEL.format(figures=figures))
        for module, text in modules.items():
            path = tmp_path / f"{module.replace('.', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return f"model={name}", *TINY

    return write


@pytest.fixture
def name():
    """A name of a module that no test before has imported."""
    return f"picture{next(numbers)}"


def pictures(folder):
    return {path.name for path in (folder / "figures").iterdir()}


def test_figures_in_the_users_folder_are_drawn(nnrun, own, name, tmp_path):
    inside = f"{name}s.confusion"
    words = own((name, inside, "filters"), **{name: FIGURE, inside: FIGURE + "\n"})
    done = nnrun(*words)
    assert done.code == 0, done
    drawn = {f"{name}.png", f"{inside}.png", *OURS}
    assert pictures(tmp_path / "run") == drawn
    assert "could not be drawn" not in done.out

    refused = nnrun("evaluate", "run")
    assert (refused.code, refused.out) == (2, "")
    assert "code outside nnrun" in refused.err
    assert nnrun("evaluate", "run", "--trust").code == 0
    assert pictures(tmp_path / "run/evaluations/test") == drawn - {"learning_curves.png"}


@pytest.mark.parametrize(
    ("figure", "text", "said"),
    [
        (
            "confusion_matrx",
            None,
            "there is no module confusion_matrx. Start nnrun in the folder where it lies",
        ),
        ("confusion_matrx", None, "Did you mean confusion_matrix?"),
        ("palette", None, "there is no module palette."),
        ("mine.scatter", None, "there is no module mine.scatter. Start nnrun in the folder where it lies"),
        (None, "def drawing(run):\n    return None\n", " has no draw. Did you mean drawing?"),
        (None, "draw = 3\n", ".draw must be a function draw(run) that returns a Figure or None."),
        (None, "import numpy\nnumpy.nothing\n", ".py, line 2, `numpy.nothing`: AttributeError"),
        (None, "def draw(run)\n    return None\n", ".py, line 1: SyntaxError: expected ':'"),
    ],
)
def test_what_cannot_draw_is_refused_before_training(nnrun, own, name, tmp_path, figure, text, said):
    done = nnrun(*own((figure or name,), **({name: text} if text else {})))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def draw(run):\n    return run.nothing\n", "line 2, `return run.nothing`: AttributeError: 'FinishedRun'"),
        (FIGURE.replace("{run.title}", "$x_$"), "ValueError"),
        ("def draw(run):\n    return 3\n", "TypeError: draw(run) must return a Figure or None, but got int"),
    ],
)
def test_a_figure_that_fails_costs_no_run(nnrun, own, name, tmp_path, text, said):
    done = nnrun(*own((name,), **{name: text}))
    assert (done.code, done.err) == (0, "")
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "completed"
    assert pictures(tmp_path / "run") == OURS
    for out, folder in (
        (done.out, tmp_path / "run"),
        (nnrun("evaluate", "run", "--trust").out, tmp_path / "run/evaluations/test"),
    ):
        (sentence,) = [line for line in out.splitlines() if name in line]
        assert sentence.startswith(f"The figure {name} could not be drawn. ")
        assert said in sentence
        assert sentence.endswith("The traceback is in run.log.")
        log = (folder / "run.log").read_text()
        assert sentence in log
        assert "Traceback (most recent call last)" in log


def test_a_failing_figure_of_ours_is_told_by_its_line(finished_run, nnrun, monkeypatch):
    monkeypatch.setattr("nnrun.report.confusion_matrix.confusion", None)
    done = nnrun("evaluate", str(finished_run), "--output", "again")
    assert (done.code, done.err) == (0, "")
    assert "The figure confusion_matrix could not be drawn. " in done.out
    assert "confusion_matrix.py, line " in done.out


@pytest.mark.parametrize("group", ["model", "task"])
def test_every_figure_of_ours_is_there_and_is_not_imported_to_be_checked(group, monkeypatch):
    targets = [choices.load_choice(group, name)["_target_"] for name in choices.choices(group)]
    members = [locate(target) for target in targets if target]
    assert any(member.figures for member in members)
    monkeypatch.setattr("nnrun.schema.locate", lambda *_: pytest.fail("imported"))
    report.check(*members)


def test_a_check_does_not_need_matplotlib():
    code = "import sys\nfrom nnrun import report\nreport.ours()\nassert 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
