import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from nnrun.datasets.base import Data, DataSpec, Scaling, Series
from nnrun.models.base import Outputs
from nnrun.report import (
    confusion_matrix,
    draw,
    flagged_series,
    forecast,
    gradient_norms,
    learning_curves,
    predicted_vs_true,
)
from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure

UNIT = Scaling(np.zeros(1), np.ones(1))


def finished(spec: DataSpec, test: dict, prediction: np.ndarray, history: list | None = None, **data) -> FinishedRun:
    loaded = Data(spec, test, test, test, UNIT, **data)
    return FinishedRun(
        title="net on set",
        history=history or [],
        objective="val/loss",
        best_epoch=2,
        data=loaded,
        task=None,
        model=None,
        outputs=Outputs(prediction),
        metrics={"test/accuracy": 0.5, "test/rmse": 0.25, "test/mase": 1.5},
        baseline={},
    )


def history(losses: list[float], rates: list[float] | None = None, **more: list[float]) -> list[dict[str, float]]:
    columns = {"train/loss": losses, "val/loss": [2 * x for x in losses], "learning_rate": rates or [0.1] * len(losses)}
    rows = zip(*(columns | more).values(), strict=True)
    return [{"epoch": i + 1} | dict(zip(columns | more, row, strict=True)) for i, row in enumerate(rows)]


def series_run(horizon: int = 1, per_step: bool = False, windows: int = 8) -> FinishedRun:
    """Two channels of which the second is forecast; scaled = (raw - 10) / 5; every prediction is the truth + 1."""
    window, rng = 4, np.random.default_rng(0)
    shape = (windows, window, horizon, 1) if per_step else (windows, horizon, 1)
    test = {"inputs": rng.normal(size=(windows, window, 2)), "targets": rng.normal(10, 5, shape)}
    spec = DataSpec("series", (window, 2), (horizon, 1), "forecasting", per_step=per_step)
    scaling = Scaling(np.full(1, 10.0), np.full(1, 5.0))
    naive = Series(None, np.ones(1), (1,))
    prediction = scaling.apply(test["targets"] + 1)
    return finished(spec, test, prediction, target_scaling=scaling, target_names=("load",), series=naive)


def class_run(
    true: list[int], predicted: list[int], classes: int = 3, names: tuple[str, ...] = ("a", "b", "c")
) -> FinishedRun:
    spec = DataSpec("table", (2,), (), "classification", classes=classes)
    test = {"inputs": np.zeros((len(true), 2)), "targets": np.array(true, np.int32)}
    return finished(spec, test, np.eye(classes)[predicted], class_names=names)


def lines(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}


def test_learning_curves_show_losses_metric_and_rate():
    rows = history([4.0, 2.0, 3.0], [0.3, 0.2, 0.1], **{"val/rmse": [3.0, 1.0, 2.0]})
    loss, metric, rate = learning_curves.draw(dataclasses.replace(series_run(), history=rows)).axes
    drawn = lines(loss)
    np.testing.assert_array_equal(drawn["training"], [4, 2, 3])
    np.testing.assert_array_equal(drawn["validation"], [8, 4, 6])
    np.testing.assert_array_equal(drawn["best epoch 2"], [4])
    np.testing.assert_array_equal(metric.lines[0].get_ydata(), [3, 1, 2])
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), [0.3, 0.2, 0.1])
    assert (metric.get_title("left"), rate.get_xlabel()) == ("rmse, validation", "epoch")


def test_the_line_of_the_best_epoch_runs_behind_the_legend():
    rows = history([4.0, 1.0, 0.6, 0.5, 0.45])
    (axes,) = learning_curves.draw(dataclasses.replace(series_run(), history=rows, best_epoch=5)).axes
    (line,) = (line for line in axes.lines if line.get_linestyle() == ":")
    frame = axes.get_legend().get_frame()
    assert line.get_zorder() < axes.get_legend().get_zorder()
    assert frame.get_facecolor()[:3] == (1, 1, 1)
    assert frame.get_alpha() == 0.9


def test_learning_curves_show_the_objective_where_it_is_a_metric():
    rows = history([1.0, 1.0], **{"val/rmse": [3.0, 1.0], "val/r2": [0.1, 0.9]})
    run = dataclasses.replace(series_run(), history=rows, objective="val/r2")
    _, metric = learning_curves.draw(run).axes
    np.testing.assert_array_equal(metric.lines[0].get_ydata(), [0.1, 0.9])


@pytest.mark.parametrize(
    ("losses", "scale"), [([1.0, 0.5], "linear"), ([100.0, 1.0], "log"), ([100.0, -1.0], "linear")]
)
def test_losses_that_span_decades_are_logarithmic(losses, scale):
    (axes,) = learning_curves.draw(dataclasses.replace(series_run(), history=history(losses))).axes
    assert axes.get_yscale() == scale


def test_learning_curves_of_one_epoch_and_of_diverged_losses(tmp_path):
    for rows in (history([1.0]), history([1.0, np.nan, np.inf])):
        learning_curves.draw(dataclasses.replace(series_run(), history=rows)).savefig(tmp_path / "figure.png")
    assert learning_curves.draw(series_run()) is None


def tick_texts(axes) -> list[str]:
    """Of the ticks of the x axis that are in view."""
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    return [text.get_text() for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_few_epochs_are_counted_in_whole_numbers(epochs):
    rows = history([1.0] * epochs)
    (axes,) = learning_curves.draw(dataclasses.replace(series_run(), history=rows)).axes
    assert tick_texts(axes) == [str(epoch + 1) for epoch in range(epochs)]


def test_forecast_draws_truth_and_prediction_in_original_units():
    run = series_run()
    (axes,) = forecast.draw(run).axes
    np.testing.assert_array_equal(lines(axes)["truth"], run.data.test["targets"][:, 0, 0])
    np.testing.assert_allclose(lines(axes)["forecast"], run.data.test["targets"][:, 0, 0] + 1, rtol=1e-12)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("test window", "load")


def test_forecast_of_several_steps_adds_the_window_of_median_error():
    run = series_run(horizon=3)
    run.outputs.prediction[:5] += np.arange(5)[:, None, None]
    stretch, example = forecast.draw(run).axes
    assert len(stretch.lines[0].get_ydata()) == 8
    chosen = np.argsort(np.abs(run.predicted() - run.data.test["targets"]).mean((1, 2)), kind="stable")[4]
    seen, true, predicted = (np.asarray(line.get_ydata()) for line in example.lines[:3])
    np.testing.assert_array_equal(seen, run.data.test["inputs"][chosen, :, 1])
    np.testing.assert_array_equal(true, run.data.test["targets"][chosen, :, 0])
    np.testing.assert_allclose(predicted, run.predicted()[chosen, :, 0])
    assert example.lines[0].get_xdata()[-1] == 0
    assert list(example.lines[1].get_xdata()) == [1, 2, 3]


def test_ticks_of_a_long_horizon_have_room():
    *_, example = forecast.draw(series_run(horizon=24)).axes
    texts = tick_texts(example)
    assert 3 <= len(texts) <= 6
    assert all(text.lstrip("\N{MINUS SIGN}").isdigit() for text in texts)


def test_forecast_of_a_single_window_draws_it_alone():
    run = series_run(horizon=3, windows=1)
    (axes,) = forecast.draw(run).axes
    np.testing.assert_array_equal(lines(axes)["truth"], run.data.test["targets"][0, :, 0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["seen", "truth", "forecast"]


def test_lines_break_where_rows_are_missing():
    run = flagged_run(hours=[0, 1, 2, 3, 90, 91, 92, 93, 94])
    for axes in flagged_series.draw(run).axes:
        np.testing.assert_array_equal(np.isnan(axes.lines[0].get_ydata()), [i == 4 for i in range(10)])


def flagged_run(hours):
    rng = np.random.default_rng(0)
    test = {"inputs": rng.normal(size=(9, 4, 2)), "anomaly": np.int32([0, 1, 1, 0, 0, 0, 0, 1, 0])}
    prediction = test["inputs"].copy()
    prediction[[2, 5]] += 3
    spec = DataSpec("series", (4, 2), None, "forecasting", anomalies=True)
    run = finished(spec, test, prediction, input_names=("load", "heat"), series=Series(None, np.ones(2), (0, 1)))
    times = np.datetime_as_string(np.datetime64("2024-03-01T00", "h") + np.array(hours), "s")
    return dataclasses.replace(run, data=dataclasses.replace(run.data, error_threshold=1.0, labels={"time": times}))


def test_flagged_series_marks_what_is_above_the_threshold():
    run = flagged_run(range(9))
    unknown = dataclasses.replace(run, data=dataclasses.replace(run.data, error_threshold=None))
    assert flagged_series.draw(unknown) is None, "no threshold, no flags"
    test = run.data.test
    series, error = flagged_series.draw(run).axes
    np.testing.assert_array_equal(lines(series)["flagged (2)"], test["inputs"][[2, 5], -1, 0])
    np.testing.assert_allclose(error.lines[0].get_ydata(), [0, 0, 9, 0, 0, 9, 0, 0, 0], atol=1e-12)
    assert len(series.patches) == 2, "a shade for every labelled stretch"
    assert "2024-03-01" in series.lines[0].get_xdata().astype(str)[0]


def test_forecast_after_every_step_shows_the_last_step():
    run = series_run(per_step=True)
    np.testing.assert_array_equal(lines(forecast.draw(run).axes[0])["truth"], run.data.test["targets"][:, -1, 0, 0])


def test_forecast_stops_after_a_readable_stretch():
    for windows, title in ((400, "one step ahead, first 300 of 400 windows"), (300, "one step ahead")):
        axes = forecast.draw(series_run(windows=windows)).axes[0]
        assert len(axes.lines[0].get_ydata()) == forecast.WINDOWS
        assert axes.get_title("left") == title


def test_confusion_counts_rows_true_columns_predicted():
    picture = confusion_matrix.draw(class_run([0, 0, 0, 0, 1, 2], [0, 0, 0, 1, 1, 0]))
    axes = picture.axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "3", (1, 0): "1", (1, 1): "1", (0, 2): "1"}
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_title("left") == "test part: accuracy 0.5"


def test_confusion_of_one_logit_and_of_padded_steps():
    run = class_run([0, 1, 1], [0, 1, 1], 2, ("no", "yes"))
    run = dataclasses.replace(run, outputs=Outputs(np.array([[-1.0], [2.0], [-3.0]])))
    assert {t.get_position(): t.get_text() for t in confusion_matrix.draw(run).axes[0].texts} == {
        (0, 0): "1",
        (1, 1): "1",
        (0, 1): "1",
    }
    spec = DataSpec("series", (3, 1), (), "classification", classes=2, per_step=True, lengths=True)
    test = {"inputs": np.zeros((2, 3, 1)), "targets": np.ones((2, 3), np.int32), "lengths": np.array([1, 2])}
    padded = finished(spec, test, np.tile(np.array([0.0, 1.0]), (2, 3, 1)))
    assert [t.get_text() for t in confusion_matrix.draw(padded).axes[0].texts] == ["3"]


def test_many_classes_are_not_annotated():
    axes = confusion_matrix.draw(class_run([0, 20], [0, 20], 21, ())).axes[0]
    assert not axes.texts
    assert axes.images[0].get_array().shape == (21, 21)


def test_predicted_against_true_counts_every_value():
    run = series_run(horizon=2)
    (axes,) = predicted_vs_true.draw(run).axes
    true = run.data.test["targets"].ravel()
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack([true, true + 1], 1), rtol=1e-12)
    assert axes.get_title("left") == f"load: rmse 1, r2 {1 - 1 / true.var():.3f}"
    (identity,) = axes.lines
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())


def test_predicted_against_true_leaves_padding_out_and_limits_panels():
    spec = DataSpec("series", (3, 1), (8,), "regression", per_step=True, lengths=True)
    test = {"inputs": np.zeros((2, 3, 1)), "targets": np.ones((2, 3, 8)), "lengths": np.array([1, 2])}
    panels = predicted_vs_true.draw(finished(spec, test, np.zeros((2, 3, 8)))).axes
    assert [len(axes.collections[0].get_offsets()) for axes in panels] == [3] * predicted_vs_true.PANELS
    assert panels[1].get_title("left") == "target 1: rmse 1"


@pytest.mark.parametrize("name", ["forecast", "predicted_vs_true"])
def test_labels_have_no_forecast_and_no_scatter(name):
    assert draw(name, class_run([0, 1], [0, 1])) is None


def test_numbers_have_no_confusion_and_plain_regression_no_forecast():
    assert draw("confusion_matrix", series_run()) is None
    spec = DataSpec("series", (3, 1), (1,), "regression")
    test = {"inputs": np.zeros((2, 3, 1)), "targets": np.ones((2, 1))}
    assert draw("forecast", finished(spec, test, np.zeros((2, 1)))) is None


def test_house_style():
    assert isinstance(figure(), Figure)
    assert figure().dpi == 200


def test_gradient_norms_are_relative_to_the_last_step():
    table = {
        "step": np.arange(1, 4),
        "rnn_start": np.array([0.0, 1e-3, 2.0]),
        "gru_start": np.array([1.0, 2.0, 4.0]),
        "lstm_start": np.array([0.1, 0.1, 0.1]),
        "lstm_cell_start": np.array([0.5, 0.5, 1.0]),
        "gru_trained": np.array([3.0, 3.0, 3.0]),
    }
    start, trained = draw("gradient_norms", dataclasses.replace(series_run(), tables={"gradient_norms": table})).axes
    np.testing.assert_allclose(lines(start)["rnn: 0"], [gradient_norms.FLOOR, 5e-4, 1])
    np.testing.assert_allclose(lines(start)["gru: 2e-01"], [0.25, 0.5, 1])
    np.testing.assert_allclose(lines(trained)["gru: 1e+00"], [1, 1, 1])
    np.testing.assert_allclose(lines(start)["lstm cell: 5e-01"], [0.5, 0.5, 1])
    assert list(start.lines[0].get_xdata()) == [1, 2, 3]
    assert [line.get_linestyle() for line in start.lines] == ["-", "-", "-", "--"]
    assert start.lines[2].get_color() == start.lines[3].get_color()
    assert start.get_yscale() == "log"
    assert start.lines[1].get_color() == trained.lines[0].get_color()
    assert draw("gradient_norms", series_run()) is None
