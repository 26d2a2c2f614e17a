"""Regression that also measures how far back through time the loss's gradient reaches."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from nnrun.datasets.base import Data
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, OutputSpec
from nnrun.schema import config_class, locate, setting, size
from nnrun.tasks.regression import Regression, RegressionConfig
from nnrun.tasks.scores import scaled

CELLS = {"rnn": "nnrun.models.rnn.RNN", "lstm": "nnrun.models.lstm.LSTM", "gru": "nnrun.models.gru.GRU"}


@dataclass(frozen=True)
class GradientNormsConfig(RegressionConfig):
    """Keys of task=gradient_norms."""

    compare: tuple[Literal["rnn", "lstm", "gru"], ...] = setting(("rnn", "lstm", "gru"), "networks to compare")
    hidden_size: int = size(64, "their units")
    seeds: int = size(5, "untrained networks of each kind, over which the norms are averaged")
    batch: int = size(64, "test examples for the norms, and training examples per step")
    epochs: int = size(10, "passes over the training part of the compared networks; 0: untrained alone", least=0)
    learning_rate: float = setting(3e-3, "of the compared networks (Adam, global norm clipped at 1)", above=0.0)


class GradientNorms(Regression):
    """Regression, and the table gradient_norms: for every time step t the mean over a batch of ‖∂L/∂h_t‖₂.

    Columns `step` (1 is the oldest), `<network>_start` (mean over freshly initialised networks) and
    `<network>_trained`, where the run's own network stands in for the compared one of its kind. Whether a gate keeps
    the gradient is learnt: an untrained GRU halves its state at every step, so the contrast shows after training.
    Source: Bengio, Simard & Frasconi, Learning long-term dependencies with gradient descent is difficult (1994);
    Hochreiter & Schmidhuber, Long short-term memory (1997).
    """

    config: GradientNormsConfig
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "gradient_norms", "predicted_vs_true")

    def output_spec(self) -> OutputSpec:
        """As for regression. Raises ConfigError when the data is no series of numbers with numbers as targets."""
        if self.data.kind != "series":
            raise ConfigError(
                f"task=gradient_norms needs a series, but the data set is of kind {self.data.kind}. "
                "Set for example dataset=adding."
            )
        return super().output_spec()

    def tables(self, model: Model, data: Data) -> dict[str, dict[str, np.ndarray]]:
        """{"gradient_norms": columns (time,)}."""
        batch = _batch(data, "test", slice(self.config.batch))
        columns = {"step": np.arange(1, self.data.inputs[0] + 1)}
        for name in self.config.compare:
            columns[f"{name}_start"] = np.asarray(self._start(name, batch))
        own = type(model).__name__.lower()
        for name in self.config.compare:
            if name == own:
                columns[f"{name}_trained"] = np.asarray(_norms(self, model, batch))
            elif self.config.epochs:
                columns[f"{name}_trained"] = np.asarray(self._trained(name, batch, data))
        return {"gradient_norms": columns}

    def _build(self, name: str, key: jax.Array) -> Any:
        config = config_class(CELLS[name])(hidden_size=self.config.hidden_size)
        return locate(CELLS[name])(config, self.data, self.output_spec(), rngs=nnx.Rngs(key))

    def _start(self, name: str, batch: Batch) -> jax.Array:
        """(time,) mean over seeds."""
        keys = jnp.stack([jax.random.key(seed) for seed in range(self.config.seeds)])
        return jax.jit(lambda: jax.lax.map(lambda key: _norms(self, self._build(name, key), batch), keys).mean(0))()

    def _trained(self, name: str, batch: Batch, data: Data) -> jax.Array:
        """(time,) of the network of the first seed after its training."""
        order = _order(len(data.train["inputs"]), self.config.batch, self.config.epochs)
        optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(self.config.learning_rate))
        train = _batch(data, "train", slice(None))

        def run() -> jax.Array:
            graph, params, *rest = nnx.split(self._build(name, jax.random.key(0)), nnx.Param, ...)

            def loss(params: Any, examples: Batch) -> jax.Array:
                outputs, _ = nnx.merge(graph, params, *rest)(examples)
                return self.loss(outputs, examples).mean()

            def step(carry: tuple[Any, Any], index: jax.Array) -> tuple[tuple[Any, Any], None]:
                params, memory = carry
                gradient = jax.grad(loss)(params, {key: values[index] for key, values in train.items()})
                update, memory = optimizer.update(gradient, memory, params)
                return (optax.apply_updates(params, update), memory), None

            (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), order)
            return _norms(self, nnx.merge(graph, params, *rest), batch)

        return jax.jit(run)()


def _norms(task: GradientNorms, model: Any, batch: Batch) -> jax.Array:
    return model.hidden_gradients(batch, task.loss)


def _batch(data: Data, part: str, which: slice) -> Batch:
    inputs, targets = scaled(data, part)
    found = {"inputs": jnp.asarray(inputs[which], jnp.float32), "targets": jnp.asarray(targets[which], jnp.float32)}
    if "lengths" in getattr(data, part):
        found["lengths"] = jnp.asarray(getattr(data, part)["lengths"][which])
    return found


def _order(examples: int, batch: int, epochs: int) -> jax.Array:
    """(steps, batch) indices: every epoch another order, its incomplete last batch left out."""
    rng, batch = np.random.default_rng(0), min(batch, examples)
    whole = examples // batch * batch
    return jnp.asarray(np.concatenate([rng.permutation(examples)[:whole].reshape(-1, batch) for _ in range(epochs)]))
