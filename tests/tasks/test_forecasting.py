import dataclasses

import jax
import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling, Series
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs, OutputSpec
from nnrun.schema import build
from nnrun.tasks.baselines.scores import score
from nnrun.tasks.forecasting import Forecasting

WINDOW, HORIZON, PERIOD = 6, 5, 4
PARTS = ("train", "val", "test")


def part(series: np.ndarray, per_step: bool) -> dict[str, np.ndarray]:
    inputs, targets = [], []
    for s in range(len(series) - WINDOW - HORIZON + 1):
        inputs.append(series[s : s + WINDOW])
        ends = range(s + 1, s + WINDOW + 1) if per_step else [s + WINDOW]
        steps = np.stack([series[e : e + HORIZON][:, [2, 0]] for e in ends])
        targets.append(steps if per_step else steps[0])
    return {"inputs": np.stack(inputs), "targets": np.stack(targets)}


def make(per_step: bool = False, period: int | None = PERIOD, loss: str = "mse") -> tuple[Forecasting, Data]:
    """Three input variables, of which the last and the first are forecast, in that order."""
    series = np.random.default_rng(0).normal([5.0, 0.0, -20.0], [2.0, 1.0, 9.0], (60, 3))
    spec = DataSpec("series", (WINDOW, 3), (HORIZON, 2), "forecasting", per_step=per_step)
    offset, scale = series.mean(0), series.std(0)
    data = Data(
        spec,
        part(series[:30], per_step),
        part(series[30:45], per_step),
        part(series[45:], per_step),
        Scaling(offset, scale),
        Scaling(offset[[2, 0]], scale[[2, 0]]),
        ("a", "b", "c"),
        ("c", "a"),
        series=Series(period, np.array([3.0, 0.5]), (2, 0)),
    )
    config = build("task", {"_target_": "nnrun.tasks.forecasting.Forecasting", "loss": loss})
    return Forecasting(config, spec), data


def by_hand(prediction: np.ndarray, true: np.ndarray, naive_error: np.ndarray) -> dict[str, float]:
    """Metrics of (n, horizon, variables) or (n, time, horizon, variables), in original units, by plain loops."""
    if true.ndim == 4:
        true, prediction = (x.reshape(-1, *x.shape[2:]) for x in (true, prediction))
    n, horizon, variables = true.shape
    squares, absolute, r2, mase = [], [], [], []
    for v in range(variables):
        errors = []
        for h in range(horizon):
            column, center = [], sum(true[i, h, v] for i in range(n)) / n
            for i in range(n):
                column.append(prediction[i, h, v] - true[i, h, v])
            squares.append(sum(e * e for e in column) / n)
            absolute.append(sum(abs(e) for e in column) / n)
            r2.append(1 - sum(e * e for e in column) / sum((true[i, h, v] - center) ** 2 for i in range(n)))
            errors += [abs(e) for e in column]
        mase.append(sum(errors) / len(errors) / naive_error[v])
    mse = sum(squares) / len(squares)
    return {
        "rmse": mse**0.5,
        "mse": mse,
        "mae": sum(absolute) / len(absolute),
        "r2": sum(r2) / len(r2),
        "mase": sum(mase) / len(mase),
    }


@pytest.mark.parametrize("per_step", [False, True])
def test_metrics_equal_plain_loops(per_step):
    task, data = make(per_step)
    true = data.test["targets"]
    noise = np.random.default_rng(1).normal(0, 0.3, true.shape)
    with jax.enable_x64(True):
        found = score(task, data.target_scaling.apply(true) + noise, data)
    raw = true + noise * data.target_scaling.scale
    expected = by_hand(raw, true, data.series.naive_error)
    expected |= {"scaled_mse": (noise**2).mean(), "scaled_mae": np.abs(noise).mean()}
    whole = tuple(name for name in found if name != "loss" and "/" not in name)
    assert whole == task.metric_names() == tuple(expected)
    assert found["loss"] == pytest.approx((noise**2).mean(), rel=1e-9)
    for v, name in enumerate(("c", "a")):
        of_variable = by_hand(raw[..., v, None], true[..., v, None], data.series.naive_error[v, None])
        expected |= {f"{metric}/{name}": of_variable[metric] for metric in ("rmse", "mae", "r2", "mase")}
    for h in range(HORIZON):
        step = (noise**2)[..., h, :].mean(), np.abs(noise)[..., h, :].mean()
        expected |= dict(zip((f"scaled_mse/t+{h + 1}", f"scaled_mae/t+{h + 1}"), step, strict=True))
        of_step = by_hand(raw[..., h, None, :], true[..., h, None, :], data.series.naive_error)
        expected[f"mase/t+{h + 1}"] = of_step["mase"]
    assert expected.keys() == found.keys() - {"loss"}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_steps_ahead_of_one_variable_are_in_its_unit():
    task, data = make()
    one = dataclasses.replace(data.spec, targets=(HORIZON, 1))
    parts = {name: {**getattr(data, name), "targets": getattr(data, name)["targets"][..., :1]} for name in PARTS}
    unit = Scaling(data.target_scaling.offset[:1], data.target_scaling.scale[:1])
    series = Series(PERIOD, np.array([3.0]), (2,))
    data = dataclasses.replace(data, spec=one, target_scaling=unit, target_names=("c",), series=series, **parts)
    true = data.test["targets"]
    error = np.random.default_rng(1).normal(0, 2, true.shape)
    with jax.enable_x64(True):
        found = score(Forecasting(task.config, one), unit.apply(true + error), data)
    details = {name: value for name, value in found.items() if "/" in name}
    assert details.keys() == {f"{metric}/t+{h}" for metric in ("rmse", "mae", "mase") for h in range(1, HORIZON + 1)}
    assert details["rmse/t+2"] == pytest.approx(np.sqrt((error[:, 1] ** 2).mean()))
    assert details["mase/t+5"] == pytest.approx(np.abs(error[:, 4]).mean() / 3)


@pytest.mark.parametrize("per_step", [False, True])
def test_baselines_equal_plain_loops(per_step):
    task, data = make(per_step)
    true, inputs = data.test["targets"], data.test["inputs"]
    persistence, seasonal, mean = np.zeros_like(true), np.zeros_like(true), np.zeros_like(true)
    for index in np.ndindex(true.shape):
        *where, h, v = index
        column, n = data.series.target_columns[v], where[0]
        last = where[1] if per_step else WINDOW - 1
        persistence[index] = inputs[n, last, column]
        past = last + 1 + h
        while past > last:
            past -= PERIOD
        seasonal[index] = inputs[n, past, column]
        axes = (0, 1) if per_step else 0
        mean[index] = data.train["targets"].mean(axes)[h, v]
    with jax.enable_x64(True):
        found = task.baselines(Outputs(np.zeros(true.shape)), data)
    expected = {"mean": mean, "persistence": persistence} | ({} if per_step else {"seasonal_naive": seasonal})
    assert set(found) == set(expected)
    for name, forecast in expected.items():
        for metric, value in by_hand(forecast, true, data.series.naive_error).items():
            assert found[name][metric] == pytest.approx(value, rel=1e-9, abs=1e-9), (name, metric)


@pytest.mark.parametrize("period", [None, WINDOW + 1])
def test_no_season_or_no_values_of_it_no_seasonal_baseline(period):
    task, data = make(period=period)
    assert set(task.baselines(Outputs(np.zeros(0)), data)) == {"mean", "persistence"}


def test_mase_of_persistence_on_its_own_training_series_is_one():
    """Horizon 1 and no season: the naive error is the mean absolute error of persistence itself."""
    series = np.cumsum(np.random.default_rng(3).normal(size=(40, 1)), axis=0)
    inputs = np.stack([series[i : i + 1] for i in range(39)])
    both = {"inputs": inputs, "targets": series[1:, None]}
    spec = DataSpec("series", (1, 1), (1, 1), "forecasting")
    unit = Scaling(np.zeros(1), np.ones(1))
    error = np.abs(np.diff(series, axis=0)).mean(0)
    data = Data(spec, both, both, both, unit, series=Series(None, error, (0,)))
    config = build("task", {"_target_": "nnrun.tasks.forecasting.Forecasting"})
    found = Forecasting(config, spec).baselines(Outputs(np.zeros(0)), data)
    assert found["persistence"]["mase"] == pytest.approx(1, rel=1e-6)


def test_decode_names_a_column_per_step_and_variable():
    task, data = make()
    prediction = np.random.default_rng(2).normal(size=data.test["targets"].shape)
    columns = task.decode(Outputs(prediction), data)
    assert list(columns)[:6] == ["c_t+1", "c_t+1_predicted", "a_t+1", "a_t+1_predicted", "c_t+2", "c_t+2_predicted"]
    assert len(columns) == 2 * 2 * HORIZON
    np.testing.assert_array_equal(columns["a_t+3"], data.test["targets"][:, 2, 1])
    raw = prediction[:, 4, 0] * data.target_scaling.scale[0] + data.target_scaling.offset[0]
    np.testing.assert_allclose(columns["c_t+5_predicted"], raw, rtol=1e-12)


def test_decode_of_inputs_without_the_future_has_predictions_alone():
    task, data = make()
    unknown = dataclasses.replace(data, test={"inputs": data.test["inputs"]}, target_names=())
    columns = task.decode(Outputs(np.zeros(data.test["targets"].shape)), unknown)
    assert list(columns)[:3] == ["target_0_t+1_predicted", "target_1_t+1_predicted", "target_0_t+2_predicted"]


def test_forecasts_after_every_step_are_arrays():
    task, data = make(per_step=True)
    arrays = task.decode(Outputs(data.target_scaling.apply(data.test["targets"])), data)
    assert set(arrays) == {"targets", "predictions"}
    np.testing.assert_allclose(arrays["predictions"], arrays["targets"], rtol=1e-12)


@pytest.mark.parametrize("per_step", [False, True])
def test_head_is_horizon_by_variables(per_step):
    assert make(per_step)[0].output_spec() == OutputSpec((HORIZON, 2), per_step)


def test_targets_that_follow_no_window_are_refused():
    config = make()[0].config
    with pytest.raises(ConfigError) as caught:
        Forecasting(config, DataSpec("series", (100, 2), (1,), "regression")).output_spec()
    assert str(caught.value) == (
        "task=forecasting needs a series whose targets are (horizon, variables), but the data set is of kind series "
        "with targets of shape (1,). Set task=auto, or for example dataset=sine."
    )
    with pytest.raises(ConfigError, match="of kind image with targets of shape"):
        Forecasting(config, DataSpec("image", (8, 8, 1), (), "classification", classes=10)).output_spec()


@pytest.mark.parametrize(("loss", "value"), [("mse", 0.25), ("mae", 0.5), ("huber", 0.125)])
def test_losses_are_means_over_steps_ahead_and_variables(loss, value):
    task, data = make(loss=loss)
    found = score(task, data.target_scaling.apply(data.test["targets"]) + 0.5, data)
    assert found["loss"] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("per_step", [False, True])
def test_metrics_behind_logarithms_are_in_original_units(per_step):
    """The errors of forecasts that are scaled logarithms equal those of what they stand for, by plain loops."""
    task, data = make(per_step)
    positive = {name: [np.exp(data_part / 10) for data_part in getattr(data, name).values()] for name in PARTS}
    parts = {name: dict(zip(("inputs", "targets"), arrays, strict=True)) for name, arrays in positive.items()}
    logs = np.log(parts["train"]["inputs"]).reshape(-1, 3)
    scaling = Scaling(logs.mean(0)[[2, 0]], logs.std(0)[[2, 0]], True)
    spec = dataclasses.replace(data.spec, log=True)
    data = dataclasses.replace(data, spec=spec, target_scaling=scaling, **parts)
    noise = np.random.default_rng(1).normal(0, 0.3, data.test["targets"].shape)
    task = Forecasting(task.config, spec)
    with jax.enable_x64(True):
        found = score(task, scaling.apply(data.test["targets"]) + noise, data)
    raw = np.exp(np.log(data.test["targets"]) + noise * scaling.scale)
    expected = by_hand(raw, data.test["targets"], data.series.naive_error)
    expected |= {"scaled_mse": (noise**2).mean(), "scaled_mae": np.abs(noise).mean(), "loss": (noise**2).mean()}
    steps = {name: found.pop(name) for name in list(found) if "/" in name}
    assert found == pytest.approx(expected, rel=1e-6)
    for step in range(HORIZON):
        assert steps[f"scaled_mse/t+{step + 1}"] == pytest.approx((noise[..., step, :] ** 2).mean(), rel=1e-6)
    mean = task.baselines(Outputs(np.zeros(0)), data)["mean"]["rmse"]
    steps = (0, 1) if per_step else 0
    error = parts["train"]["targets"].mean(steps) - data.test["targets"]
    assert mean == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)


def test_a_season_longer_than_the_window_is_handed_over_by_the_data():
    task, data = make(period=WINDOW + 1)
    before = data.test["targets"] + 2.0
    found = task.baselines(Outputs(np.zeros(0)), dataclasses.replace(data, season_before=before))
    assert found["seasonal_naive"]["mae"] == pytest.approx(2.0, rel=1e-5)


def remarks(data, own, persistence=1.0):
    task = Forecasting(build("task", {"_target_": "nnrun.tasks.forecasting.Forecasting"}), data.spec)
    return task.remarks({"test/mase": {"persistence": persistence}}, {"test/mase": own}, data)


def test_the_end_of_a_run_says_what_mase_compares_with():
    assert "the value 4 steps before (dataset.period)." in remarks(make()[1], own=0.5)[0]
    assert remarks(make(period=None)[1], own=0.5)[0].endswith("the value before.")


def test_a_network_that_loses_to_the_last_value_beyond_the_training_range_is_told_of_changes():
    data = make()[1]
    far = data.test["targets"].copy()
    far[3:5, 1, 1] = 1e3
    inside = np.broadcast_to(data.train["targets"][:1], far.shape)
    from_file = dataclasses.replace(data, reader=object(), test=data.test | {"targets": far * (far > 999) + inside})
    assert "Note: 2 of 5 test windows are to forecast values of a outside" in remarks(from_file, own=2.0)[1]
    assert "dataset.relative_to=last" in remarks(from_file, own=2.0)[1]
    assert len(remarks(from_file, own=0.5)) == 1, "the network is better"
    assert len(remarks(dataclasses.replace(from_file, test=data.test | {"targets": inside}), own=2.0)) == 1
    assert len(remarks(dataclasses.replace(from_file, reader=None), own=2.0)) == 1, "a generated series"
