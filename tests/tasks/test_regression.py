"""The regression task against NumPy in original units, batch by batch, with padding and with steps beyond lengths."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs, OutputSpec
from nnrun.schema import build
from nnrun.tasks.regression import Regression, RegressionConfig

RNG = np.random.default_rng(11)


def scaling_of(values):
    axes = tuple(range(values.ndim - 1))
    return Scaling(np.float32(values.mean(axes)), np.float32(values.std(axes)))


def table(values=2, names=()):
    """A nearly linear table: (train 40, val 5, test 23) examples of 3 inputs."""
    inputs = RNG.normal(size=(68, 3)).astype(np.float32) * [1, 5, 0.1] + 2
    mixing = RNG.normal(size=(3, values))
    targets = (inputs @ mixing + 300 + 0.1 * RNG.normal(size=(68, values))).astype(np.float32)
    parts = [{"inputs": inputs[s], "targets": targets[s]} for s in (slice(40), slice(40, 45), slice(45, None))]
    spec = DataSpec("table", (3,), (values,), "regression")
    return Data(spec, *parts, scaling_of(inputs[:40]), scaling_of(targets[:40]), target_names=names)


def sequences():
    """Targets per time step, (n, 6, 1), with lengths."""
    targets = (RNG.normal(size=(30, 6, 1)) * 4 + 50).astype(np.float32)
    lengths = RNG.integers(1, 7, 30).astype(np.int32)
    part = {"inputs": np.zeros((30, 6, 2), np.float32), "targets": targets, "lengths": lengths}
    spec = DataSpec("series", (6, 2), (1,), "regression", per_step=True, lengths=True)
    return Data(spec, part, part, part, Scaling(np.zeros(2), np.ones(2)), scaling_of(targets))


def task_of(data, **values):
    return Regression(build("task", values, RegressionConfig), data.spec)


def batches(data, prediction, size):
    """The test part in padded batches: (Outputs, batch)."""
    part = {name: np.asarray(v) for name, v in data.test.items() if name != "inputs"}
    part["targets"] = data.target_scaling.apply(part["targets"])
    for start in range(0, len(prediction), size):
        index = np.arange(start, start + size)
        take = np.where(index < len(prediction), index, 0)
        batch = {name: jnp.asarray(v[take]) for name, v in part.items()}
        batch["mask"] = jnp.float32(index < len(prediction))
        yield Outputs(jnp.asarray(prediction[take])), batch


def sums_of(task, data, prediction, size=8):
    step = jax.jit(lambda outputs, batch: task.statistics(outputs, batch, None).sums)
    sums = None
    for outputs, batch in batches(data, np.float32(prediction), size):
        found = jax.tree.map(np.asarray, step(outputs, batch))
        sums = found if sums is None else jax.tree.map(np.add, sums, found)
    return sums


def evaluate(task, data, prediction, size=8):
    return task.finish(sums_of(task, data, prediction, size), {}, data)


def by_numpy(true, predicted):
    """All metrics, (n, targets) in original units."""
    residual = np.float64(predicted) - true
    total = ((true - true.mean(0, dtype=np.float64)) ** 2).sum(0)
    mse = (residual**2).mean()
    r2 = (1 - (residual**2).sum(0) / total).mean()
    return {"rmse": math.sqrt(mse), "mse": mse, "mae": np.abs(residual).mean(), "r2": r2}


def test_metrics_are_in_original_units_and_count_every_example_once():
    data = table()
    task = task_of(data)
    prediction = np.float32(data.target_scaling.apply(data.test["targets"]) + 0.3 * RNG.normal(size=(23, 2)))
    found = evaluate(task, data, prediction)
    assert tuple(found) == task.metric_names()
    expected = by_numpy(data.test["targets"], data.target_scaling.invert(prediction))
    assert found == pytest.approx(expected, rel=1e-4)


def test_r2_survives_targets_far_from_zero():
    data = table()
    far = {"targets": data.test["targets"] + np.float32(1e5)}
    moved = dataclasses.replace(
        data,
        test={**data.test, **far},
        target_scaling=Scaling(data.target_scaling.offset + np.float32(1e5), data.target_scaling.scale),
    )
    prediction = data.target_scaling.apply(data.test["targets"]) + 0.3
    here, there = evaluate(task_of(data), data, prediction), evaluate(task_of(data), moved, prediction)
    assert there["r2"] == pytest.approx(here["r2"], abs=1e-3)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_loss_is_the_mean_over_targets_in_scaled_units(loss):
    data = table()
    prediction = RNG.normal(size=(23, 2)) * 3
    outputs, batch = next(batches(data, np.float32(prediction), 23))
    error = np.abs(prediction - data.target_scaling.apply(data.test["targets"]))
    expected = {"mse": error**2, "mae": error, "huber": np.where(error < 0.5, error**2 / 2, 0.5 * (error - 0.25))}[loss]
    found = task_of(data, loss=loss, huber_delta=0.5).loss(outputs, batch)
    np.testing.assert_allclose(found, expected.mean(-1), rtol=1e-4)


def test_a_traced_delta_is_one_program():
    data, traces = table(), []
    outputs, batch = next(batches(data, np.zeros((23, 2), np.float32), 23))

    @jax.jit
    def loss(delta):
        traces.append(1)
        return Regression(RegressionConfig("huber", delta), data.spec).loss(outputs, batch).mean()

    assert loss(jnp.float32(0.1)) < loss(jnp.float32(1.0))
    assert len(traces) == 1


def test_steps_beyond_lengths_do_not_count():
    data = sequences()
    task = task_of(data)
    assert task.output_spec() == OutputSpec((1,), per_step=True)
    lengths = data.test["lengths"]
    valid = np.arange(6) < lengths[:, None]
    prediction = np.where(valid[..., None], RNG.normal(size=(30, 6, 1)), np.nan)
    found = evaluate(task, data, prediction, size=7)
    raw = data.target_scaling.invert(prediction)
    assert found == pytest.approx(by_numpy(data.test["targets"][valid], raw[valid]), rel=1e-4)
    outputs, batch = next(batches(data, np.float32(prediction), 30))
    squares = np.where(valid[..., None], (prediction - data.target_scaling.apply(data.test["targets"])) ** 2, 0)
    np.testing.assert_allclose(task.loss(outputs, batch), squares.sum((1, 2)) / lengths, rtol=1e-4)
    slope = jax.grad(lambda p: task.loss(outputs._replace(prediction=p), batch).sum())(
        jnp.where(valid[..., None], outputs.prediction, 9.0)
    )
    np.testing.assert_array_equal(slope[..., 0] != 0, valid)


def test_baselines_are_the_mean_and_the_linear_fit():
    data = table()
    found = task_of(data).baselines(None, data)
    true, train = data.test["targets"], data.train
    mean = np.broadcast_to(train["targets"].mean(0), true.shape)
    design = np.c_[np.float64(train["inputs"]), np.ones(40)]
    weights = np.linalg.lstsq(design, train["targets"], rcond=None)[0]
    linear = np.c_[np.float64(data.test["inputs"]), np.ones(23)] @ weights
    for name, predicted in (("mean", mean), ("linear", linear)):
        assert {k: found[name][k] for k in ("rmse", "mse", "mae", "r2")} == pytest.approx(
            by_numpy(true, predicted), rel=2e-3, abs=2e-3
        )
    scaled = data.target_scaling.apply(true)
    assert found["mean"]["loss"] == pytest.approx((scaled**2).mean(), rel=1e-3)
    assert found["linear"]["r2"] > 0.99


def test_the_mean_of_sequences_is_over_valid_steps():
    data = sequences()
    found = task_of(data).baselines(None, data)
    valid = np.arange(6) < data.train["lengths"][:, None]
    true = data.test["targets"][valid]
    assert list(found) == ["mean"]
    assert found["mean"]["rmse"] == pytest.approx(true.std(), rel=1e-4)
    assert found["mean"]["r2"] == pytest.approx(0, abs=1e-5)


def test_predictions_are_columns_in_original_units():
    data = table(names=("price", "age"))
    prediction = data.target_scaling.apply(data.test["targets"])
    columns = task_of(data).decode(Outputs(np.float32(prediction)), data)
    assert list(columns) == ["price", "price_predicted", "age", "age_predicted"]
    np.testing.assert_allclose(columns["age_predicted"], data.test["targets"][:, 1], rtol=1e-5)
    unknown = dataclasses.replace(data, test={"inputs": data.test["inputs"]}, target_names=())
    assert list(task_of(data).decode(Outputs(prediction), unknown)) == ["target_0_predicted", "target_1_predicted"]


def test_predictions_of_sequences_are_arrays():
    data = sequences()
    arrays = task_of(data).decode(Outputs(np.zeros((30, 6, 1), np.float32)), data)
    assert list(arrays) == ["targets", "predictions"]
    np.testing.assert_allclose(arrays["predictions"], data.target_scaling.offset[0], rtol=1e-6)


def test_a_scalar_target_needs_no_axis():
    spec = DataSpec("table", (1,), (), "regression")
    part = {"inputs": np.arange(9.0)[:, None], "targets": np.float32(2 * np.arange(9.0) + 1)}
    data = Data(spec, part, part, part, Scaling(np.zeros(1), np.ones(1)), Scaling(np.float32(3), np.float32(2)))
    task = task_of(data)
    assert task.output_spec() == OutputSpec(())
    assert task.baselines(None, data)["linear"]["r2"] == pytest.approx(1)
    columns = task.decode(Outputs(np.zeros(9, np.float32)), data)
    assert {name: c.shape for name, c in columns.items()} == {"target": (9,), "target_predicted": (9,)}


def test_targets_that_are_no_numbers_are_refused():
    labels = Regression(RegressionConfig(), DataSpec("table", (3,), (), "classification", classes=3))
    with pytest.raises(ConfigError) as error:
        labels.output_spec()
    assert str(error.value) == (
        "task=regression needs targets that are numbers, but the data set has labels of 3 classes. Set task=auto."
    )
    with pytest.raises(ConfigError, match="the data set has no targets"):
        Regression(RegressionConfig(), DataSpec("image", (8, 8, 1), None, "reconstruction")).output_spec()


def test_every_target_is_measured_in_its_own_unit():
    data = table(names=("price", "rate"))
    prediction = np.float32(data.target_scaling.apply(data.test["targets"]) + 0.3 * RNG.normal(size=(23, 2)))
    sums, raw = sums_of(task_of(data), data, prediction), data.target_scaling.invert(prediction)
    found = task_of(data).details(sums, {}, data)
    for number, name in enumerate(("price", "rate")):
        alone = by_numpy(data.test["targets"][:, number, None], raw[:, number, None])
        for metric in ("rmse", "mae", "r2"):
            assert found.pop(f"{metric}/{name}") == pytest.approx(alone[metric], rel=1e-4)
    assert not found


def test_a_single_target_and_sums_of_another_task_have_no_details():
    single = table(1)
    assert task_of(single).details(sums_of(task_of(single), single, np.zeros((23, 1))), {}, single) == {}
    assert task_of(table()).details({"pinball": np.zeros(2)}, {}, table()) == {}
