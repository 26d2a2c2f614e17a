import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.models.base import Model, Outputs
from nnrun.schema import build
from nnrun.tasks import gradient_norms
from nnrun.tasks.gradient_norms import GradientNorms

TIME, EXAMPLES = 6, 20


@dataclass(frozen=True)
class DecayConfig:
    hidden_size: int = 1


class Decay(Model):
    """h_t = a h_{t-1} + x_t, ŷ = w h_T, so that ∂L/∂h_t = a^(T-t) ∂L/∂h_T; `a` starts at 0.5 + hidden_size / 10."""

    def __init__(self, config: DecayConfig, data, output, *, rngs: nnx.Rngs) -> None:
        self.a = nnx.Param(jnp.float32(0.5 + config.hidden_size / 10))
        self.w = nnx.Param(jax.random.uniform(rngs.params(), minval=1.0, maxval=2.0))

    def states(self, x):
        h = [x[:, 0, 0]]
        for t in range(1, TIME):
            h.append(self.a[...] * h[-1] + x[:, t, 0])
        return h

    def __call__(self, batch, rngs=None, carry=None):
        return Outputs((self.w[...] * self.states(batch["inputs"])[-1])[:, None]), carry

    def hidden_gradients(self, batch, loss):
        def total(h):
            return loss(Outputs((self.w[...] * h)[:, None]), batch).sum()

        last = jnp.abs(jax.grad(total)(self.states(batch["inputs"])[-1])).mean()
        return last * self.a[...] ** jnp.arange(TIME - 1, -1, -1)


class Other(Decay):
    """Another network."""


def make(monkeypatch, **values) -> tuple[GradientNorms, Data]:
    cells = {"rnn": f"{__name__}.Decay", "other": f"{__name__}.Other"}
    monkeypatch.setattr(gradient_norms, "CELLS", cells)
    spec = DataSpec("series", (TIME, 1), (1,), "regression")
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(EXAMPLES, TIME, 1))
    part = {"inputs": 3 * inputs + 1, "targets": inputs.sum(1) * 2}
    data = Data(spec, part, part, part, Scaling(np.ones(1), np.full(1, 3.0)), Scaling(np.zeros(1), np.full(1, 2.0)))
    config = build("task", {"_target_": "nnrun.tasks.gradient_norms.GradientNorms", "hidden_size": 2} | values)
    return GradientNorms(dataclasses.replace(config, compare=tuple(cells)), spec), data


def test_untrained_norms_are_means_over_seeds_on_one_scaled_batch(monkeypatch):
    task, data = make(monkeypatch, seeds=3, batch=8, epochs=0)
    (name, table), *_ = task.tables(Model(), data).items()
    assert (name, list(table)) == ("gradient_norms", ["step", "rnn_start", "other_start"])
    np.testing.assert_array_equal(table["step"], np.arange(1, TIME + 1))
    x = (data.test["inputs"][:8, :, 0] - 1) / 3
    y, expected = data.test["targets"][:8, 0] / 2, []
    h = np.zeros(8)
    for t in range(TIME):
        h = 0.7 * h + x[:, t]
    for seed in range(3):
        w = float(Decay(DecayConfig(2), None, None, rngs=nnx.Rngs(jax.random.key(seed))).w[...])
        expected.append([np.abs(2 * w * (w * h - y)).mean() * 0.7 ** (TIME - t) for t in range(1, TIME + 1)])
    np.testing.assert_allclose(table["rnn_start"], np.mean(expected, 0), rtol=1e-5)


def test_training_changes_how_far_the_gradient_reaches(monkeypatch):
    """The targets are plain sums, for which the network must learn a = 1."""
    task, data = make(monkeypatch, epochs=300, batch=10, learning_rate=0.01)
    table = task.tables(Model(), data)["gradient_norms"]
    assert table["rnn_start"][0] / table["rnn_start"][-1] == pytest.approx(0.7 ** (TIME - 1), rel=1e-4)
    assert table["rnn_trained"][0] / table["rnn_trained"][-1] == pytest.approx(1, abs=0.02)


def test_the_runs_own_network_is_not_trained_again(monkeypatch):
    task, data = make(monkeypatch, epochs=1)
    own = Other(DecayConfig(1), None, None, rngs=nnx.Rngs(7))
    table = task.tables(own, data)["gradient_norms"]
    assert table["other_trained"][0] / table["other_trained"][-1] == pytest.approx(0.6 ** (TIME - 1), rel=1e-4)
    assert table["rnn_trained"][0] / table["rnn_trained"][-1] > 0.65 ** (TIME - 1)


@pytest.mark.parametrize("examples", [23, 4])
def test_every_epoch_visits_every_example_at_most_once(examples):
    order = np.asarray(gradient_norms._order(examples, 5, 3))
    steps = max(1, examples // 5)
    assert order.shape == (3 * steps, min(5, examples))
    for epoch in order.reshape(3, -1):
        assert len(set(epoch.tolist())) == len(epoch)


def test_data_without_time_is_refused(monkeypatch):
    task, _ = make(monkeypatch)
    with pytest.raises(ConfigError) as caught:
        GradientNorms(task.config, DataSpec("table", (4,), (1,), "regression")).output_spec()
    assert str(caught.value) == (
        "task=gradient_norms needs a series, but the data set is of kind table. Set for example dataset=adding."
    )
