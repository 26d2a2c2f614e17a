"""The compiled core: pure functions over (traced numbers, state, data), closed over the static config alone.

The same functions train one run and, mapped over their leading arguments, a whole group of trials.
"""

import fnmatch
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from nnrun.config import RunConfig
from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch, Number, Outputs
from nnrun.models.randomness import Streams
from nnrun.tasks.base import ArrayScaling, Statistics
from nnrun.training.augmentation import augment

Traced = dict[str, Any]
Part = dict[str, jax.Array]


class Chunk(NamedTuple):
    """Batches of an epoch in their order: rows (batches, batch, ...), and the number of the step of the first one."""

    rows: Part
    first: Any


class Fitted(NamedTuple):
    """What was fitted on the training data and is applied inside the step."""

    inputs: ArrayScaling
    targets: ArrayScaling | None


class Weights(NamedTuple):
    """What a trained network consists of: learnt arrays and running statistics."""

    params: Any
    statistics: Any


class EpochSums(NamedTuple):
    """What the steps of the current epoch add up to: data loss, number of examples; and the last learning rate."""

    loss: Any
    examples: Any
    learning_rate: Any


class State(NamedTuple):
    """Everything that training carries; `numbers` are the model's own hyperparameters, `step` counts from 0."""

    weights: Weights
    best: Weights
    numbers: Any
    optimizer: Any
    schedule: Any
    fitted: Fitted
    step: jax.Array
    sums: EpochSums


class Program(NamedTuple):
    """The functions of a run; `train_steps` is the number of steps of an epoch.

    init(traced, fitted) -> State
    steps(traced, state, source, count) -> State after `count` (dynamic) batches, all of one epoch; `source` is the
        training part, shuffled here, or a Chunk that has them all
    evaluate(traced, state, chunk) -> Statistics of a padded chunk of examples, with its mask
    outputs(traced, state, chunk) -> Outputs of every example of the chunk
    end_epoch(traced, state, value, improved) -> State with the best weights kept and the schedule told
    model(traced, state) -> the network with the state's weights
    forward(traced, state, batch) -> Outputs of one batch of raw examples, and the batch in scaled units
    """

    init: Callable[..., State]
    steps: Callable[..., State]
    evaluate: Callable[..., Statistics]
    outputs: Callable[..., Outputs]
    end_epoch: Callable[..., State]
    model: Callable[..., Any]
    forward: Callable[..., tuple[Outputs, Batch]]
    train_steps: int


def build(
    static: RunConfig, spec: DataSpec, examples: int, shard: Callable[[jax.Array], jax.Array] = lambda x: x
) -> Program:
    """Builds the program of a static config for `examples` training examples.

    `shard` may pin the batch axis of an array to devices.
    """
    training = static.training
    batch_size = training.batch_size
    train_steps = -(-examples // batch_size)
    total_steps = training.epochs * train_steps
    network = _Network(static, spec)

    def schedule(traced: Traced) -> Any:
        return static.schedule.locate()(static.with_numbers("schedule", traced))

    def direction(traced: Traced) -> optax.GradientTransformation:
        return static.optimizer.locate()(static.with_numbers("optimizer", traced))

    def init(traced: Traced, fitted: Fitted) -> State:
        weights, numbers = network.create(traced, _key(traced, "weights"))
        optimizer, memory = direction(traced).init(weights.params), schedule(traced).initial()
        return State(weights, weights, numbers, optimizer, memory, fitted, jnp.int32(0), _no_sums())

    def shuffled(traced: Traced, epoch: jax.Array, part: Part) -> Callable[[jax.Array], Batch]:
        order = jax.random.permutation(jax.random.fold_in(_key(traced, "shuffle"), epoch), examples)
        order = jnp.resize(order, (train_steps * batch_size,))

        def rows(step: jax.Array) -> Batch:
            index = shard(jax.lax.dynamic_slice(order, ((step % train_steps) * batch_size,), (batch_size,)))
            return {name: shard(values[index]) for name, values in part.items()}

        return rows

    def given(chunk: Chunk) -> Callable[[jax.Array], Batch]:
        return lambda step: {name: shard(values[step - chunk.first]) for name, values in chunk.rows.items()}

    def steps(traced: Traced, state: State, source: Part | Chunk, count: jax.Array) -> State:
        epoch, noise = state.step // train_steps, _key(traced, "noise")
        rows = given(source) if isinstance(source, Chunk) else shuffled(traced, epoch, source)
        transformation, plan = direction(traced), schedule(traced)
        numbers, augmentation = (static.with_numbers(group, traced) for group in ("training", "augmentation"))
        rate = static.with_numbers("optimizer", traced).learning_rate

        def body(_: jax.Array, carry: tuple[Weights, Any, jax.Array, EpochSums]) -> Any:
            weights, optimizer, step, sums = carry
            first, streams = (step % train_steps) * batch_size, Streams(noise, step)
            batch = rows(step)
            batch["inputs"] = augment(augmentation, batch["inputs"], streams)
            batch = _scale(batch, state.fitted, spec)
            batch["mask"] = (first + jnp.arange(batch_size) < examples).astype(jnp.float32)
            (_, (loss, statistics)), gradient = network.gradient(traced, weights, state.numbers, batch, streams)
            gradient = _learning(gradient, training.trainable)
            if numbers.gradient_clip is not None:
                gradient = _clip(gradient, numbers.gradient_clip)
            update, optimizer = transformation.update(gradient, optimizer, weights.params)
            learning_rate = rate * plan.factor(step / total_steps, state.schedule)
            moved = jax.tree.map(lambda p, u: (p - learning_rate * u).astype(p.dtype), weights.params, update)
            params = _learning(moved, training.trainable, weights.params)
            sums = EpochSums(sums.loss + loss, sums.examples + batch["mask"].sum(), jnp.float32(learning_rate))
            return Weights(params, statistics), optimizer, step + 1, sums

        carry = (state.weights, state.optimizer, state.step, state.sums)
        weights, optimizer, step, sums = jax.lax.fori_loop(0, count, body, carry)
        return state._replace(weights=weights, optimizer=optimizer, step=step, sums=sums)

    def over_batches(function: Callable[[Batch], Any], state: State, chunk: Part) -> Any:
        def scaled(batch: Batch) -> Batch:
            return _scale({name: shard(values) for name, values in batch.items()}, state.fitted, spec)

        return jax.lax.map(lambda batch: function(scaled(batch)), chunk)

    def evaluate(traced: Traced, state: State, chunk: Part) -> Statistics:
        def one(batch: Batch) -> Statistics:
            outputs, _ = network.forward(traced, state.weights, state.numbers, batch)
            return network.statistics(traced, outputs, batch, state.fitted.targets)

        sums, rows = over_batches(one, state, chunk)
        return Statistics(jax.tree.map(lambda s: s.sum(0), sums), jax.tree.map(_join, rows))

    def outputs(traced: Traced, state: State, chunk: Part) -> Outputs:
        def one(batch: Batch) -> Outputs:
            return network.forward(traced, state.weights, state.numbers, batch)[0]._replace(penalties={})

        return jax.tree.map(_join, over_batches(one, state, chunk))

    def end_epoch(traced: Traced, state: State, value: jax.Array, improved: jax.Array) -> State:
        best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.weights, state.best)
        memory = schedule(traced).observe(state.schedule, value)
        return state._replace(best=best, schedule=memory, sums=_no_sums())

    def model(traced: Traced, state: State) -> Any:
        return network.merge(traced, state.weights, state.numbers)

    def forward(traced: Traced, state: State, batch: Batch) -> tuple[Outputs, Batch]:
        scaled = _scale(batch, state.fitted, spec)
        return network.forward(traced, state.weights, state.numbers, scaled)[0], scaled

    return Program(init, steps, evaluate, outputs, end_epoch, model, forward, train_steps)


class _Network:
    """Model and task of a static config as functions of bare arrays."""

    def __init__(self, static: RunConfig, spec: DataSpec) -> None:
        self.static, self.spec = static, spec
        self.output = self.task({}).output_spec()
        self.compute = jnp.dtype(static.training.precision)
        self.graph: Any = None

    def task(self, traced: Traced) -> Any:
        return self.static.task.locate()(self.static.with_numbers("task", traced), self.spec)

    def model(self, traced: Traced, rngs: nnx.Rngs) -> Any:
        config = self.static.with_numbers("model", traced)
        return self.static.model.locate()(config, self.spec, self.output, rngs=rngs)

    def create(self, traced: Traced, key: jax.Array) -> tuple[Weights, Any]:
        model = self.model(traced, nnx.Rngs(key))
        self.graph, params, numbers, statistics = split(model)
        return Weights(params, statistics), numbers

    def merge(self, traced: Traced, weights: Weights, numbers: Any) -> Any:
        if self.graph is None:
            self.graph = split(nnx.eval_shape(lambda: self.model(traced, nnx.Rngs(0))))[0]
        return nnx.merge(self.graph, weights.params, numbers, weights.statistics)

    def forward(
        self, traced: Traced, weights: Weights, numbers: Any, batch: Batch, rngs: Streams | None = None
    ) -> tuple[Outputs, Any]:
        """Outputs in float32, and the running statistics after the batch."""
        params = _cast(weights.params, self.compute)
        model = self.merge(traced, Weights(params, weights.statistics), numbers)
        outputs, _ = model({**batch, "inputs": _cast(batch["inputs"], self.compute)}, rngs)
        return _cast(outputs, jnp.dtype("float32")), split(model)[3]

    def gradient(self, traced: Traced, weights: Weights, numbers: Any, batch: Batch, streams: Streams) -> Any:
        def objective(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            outputs, statistics = self.forward(traced, weights._replace(params=params), numbers, batch, streams)
            data_loss = self.data_loss(traced, outputs, batch)
            penalized = sum(outputs.penalties.values(), data_loss)
            mask = batch["mask"]
            mean = (penalized * mask).sum() / jnp.maximum(mask.sum(), 1)
            return mean, ((data_loss * mask).sum(), statistics)

        return jax.value_and_grad(objective, has_aux=True)(weights.params)

    def data_loss(self, traced: Traced, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) the task's loss and the model's own terms."""
        return sum(outputs.terms.values(), self.task(traced).loss(outputs, batch))

    def statistics(self, traced: Traced, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        mask = batch["mask"]
        found = self.task(traced).statistics(outputs, batch, targets)
        own = {"loss": (self.data_loss(traced, outputs, batch) * mask).sum(), "count": mask.sum()}
        own |= {f"term/{name}": (values * mask).sum() for name, values in outputs.terms.items()}
        return Statistics({**found.sums, **{f"nnrun/{k}": v for k, v in own.items()}}, found.rows)


def split(model: Any) -> tuple[Any, Any, Any, Any]:
    """Graph, params, numbers and running statistics of a network, as bare arrays."""
    graph, *parts = nnx.split(model, nnx.Param, Number, ...)
    params, numbers, statistics = (nnx.as_pure(part) for part in parts)
    return graph, params, numbers, statistics


def weight_names(tree: Any) -> list[str]:
    """Dotted names of the leaves, in tree order: `hidden.dense.0.kernel`."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [".".join(_entry_name(entry) for entry in path) for path, _ in paths]


def _entry_name(entry: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _no_sums() -> EpochSums:
    return EpochSums(jnp.float32(0), jnp.float32(0), jnp.float32(0))


def _key(traced: Traced, use: str) -> jax.Array:
    """One key per use of randomness, all from the seed."""
    return jax.random.fold_in(jax.random.key(traced["seed"]), ("weights", "shuffle", "noise").index(use))


def _scale(batch: Batch, fitted: Fitted, spec: DataSpec) -> Batch:
    """A batch with inputs, and targets that are values, in scaled units."""

    def scaled(raw: jax.Array, scaling: ArrayScaling) -> jax.Array:
        raw = raw.astype(jnp.float32)
        return scaling.apply(jnp.log(raw) if spec.log else raw)

    batch = {**batch, "inputs": scaled(batch["inputs"], fitted.inputs)}
    if fitted.targets is not None and spec.classes is None and "targets" in batch:
        batch["targets"] = scaled(batch["targets"], fitted.targets)
    return batch


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)


def _clip(gradient: Any, largest: jax.Array) -> Any:
    """Scales the gradient so that its global norm is at most `largest` (Pascanu et al. 2013)."""
    factor = jnp.minimum(1.0, largest / jnp.maximum(optax.tree.norm(gradient), 1e-12))
    return jax.tree.map(lambda g: g * factor, gradient)


def _learning(tree: Any, trainable: tuple[str, ...], frozen: Any = None) -> Any:
    """The leaves whose names match a glob; elsewhere those of `frozen`, or zeros."""
    if trainable == ("*",):
        return tree
    leaves, structure = jax.tree.flatten(tree)
    others = jax.tree.leaves(frozen) if frozen is not None else [jnp.zeros_like(leaf) for leaf in leaves]
    learns = [any(fnmatch.fnmatch(name, glob) for glob in trainable) for name in weight_names(tree)]
    return jax.tree.unflatten(structure, [a if on else b for a, b, on in zip(leaves, others, learns, strict=True)])


def _join(stacked: jax.Array) -> jax.Array:
    """(batches, batch, ...) -> (examples, ...)."""
    return stacked.reshape(-1, *stacked.shape[2:])
