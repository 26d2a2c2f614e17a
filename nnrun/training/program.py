"""The compiled core: pure functions over (traced numbers, state, data), closed over the static config alone.

The same functions train one run and, mapped over their leading arguments, a whole group of trials.
"""

import fnmatch
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch, Outputs
from nnrun.models.kernels.randomness import Streams
from nnrun.tasks.base import Statistics
from nnrun.training.augmentation import augment
from nnrun.training.network import Network, weight_names
from nnrun.training.shuffling import permutation
from nnrun.training.state import EpochSums, Fitted, State, Traced, Weights

Part = dict[str, jax.Array]


class Chunk(NamedTuple):
    """Batches of an epoch in their order: rows (batches, batch, ...), and the number of the step of the first one."""

    rows: Part
    first: Any


class Program:
    """Everything that is compiled, for a static config and `examples` training examples, as pure functions.

    `shard` may pin the batch axis of an array to devices. `copied` is whether training lays out the shuffled part
    before its steps, which spares each of them a gather. `train_steps` is the number of steps of an epoch,
    `answer_size` that of the numbers predicted for an example, `generates` whether predicting takes more than judging.
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
        self.train_steps, self.generates = -(-examples // self._batch_size), static.task.cls.generates()
        self._network = Network(static, spec)
        self.answer_size = self._network.output.size * (spec.inputs[0] if self._network.output.per_step else 1)

    def init(self, traced: Traced, fitted: Fitted) -> State:
        """The state before the first step."""
        weights, numbers = self._network.create(traced, _key(traced, "weights"))
        optimizer, memory = self._direction(traced).init(weights.params), self._schedule(traced).initial()
        return State(weights, weights, numbers, optimizer, memory, fitted, jnp.int32(0), EpochSums.none())

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
        """What the task answers to every example of a chunk (batches, batch, ...), which needs no targets."""
        return jax.tree.map(_join, self._over_batches(lambda batch: self._answer(traced, state, batch), state, chunk))

    def judge(self, traced: Traced, state: State, chunk: Part) -> tuple[Statistics, Outputs]:
        """What `evaluate` and `outputs` give, at once."""
        judged = self._judged(traced, state)

        def one(batch: Batch) -> tuple[Statistics, Outputs]:
            found, outputs = judged(batch)
            return found, self._answer(traced, state, batch, outputs)

        found, answers = self._over_batches(one, state, chunk)
        return _of_chunk(found), jax.tree.map(_join, answers)

    def end_epoch(self, traced: Traced, state: State, value: jax.Array, improved: jax.Array) -> State:
        """The state with the best weights kept and the schedule told."""
        best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.weights, state.best)
        memory = self._schedule(traced).observe(state.schedule, value)
        return state._replace(best=best, schedule=memory, sums=EpochSums.none())

    def model(self, traced: Traced, state: State) -> Any:
        """The network with the state's weights."""
        return self._network.merge(traced, state.weights, state.numbers)

    def forward(self, traced: Traced, state: State, batch: Batch) -> tuple[Outputs, Batch]:
        """Outputs of one batch of raw examples, and the batch in scaled units."""
        scaled = state.fitted.scaled(batch, self._spec)
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
            return self._network.statistics(traced, outputs, batch, state.fitted.targets), outputs

        return one

    def _answer(self, traced: Traced, state: State, batch: Batch, outputs: Outputs | None = None) -> Outputs:
        """What of a batch leaves the device; `outputs` are the network's own, where they are at hand."""
        network, own = self._network, (state.weights, state.numbers, batch)
        if self.generates:
            return network.generated(traced, *own, _key(traced, "noise"))
        return network.condensed(traced, network.forward(traced, *own)[0] if outputs is None else outputs, batch)

    def _over_batches(self, function: Callable[[Batch], Any], state: State, chunk: Part) -> Any:
        def scaled(batch: Batch) -> Batch:
            return state.fitted.scaled({name: self._shard(values) for name, values in batch.items()}, self._spec)

        return jax.lax.map(lambda batch: function(scaled(batch)), chunk)


class Carry(NamedTuple):
    """The parts of the state that a step changes."""

    weights: Weights
    optimizer: Any
    step: jax.Array
    sums: EpochSums


class _Step:
    """One step of training: what stays the same over the steps of a call, applied to what a step changes."""

    def __init__(self, static: RunConfig, traced: Traced, state: State, network: Network, train_steps: int) -> None:
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
        augmented = augment(self._augmentation, batch, streams, self._network.spec)
        scaled = self._state.fitted.scaled(augmented, self._network.spec)
        (_, (loss, statistics)), gradient = self._network.gradient(
            self._traced, carry.weights, self._state.numbers, scaled, streams
        )
        learning_rate = self._rate * self._plan.factor(carry.step / self._total, self._state.schedule)
        params, optimizer = self._update(carry, gradient, learning_rate)
        sums = carry.sums
        counts = self._network.counts(self._traced, scaled).sum()
        sums = EpochSums(sums.loss + loss, sums.examples + counts, jnp.float32(learning_rate))
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
    return getattr(static, group).cls(static.with_numbers(group, traced))


def _key(traced: Traced, use: str) -> jax.Array:
    """One key per use of randomness, all from the seed."""
    return jax.random.fold_in(jax.random.key(traced["seed"]), ("weights", "shuffle", "noise").index(use))


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
