"""Pictures of what a network gets wrong: ranking, calibration, residuals, error by horizon, the worst images."""

import dataclasses

import numpy as np
import pytest

from nnrun.datasets.base import DataSpec
from nnrun.report import calibration, error_by_horizon, ranking_curves, residuals, worst_examples
from nnrun.tasks import metrics
from tests.report.test_figures import class_run, finished, lines, series_run


def scored(labels, logits, names=(), **spec):
    classes = max(2, logits.shape[1])
    spec = DataSpec("table", (2,), (), "classification", classes=classes, **spec)
    test = {"inputs": np.zeros((len(labels), 2)), "targets": np.array(labels, np.int32)}
    return finished(spec, test, logits, class_names=names)


def test_the_areas_of_ranking_curves_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    for scores in (rng.normal(size=50), rng.integers(0, 5, 50)):
        positive = rng.random(50) < 0.3
        curve = ranking_curves.Ranking(positive, scores)
        assert curve.auroc == pytest.approx(metrics.auroc(positive, scores))
        assert curve.average_precision == pytest.approx(metrics.average_precision(positive, scores))
        assert (curve.recall[0], curve.recall[-1], curve.alarms[-1]) == (0, 1, 1)


@pytest.mark.parametrize("head", [1, 2])
def test_two_classes_have_one_curve_each(head):
    logits = np.array([[-2.0], [1.0], [0.5], [-0.5]])
    run = scored([0, 1, 0, 1], logits if head == 1 else np.concatenate([0 * logits, logits], 1), ("no", "yes"))
    roc, precision = ranking_curves.draw(run).axes
    np.testing.assert_allclose(lines(roc)["yes (0.75)"], [0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(lines(precision)["yes (0.833)"], [1, 1 / 2, 2 / 3, 1 / 2])


def test_of_many_classes_the_hardest_are_drawn_and_one_that_never_occurs_is_not():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 8, 200)
    logits = 5 * np.eye(9)[labels] * (labels > 1)[:, None] + rng.normal(size=(200, 9))
    picture = ranking_curves.draw(scored(labels, logits))
    names = {name.split()[0] for name in lines(picture.axes[0]) if "(" in name}
    assert len(names) == 6
    assert {"0", "1"} <= names
    assert "8" not in names
    assert "the hardest 6 of 8" in picture.get_suptitle()
    assert ranking_curves.draw(class_run([1, 1], [1, 1])) is None, "one class alone ranks nothing"


def test_calibration_compares_probabilities_with_shares():
    confidence = np.array([0.62, 0.68, 0.92, 0.98])
    said, found, counts = calibration.binned(confidence, np.array([True, False, True, True]))
    np.testing.assert_allclose(said, [0.65, 0.95])
    np.testing.assert_allclose(found, [0.5, 1.0])
    assert counts.tolist() == [2, 2]
    logits = np.log(confidence / (1 - confidence + 1e-9))[:, None]
    axes, below = calibration.draw(scored([1, 0, 1, 1], logits)).axes
    assert axes.get_title("left") == "expected calibration error 0.1"
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0.5, 1.0])
    assert sum(bar.get_height() for bar in below.patches) == 4
    assert calibration.draw(series_run()) is None


def test_residuals_are_predictions_minus_truth():
    run = series_run(horizon=3)
    axes, beside = residuals.draw(run).axes
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 0], run.predicted().ravel())
    np.testing.assert_allclose(points[:, 1], 1.0)
    assert (axes.get_xlabel(), beside.get_xlabel()) == ("predicted load", "residual of load")
    assert "mean residual 1," in axes.get_title("left")
    assert residuals.draw(class_run([0, 1], [1, 1])) is None


def test_the_error_of_every_step_ahead_stands_beside_the_baselines():
    values = {f"test/{metric}/t+{h}": h * scale for h in (1, 2, 3) for metric, scale in (("rmse", 2.0), ("mase", 1.0))}
    baseline = {name: {"persistence": 9.0} for name in values}
    run = dataclasses.replace(series_run(horizon=3), metrics=values, baseline=baseline)
    (axes,) = error_by_horizon.draw(run).axes
    assert lines(axes)["model"].tolist() == [2, 4, 6]
    assert lines(axes)["persistence"].tolist() == [9, 9, 9]
    assert (axes.get_xlabel(), axes.get_title("left")) == ("steps ahead", "rmse of load by step ahead")
    several = {name: value for name, value in values.items() if "mase" in name}
    (axes,) = error_by_horizon.draw(dataclasses.replace(run, metrics=several)).axes
    assert lines(axes)["model"].tolist() == [1, 2, 3]
    assert error_by_horizon.draw(series_run()) is None


def image_run(labels, logits):
    spec = DataSpec("image", (4, 4, 1), (), "classification", classes=3)
    inputs = np.arange(len(labels), dtype=np.float32)[:, None, None, None] * np.ones((1, 4, 4, 1), np.float32)
    test = {"inputs": inputs, "targets": np.array(labels, np.int32)}
    return finished(spec, test, np.array(logits, float), class_names=("cat", "dog", "eel"))


def test_the_worst_errors_come_first_and_right_ones_not_at_all():
    run = image_run([0, 1, 2, 1], [[9, 0, 0], [2, 0, 0], [0, 8, 0], [0, 5, 0]])
    picture = worst_examples.draw(run)
    titles = [axes.get_title() for axes in picture.axes if axes.images]
    assert titles == ["eel, taken for\ndog (1)", "dog, taken for\ncat (0.79)"]
    assert "the worst of 2 errors on 4 test images" in picture.get_suptitle()
    assert worst_examples.draw(image_run([0], [[9, 0, 0]])) is None, "no error"
    assert worst_examples.draw(class_run([0, 1], [1, 1])) is None, "no images"
