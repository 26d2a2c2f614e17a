"""What the terminal shows of a finished run's metrics."""

import math

import pytest

from nnrun.datasets.base import DataSpec
from nnrun.folders import results
from nnrun.host.terminal import Terminal
from nnrun.tasks.classification import Classification, ClassificationConfig


def shown(capsys, metrics, baseline=None):
    results.show(Terminal(), metrics, baseline or {})
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_every_metric_stands_beside_the_baselines(capsys):
    lines = shown(capsys, {"train/rmse": 1.0, "test/rmse": 2.0, "test/r2": None}, {"test/rmse": {"mean": 3.0}})
    assert lines == [["model", "mean"], ["test/rmse", "2", "3"], ["test/r2"]]


def test_classes_and_targets_have_tables_of_their_own(capsys):
    lines = shown(
        capsys,
        {"test/accuracy": 0.5, "test/f1/a/b": 0.25, "test/support/a/b": 4, "test/f1/c": None, "test/support/c": 0},
    )
    assert lines[:3] == [["class", "f1", "support"], ["a/b", "0.25", "4"], ["c", "0"]]
    assert lines[3:] == [["model"], ["test/accuracy", "0.5"]]
    assert shown(capsys, {"test/rmse/price": 3.0})[:2] == [["target", "rmse"], ["price", "3"]]


def test_of_many_classes_the_hardest_are_shown_and_of_many_steps_some(capsys):
    classes = {"test/f1/x": math.nan, "test/support/x": 0}
    classes |= {f"test/{metric}/{n}": n / 20 for n in range(19) for metric in ("f1", "support")}
    lines = shown(capsys, classes)
    assert lines[0] == ["class", "(lowest", "f1", "of", "20)", "f1", "support"]
    assert [line[0] for line in lines[1:11]] == [str(n) for n in range(10)]
    steps = shown(capsys, {f"test/rmse/t+{h}": float(h) for h in range(1, 97)})
    assert steps[0] == ["step", "(some", "of", "96)", "rmse"]
    assert [steps[i][0] for i in (1, 10)] == ["t+1", "t+96"]
    assert len(steps) == 1 + results.MOST_ROWS + 1


@pytest.mark.parametrize(
    ("own", "direction", "said"),
    [
        (2.0, "minimize", "The model beats its best baseline, linear: test/x 2 against 3."),
        (3.0, "minimize", "The model does not beat its best baseline, linear: test/x 3 against 3."),
        (4.5, "maximize", "The model beats its best baseline, mean: test/x 4.5 against 4."),
        (None, "minimize", "The model does not beat its best baseline, linear: test/x nan against 3."),
    ],
)
def test_one_line_says_whether_the_best_baseline_is_beaten(own, direction, said):
    baseline = {"test/x": {"mean": 4.0, "linear": 3.0, "undefined": None}}
    assert results.verdict("test/x", direction, {"test/x": own}, baseline) == said
    assert results.verdict("test/y", direction, {"test/y": own}, baseline) is None


def test_the_line_is_of_the_objective_or_where_that_is_the_loss_of_the_tasks_own_metric():
    spec = DataSpec("table", (2,), (), "classification", classes=2)
    task = Classification(ClassificationConfig(), spec)
    metrics = {"test/accuracy": 0.75, "test/auroc": 0.25}
    baseline = {name: {"majority": 0.5} for name in metrics}
    assert results.remarks(task, "val/loss", metrics, baseline, None)[0].endswith("test/accuracy 0.75 against 0.5.")
    assert "does not beat" in results.remarks(task, "val/auroc", metrics, baseline, None)[0]
