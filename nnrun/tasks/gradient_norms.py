"""Regression that also measures how far back through time the loss's gradient reaches."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nnrun.datasets.base import Data
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, OutputSpec
from nnrun.schema import config_class, locate, setting, size
from nnrun.tasks.baselines.scores import scaled
from nnrun.tasks.regression import Regression, RegressionConfig

TARGETS = {"rnn": "nnrun.models.rnn.RNN", "lstm": "nnrun.models.lstm.LSTM", "gru": "nnrun.models.gru.GRU"}
OPEN = {"rnn": (), "lstm": ((1, 1.0), (0, -1.0)), "gru": ((1, 1.0),)}
"""Blocks of the bias that open a network's memory, with the sign of log u: forget and input gate, update gate."""


@dataclass(frozen=True)
class GradientNormsConfig(RegressionConfig):
    """Keys of task=gradient_norms."""

    compare: tuple[Literal["rnn", "lstm", "gru"], ...] = setting(("rnn", "lstm", "gru"), "untrained networks")
    hidden_size: int = size(64, "their units")
    seeds: int = size(5, "initial weights over which their norms are averaged")
    batch: int = size(64, "test examples over which the norms are averaged")


class GradientNorms(Regression):
    """Regression, and the table gradient_norms: for every step t the mean over a batch of ‖∂L/∂h_t‖₂.

    Columns: `step` (1 is the oldest); `<network>_start` with the usual initial weights; `<network>_open`, the same
    with gates biased to remember: log u for the forget gate (LSTM) or the update gate Z (GRU) and -log u for the
    LSTM's input gate, u ~ U(1, steps - 1), while an RNN has no gate to open; `<network>_trained`, the run's own
    network at its best.
    `lstm_cell_...` is ‖∂L/∂C_{t-1}‖₂ of the cell state that step t receives: an LSTM's memory is C, not H.
    Whether gates keep the gradient is learnt or set, it does not come with the architecture: with zero biases a GRU
    halves its state at every step and forgets faster than an RNN.
    Source: Bengio, Simard & Frasconi, Learning long-term dependencies with gradient descent is difficult (1994);
    Hochreiter & Schmidhuber (1997); Tallec & Ollivier, Can recurrent neural networks warp time? (2018) for the biases.
    """

    config: GradientNormsConfig
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "gradient_norms", "predicted_vs_true")

    def output_spec(self) -> OutputSpec:
        """A regression's head. Raises ConfigError unless the data is series of equal length with one target each."""
        if self.data.kind != "series" or self.data.per_step or self.data.lengths:
            raise ConfigError(
                "task=gradient_norms needs series of equal length with one target each, but the data set is of kind "
                f"{self.data.kind}{', with a target at every step' if self.data.per_step else ''}"
                f"{', of unequal length' if self.data.lengths else ''}. Set for example dataset=adding."
            )
        return super().output_spec()

    def tables(self, model: Model, data: Data) -> dict[str, dict[str, np.ndarray]]:
        """{"gradient_norms": columns (time,)}."""
        inputs, targets = (jnp.asarray(values[: self.config.batch], jnp.float32) for values in scaled(data, "test"))
        batch = {"inputs": inputs, "targets": targets}
        found = {"step": np.arange(1, inputs.shape[1] + 1)}
        untrained = {name: self._untrained(name, batch) for name in self.config.compare}
        for row, stage in enumerate(("start", "open")):
            for name, norms in untrained.items():
                found |= _columns(name, stage, {state: values[row] for state, values in norms.items()})
        if hasattr(model, "hidden_gradients"):
            norms = jax.jit(lambda: self._norms(model, batch))()
            found |= _columns(type(model).__name__.lower(), "trained", norms)
        return {"gradient_norms": found}

    def _untrained(self, name: str, batch: Batch) -> dict[str, jax.Array]:
        """Norms (2, time) with the usual and with opened gates, the mean over seeds."""

        def one(seed: jax.Array, opened: jax.Array) -> dict[str, jax.Array]:
            config = config_class(TARGETS[name])(hidden_size=self.config.hidden_size)
            weights_key, gates_key = jax.random.split(jax.random.key(seed))
            model = locate(TARGETS[name])(config, self.data, self.output_spec(), rngs=nnx.Rngs(weights_key))
            open_gates(model, OPEN[name], batch["inputs"].shape[1], gates_key, opened)
            return self._norms(model, batch)

        # Every seed twice, at first with the usual gates and then with opened ones: one program for both.
        seeds = jnp.arange(2 * self.config.seeds) % self.config.seeds
        opened = jnp.arange(len(seeds)) >= self.config.seeds
        norms = jax.jit(lambda: jax.lax.map(lambda x: one(*x), (seeds, opened)))()
        return jax.tree.map(lambda values: values.reshape(2, self.config.seeds, -1).mean(1), norms)

    def _norms(self, model: Any, batch: Batch) -> dict[str, jax.Array]:
        """`hidden` and, for an LSTM that reads out its last state, `cell`, each (time,)."""
        found = {"hidden": model.hidden_gradients(batch, self.loss)}
        carry = jax.eval_shape(lambda: model(batch)[1])
        if carry is not None and len(carry[-1]) == 2 and model.readout == "last":
            found["cell"] = self._cell_norms(model, batch, carry)
        return found

    def _cell_norms(self, model: Any, batch: Batch, carry: Any) -> jax.Array:
        """(time,) from a walk in single steps, with a zero added to the last layer's cell state before every step."""
        steps = jnp.swapaxes(batch["inputs"], 0, 1)[:, :, None]
        start = jax.tree.map(lambda state: jnp.zeros(state.shape, state.dtype), carry)
        deltas = jnp.zeros((len(steps), *start[-1][1].shape), start[-1][1].dtype)

        def total(deltas: jax.Array) -> jax.Array:
            def step(carry: Any, now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
                x, delta = now
                hidden, cell = carry[-1]
                outputs, carry = model({"inputs": x}, carry=(*carry[:-1], (hidden, cell + delta)))
                return carry, outputs.prediction

            outputs, _ = model(batch)
            _, predictions = jax.lax.scan(step, start, (steps, deltas))
            return self.loss(outputs._replace(prediction=predictions[-1]), batch).sum()

        return jnp.linalg.norm(jax.grad(total)(deltas), axis=-1).mean(1)


def open_gates(
    model: Any, blocks: tuple[tuple[int, float], ...], steps: int, key: jax.Array, opened: jax.Array
) -> None:
    """Sets biases, where `opened`, of the first layer's gates to ± log u, u ~ U(1, steps - 1), one u per unit."""
    bias, units = model.layers[0][0].bias, model.layers[0][0].units
    # A series of two steps or fewer would leave no interval to draw from.
    memory = jnp.log(jax.random.uniform(key, (units,), minval=1.0, maxval=max(steps - 1.0, 1.0 + 1e-6)))
    rows = bias[...].reshape(-1, units)
    for block, sign in blocks:
        rows = rows.at[block].set(jnp.where(opened, sign * memory, rows[block]))
    bias[...] = rows.reshape(-1)


def _columns(name: str, stage: str, norms: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    names = {"hidden": f"{name}_{stage}", "cell": f"{name}_cell_{stage}"}
    return {names[state]: np.asarray(norms[state]) for state in names if state in norms}
