"""Networks that see and forecast changes: a level that is added to a series is added to its forecast."""

import jax
import numpy as np
import pytest
from flax import nnx

from nnrun import schema
from nnrun.compose import compatible
from nnrun.config import choices
from nnrun.datasets.base import Anchor, DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.kernels.anchor import from_changes, to_changes

WINDOW, HORIZON, COLUMNS = 6, 4, (2, 0)
LAST = Anchor((-1,) * HORIZON, COLUMNS)
SEASON = Anchor((-3, -2, -1, -3), COLUMNS)
EACH = Anchor((0,), COLUMNS)
FORECASTERS = ("mlp", "cnn", "rnn", "lstm", "gru")


def build(name, anchor, anchored=True):
    per_step = anchor == EACH
    anchor = anchor if anchored else None
    values = choices.load_choice("model", name)
    data = DataSpec("series", (WINDOW, 3), (HORIZON, 2), "forecasting", per_step=per_step, anchor=anchor)
    output = OutputSpec((HORIZON, 2), per_step)
    return schema.locate(values["_target_"])(schema.build("model", values), data, output, rngs=nnx.Rngs(0))


def forecast(model, inputs):
    return np.asarray(model({"inputs": inputs})[0].prediction)


@pytest.mark.parametrize("anchor", [LAST, SEASON, EACH])
def test_where_changes_start_from_by_plain_loops(anchor):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(5, WINDOW, 3))
    change = rng.normal(size=(5, WINDOW, HORIZON, 2) if anchor == EACH else (5, HORIZON, 2))
    expected = np.empty_like(change)
    for index in np.ndindex(change.shape):
        n, *step, h, v = index
        row = step[0] if step else WINDOW + anchor.steps[h]
        expected[index] = change[index] + inputs[n, row, COLUMNS[v]]
    with jax.enable_x64(True):
        np.testing.assert_allclose(from_changes(anchor, change, inputs), expected)
        seen = np.asarray(to_changes(anchor, jax.numpy.asarray(inputs)))
    level = np.zeros_like(inputs)
    if anchor != EACH:
        level[:, :, list(COLUMNS)] = inputs[:, -1:, list(COLUMNS)]
    np.testing.assert_allclose(seen, inputs - level)


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_level_that_is_added_to_the_series_is_added_to_the_forecast(name):
    inputs = np.random.default_rng(0).normal(size=(5, WINDOW, 3)).astype(np.float32)
    shifted = inputs + np.float32([10, 0, -5])
    for anchor, moves in ((LAST, True), (SEASON, True), (None, False)):
        model = build(name, anchor)
        difference = forecast(model, shifted) - forecast(model, inputs)
        assert np.allclose(difference, [-5, 10], atol=1e-4) == moves


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_forecasts_after_every_step_start_from_that_step(name):
    inputs = np.random.default_rng(0).normal(size=(5, WINDOW, 3)).astype(np.float32)
    found, change = forecast(build(name, EACH), inputs), forecast(build(name, EACH, False), inputs)
    np.testing.assert_allclose(found - inputs[:, :, None, list(COLUMNS)], change, atol=1e-6)


def test_a_model_that_forecasts_no_changes_is_refused(make_config, tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("a\n" + "1\n2\n" * 50)
    values = {"dataset.path": str(path), "dataset.window": 4, "dataset.relative_to": "last"}
    compatible.check_fit(make_config(values, dataset="timeseries", model="mlp"))
    with pytest.raises(ConfigError, match=r"model=autoencoder does not forecast changes\. Set dataset"):
        compatible.check_fit(make_config(values, dataset="timeseries", model="autoencoder", task="reconstruction"))
