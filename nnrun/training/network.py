"""Model and task of a static config as functions of bare arrays."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch, Number, Outputs
from nnrun.models.kernels.randomness import Streams
from nnrun.tasks.base import ArrayScaling, Statistics
from nnrun.training.frozen import EVERY, Frozen
from nnrun.training.state import Traced, Weights


class Network:
    """Merges model and task with their numbers; `output` is the head the task asks the model for."""

    def __init__(self, static: RunConfig, spec: DataSpec) -> None:
        self.static, self.spec = static, spec
        self.output = self.task({}).output_spec()
        self.compute = jnp.dtype(static.training.precision)
        self.streams = static.model.cls.streams(static.model.config, spec)
        self.graph: Any = None

    def task(self, traced: Traced) -> Any:
        """The task with its numbers."""
        return self.static.task.cls(self.static.with_numbers("task", traced), self.spec)

    def model(self, traced: Traced, rngs: nnx.Rngs) -> Any:
        """The model with its numbers and initial weights."""
        config, trainable = self.static.with_numbers("model", traced), self.static.training.trainable
        model = self.static.model.cls(config, self.spec, self.output, rngs=rngs)
        if trainable != EVERY:
            Frozen(weight_names(split(model)[1]), trainable).normalize_as_in_evaluation(model)
        return model

    def create(self, traced: Traced, key: jax.Array) -> tuple[Weights, Any]:
        """Initial weights, and the model's numbers as arrays."""
        model = self.model(traced, nnx.Rngs(key))
        self.graph, params, numbers, statistics = split(model)
        return Weights(params, statistics), numbers

    def merge(self, traced: Traced, weights: Weights, numbers: Any) -> Any:
        """The model with these weights."""
        if self.graph is None:
            # Structure alone: no initial weights are drawn for it.
            self.graph = split(nnx.eval_shape(lambda: self.model(traced, nnx.Rngs(0))))[0]
        return nnx.merge(self.graph, weights.params, numbers, weights.statistics)

    def initial_carry(self, traced: Traced, weights: Weights, numbers: Any, rows: int) -> Any:
        """The model's carry at the start of so many streams; None for a model that reads none."""
        return self.merge(traced, weights, numbers).initial_carry(rows) if self.streams else None

    def forward(
        self,
        traced: Traced,
        weights: Weights,
        numbers: Any,
        batch: Batch,
        rngs: Streams | None = None,
        carry: Any = None,
    ) -> tuple[Outputs, Any, Any]:
        """Outputs in float32, the running statistics after the batch, and the carry after it where one was given.

        Rows of padding keep the carry that they had.
        """
        model, batch = self._computing(traced, weights, numbers, batch)
        outputs, after = model(batch, rngs, _cast(carry, self.compute))
        if carry is not None:
            real = batch["mask"] > 0  # (batch,)

            def kept(new: jax.Array, old: jax.Array) -> jax.Array:
                return jnp.where(real.reshape(-1, *(1,) * (old.ndim - 1)), new.astype(old.dtype), old)

            carry = jax.tree.map(kept, after, carry)
        return _cast(outputs, jnp.dtype("float32")), split(model)[3], carry

    def generated(self, traced: Traced, weights: Weights, numbers: Any, batch: Batch, key: jax.Array) -> Outputs:
        """What the task generates for a batch, in float32; what it draws depends on the number of the first example."""
        model, batch = self._computing(traced, weights, numbers, batch)
        first = batch["index"][0] if "index" in batch else jnp.int32(0)
        return _cast(self.task(traced).generate(model, batch, Streams(key, first)), jnp.dtype("float32"))

    def condensed(self, traced: Traced, outputs: Outputs, batch: Batch) -> Outputs:
        """What the task keeps of Outputs, without the penalties of training."""
        return self.task(traced).condense(outputs._replace(penalties={}), batch)

    def _computing(self, traced: Traced, weights: Weights, numbers: Any, batch: Batch) -> tuple[Any, Batch]:
        """The model and a batch in the precision of the arithmetic.

        Answers stay as they are, for a model that owns a part of the loss; whole numbers do, too.
        """
        params = _cast(weights.params, self.compute)
        model = self.merge(traced, Weights(params, weights.statistics), numbers)
        example = self.spec.example.values()
        seen = {field.name: batch[field.name] for field in example if not field.answer and field.name in batch}
        return model, {**batch, **_cast(seen, self.compute)}

    def gradient(
        self, traced: Traced, weights: Weights, numbers: Any, batch: Batch, streams: Streams, carry: Any = None
    ) -> Any:
        """((loss with penalties, (sum of the data loss, running statistics, carry)), gradient) of a scaled batch.

        The gradient ends at the batch: what led to the carry is taken as given.
        """

        def objective(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any, Any]]:
            own = weights._replace(params=params)
            outputs, statistics, after = self.forward(traced, own, numbers, batch, streams, carry)
            data_loss = self.data_loss(traced, outputs, batch)
            penalized = sum(outputs.penalties.values(), data_loss)
            counts = self.counts(traced, batch)
            mean = (penalized * counts).sum() / jnp.maximum(counts.sum(), 1)
            return mean, ((data_loss * counts).sum(), statistics, after)

        return jax.value_and_grad(objective, has_aux=True)(weights.params)

    def data_loss(self, traced: Traced, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) the task's loss and the model's own terms."""
        return sum(outputs.terms.values(), self.task(traced).loss(outputs, batch))

    def counts(self, traced: Traced, batch: Batch) -> jax.Array:
        """(batch,) how often each example counts in a mean, as the task says."""
        return self.task(traced).weights(batch)

    def statistics(self, traced: Traced, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """The task's statistics of a batch, its loss, how many examples count in it, and the model's own terms."""
        counts = self.counts(traced, batch)
        found = self.task(traced).statistics(outputs, batch, targets)
        own = {"loss": (self.data_loss(traced, outputs, batch) * counts).sum(), "count": counts.sum()}
        own |= {f"term/{name}": (values * counts).sum() for name, values in outputs.terms.items()}
        return Statistics({**found.sums, **{f"nnrun/{k}": v for k, v in own.items()}}, found.rows)


def split(model: Any) -> tuple[Any, Any, Any, Any]:
    """Graph, params, numbers and running statistics of a network, as bare arrays."""
    graph, *parts = nnx.split(model, nnx.Param, Number, ...)
    params, numbers, statistics = (nnx.as_pure(part) for part in parts)
    return graph, params, numbers, statistics


def weight_names(tree: Any) -> list[str]:
    """Dotted names of the leaves, in tree order: `hidden.dense.0.kernel`."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)
