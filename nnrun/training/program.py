"""The compiled core: pure functions over (traced numbers, state, data), closed over the static config alone.

The same functions train one run and, mapped over their leading arguments, a whole group of trials.
"""

import fnmatch
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from nnrun.config import RunConfig
from nnrun.datasets.base import DataSpec, Scaling
from nnrun.models.base import Batch, Number, Outputs
from nnrun.models.randomness import Streams
from nnrun.tasks.base import ArrayScaling, Statistics
from nnrun.training.augmentation import augment
from nnrun.training.shuffling import permutation

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

    @classmethod
    def of(cls, inputs: Scaling, targets: Scaling | None) -> "Fitted":
        """The scaling of a data set as arrays in float32."""
        return cls(_arrays(inputs), None if targets is None else _arrays(targets))


def _arrays(scaling: Scaling) -> ArrayScaling:
    return ArrayScaling(np.float32(scaling.offset), np.float32(scaling.scale))


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

    def to_judge(self, best: bool = False) -> "State":
        """What judging its weights, or its best ones, needs: the same without the rest."""
        return State(self.best if best else self.weights, (), self.numbers, (), (), self.fitted, (), ())  # type: ignore[arg-type]


class Program:
    """Everything that is compiled, for a static config and `examples` training examples, as pure functions.

    `shard` may pin the batch axis of an array to devices. `copied` is whether training lays out the shuffled part
    before its steps, which spares each of them a gather. `train_steps` is the number of steps of an epoch,
    `answer_size` that of the numbers predicted for an example.
    """

    def __init__(
        self,
        static: RunConfig,
        spec: DataSpec,
        examples: int,
        shard: Callable[[jax.Array], jax.Array] = lambda x: x,
        copied: bool = False,
    ) -> None:
        self._static, self._spec, self._examples = static, spec, examples
        self._shard, self._copied = shard, copied
        self._batch_size = static.training.batch_size
        self.train_steps = -(-examples // self._batch_size)
        self._network = _Network(static, spec)
        self.answer_size = self._network.output.size * (spec.inputs[0] if self._network.output.per_step else 1)

    def init(self, traced: Traced, fitted: Fitted) -> State:
        """The state before the first step."""
        weights, numbers = self._network.create(traced, _key(traced, "weights"))
        optimizer, memory = self._direction(traced).init(weights.params), self._schedule(traced).initial()
        return State(weights, weights, numbers, optimizer, memory, fitted, jnp.int32(0), _no_sums())

    def steps(self, traced: Traced, state: State, source: Part | Chunk, count: jax.Array) -> State:
        """The state after `count` (dynamic) batches, all of one epoch.

        `source` is the training part, shuffled here, or a Chunk that has them all.
        """
        rows = self._given(source) if isinstance(source, Chunk) else self._shuffled(traced, state.step, source)
        step = _Step(self._static, traced, state, self._network, self.train_steps)

        def body(_: jax.Array, carry: Carry) -> Carry:
            first = (carry.step % self.train_steps) * self._batch_size
            mask = (first + jnp.arange(self._batch_size) < self._examples).astype(jnp.float32)
            return step(carry, {**rows(carry.step), "mask": mask})

        carry = Carry(state.weights, state.optimizer, state.step, state.sums)
        return state._replace(**jax.lax.fori_loop(0, count, body, carry)._asdict())

    def evaluate(self, traced: Traced, state: State, chunk: Part) -> Statistics:
        """Statistics of a padded chunk (batches, batch, ...) of examples, with its mask."""
        judged = self._judged(traced, state)
        return _of_chunk(self._over_batches(lambda batch: judged(batch)[0], state, chunk))

    def outputs(self, traced: Traced, state: State, chunk: Part) -> Outputs:
        """Outputs of every example of a chunk (batches, batch, ...), which needs no targets."""

        def one(batch: Batch) -> Outputs:
            return self._network.forward(traced, state.weights, state.numbers, batch)[0]._replace(penalties={})

        return jax.tree.map(_join, self._over_batches(one, state, chunk))

    def judge(self, traced: Traced, state: State, chunk: Part) -> tuple[Statistics, Outputs]:
        """What `evaluate` and `outputs` give, at once."""
        found, outputs = self._over_batches(self._judged(traced, state), state, chunk)
        return _of_chunk(found), jax.tree.map(_join, outputs)

    def end_epoch(self, traced: Traced, state: State, value: jax.Array, improved: jax.Array) -> State:
        """The state with the best weights kept and the schedule told."""
        best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.weights, state.best)
        memory = self._schedule(traced).observe(state.schedule, value)
        return state._replace(best=best, schedule=memory, sums=_no_sums())

    def model(self, traced: Traced, state: State) -> Any:
        """The network with the state's weights."""
        return self._network.merge(traced, state.weights, state.numbers)

    def forward(self, traced: Traced, state: State, batch: Batch) -> tuple[Outputs, Batch]:
        """Outputs of one batch of raw examples, and the batch in scaled units."""
        scaled = _scale(batch, state.fitted, self._spec)
        return self._network.forward(traced, state.weights, state.numbers, scaled)[0], scaled

    def _schedule(self, traced: Traced) -> Any:
        return _member(self._static, "schedule", traced)

    def _direction(self, traced: Traced) -> optax.GradientTransformation:
        return _member(self._static, "optimizer", traced)

    def _shuffled(self, traced: Traced, step: jax.Array, part: Part) -> Callable[[jax.Array], Batch]:
        key = jax.random.fold_in(_key(traced, "shuffle"), step // self.train_steps)
        order = jnp.resize(permutation(key, self._examples), (self.train_steps * self._batch_size,))

        def taken(values: jax.Array, step: jax.Array) -> jax.Array:
            first = (step % self.train_steps) * self._batch_size
            return self._shard(jax.lax.dynamic_slice_in_dim(values, first, self._batch_size))

        if self._copied:
            copies = {name: values[order] for name, values in part.items()}
            return lambda step: {name: taken(values, step) for name, values in copies.items()}
        return lambda step: {name: self._shard(values[taken(order, step)]) for name, values in part.items()}

    def _given(self, chunk: Chunk) -> Callable[[jax.Array], Batch]:
        return lambda step: {name: self._shard(values[step - chunk.first]) for name, values in chunk.rows.items()}

    def _judged(self, traced: Traced, state: State) -> Callable[[Batch], tuple[Statistics, Outputs]]:
        def one(batch: Batch) -> tuple[Statistics, Outputs]:
            outputs, _ = self._network.forward(traced, state.weights, state.numbers, batch)
            found = self._network.statistics(traced, outputs, batch, state.fitted.targets)
            return found, outputs._replace(penalties={})

        return one

    def _over_batches(self, function: Callable[[Batch], Any], state: State, chunk: Part) -> Any:
        def scaled(batch: Batch) -> Batch:
            return _scale({name: self._shard(values) for name, values in batch.items()}, state.fitted, self._spec)

        return jax.lax.map(lambda batch: function(scaled(batch)), chunk)


class Carry(NamedTuple):
    """The parts of the state that a step changes."""

    weights: Weights
    optimizer: Any
    step: jax.Array
    sums: EpochSums


class _Step:
    """One step of training: what stays the same over the steps of a call, applied to what a step changes."""

    def __init__(self, static: RunConfig, traced: Traced, state: State, network: "_Network", train_steps: int) -> None:
        self._traced, self._state, self._network = traced, state, network
        self._noise = _key(traced, "noise")
        self._direction, self._plan = (_member(static, group, traced) for group in ("optimizer", "schedule"))
        self._training, self._augmentation = (
            static.with_numbers(name, traced) for name in ("training", "augmentation")
        )
        self._rate = static.with_numbers("optimizer", traced).learning_rate
        self._total = static.training.epochs * train_steps

    def __call__(self, carry: Carry, batch: Batch) -> Carry:
        """Trains on a batch of raw examples with their mask."""
        streams = Streams(self._noise, carry.step)
        augmented = {**batch, "inputs": augment(self._augmentation, batch["inputs"], streams)}
        scaled = _scale(augmented, self._state.fitted, self._network.spec)
        (_, (loss, statistics)), gradient = self._network.gradient(
            self._traced, carry.weights, self._state.numbers, scaled, streams
        )
        learning_rate = self._rate * self._plan.factor(carry.step / self._total, self._state.schedule)
        params, optimizer = self._update(carry, gradient, learning_rate)
        sums = carry.sums
        sums = EpochSums(sums.loss + loss, sums.examples + batch["mask"].sum(), jnp.float32(learning_rate))
        return Carry(Weights(params, statistics), optimizer, carry.step + 1, sums)

    def _update(self, carry: Carry, gradient: Any, learning_rate: jax.Array) -> tuple[Any, Any]:
        """The learnt arrays after the step, and the optimizer's state."""
        before, trainable = carry.weights.params, self._training.trainable
        gradient = _learning(gradient, trainable)
        if self._training.gradient_clip is not None:
            gradient = _clip(gradient, self._training.gradient_clip)
        update, optimizer = self._direction.update(gradient, carry.optimizer, before)
        moved = jax.tree.map(lambda p, u: (p - learning_rate * u).astype(p.dtype), before, update)
        return _learning(moved, trainable, before), optimizer


def _member(static: RunConfig, group: str, traced: Traced) -> Any:
    """The optimizer or schedule of a config, with its numbers."""
    return getattr(static, group).locate()(static.with_numbers(group, traced))


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


def _of_chunk(found: Statistics) -> Statistics:
    """From those of its batches."""
    return Statistics(jax.tree.map(lambda s: s.sum(0), found.sums), jax.tree.map(_join, found.rows))


def _join(stacked: jax.Array) -> jax.Array:
    """(batches, batch, ...) -> (examples, ...)."""
    return stacked.reshape(-1, *stacked.shape[2:])
