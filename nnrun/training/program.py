"""The compiled core: pure functions over (traced numbers, state, data), closed over the static config alone.

The same functions train one run and, mapped over their leading arguments, a whole group of trials.
"""

from collections.abc import Callable, Mapping
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
from nnrun.training.frozen import EVERY, Frozen, completed, learning
from nnrun.training.initial import started
from nnrun.training.network import Network, weight_names
from nnrun.training.shuffling import permutation
from nnrun.training.state import EpochSums, Fitted, State, Traced, Weights

Part = dict[str, jax.Array]


class Chunk(NamedTuple):
    """Batches of an epoch in their order: rows (batches, batch, ...), and the number of the step of the first one."""

    rows: Part
    first: Any


class Pool(NamedTuple):
    """Examples that folds share: every field (n, ...), and places (folds, ...) in it, below 0 where a fold has no more.

    index: of the places, in the part that they are a chunk of.
    """

    rows: Part
    places: Any
    index: Any = None

    def chunk(self, fold: Any) -> Part:
        """A fold's examples at places (batches, batch), with their mask."""
        places = self.places[fold]
        found = {name: values[jnp.maximum(places, 0)] for name, values in self.rows.items()}
        return {**found, "mask": (places >= 0).astype(jnp.float32), "index": self.index}


class Program:
    """Everything that is compiled, for a static config and `examples` training examples, as pure functions.

    Of folds these are the most, and `fewest` are those of the smallest one, in which the last steps may have none.
    `shard` may pin the batch axis of an array to devices, `gather` the whole of it to each. `copied` is whether
    training lays out the shuffled part before its steps, which spares each of them a gather. `train_steps` is the
    number of steps of an epoch, `answer_size` that of the numbers predicted for an example, `generates` whether
    predicting takes more than judging, `streams` whether a carry goes from batch to batch.
    """

    def __init__(
        self,
        static: RunConfig,
        spec: DataSpec,
        examples: int,
        shard: Callable[[jax.Array], jax.Array] = lambda x: x,
        copied: bool = False,
        gather: Callable[[jax.Array], jax.Array] = lambda x: x,
        fewest: int | None = None,
    ) -> None:
        self._static, self._spec, self._examples = static, spec, examples
        self._fewest = examples if fewest is None else fewest
        self._shard, self._copied, self._gather = shard, copied, gather
        self._batch_size = static.training.batch_size
        self.train_steps, self.generates = -(-examples // self._batch_size), static.task.cls.generates()
        self._network = Network(static, spec)
        self.streams = self._network.streams
        self.answer_size = self._network.output.size * (spec.inputs[0] if self._network.output.per_step else 1)

    def init(self, traced: Traced, fitted: Fitted, initial: Mapping[str, jax.Array] | None = None) -> State:
        """The state before the first step; `initial` has weights by name in the place of those that are drawn."""
        drawn, numbers = self._network.create(traced, _key(traced, "weights"))
        weights = started(drawn, initial or {})
        learnt = learning(weights.params, weight_names(weights.params), self._static.training.trainable)
        optimizer = _member(self._static, "optimizer", traced).init(learnt)
        memory = _member(self._static, "schedule", traced).initial()
        carry = self._network.initial_carry(traced, weights, numbers, self._batch_size)
        return State(weights, weights, numbers, optimizer, memory, fitted, jnp.int32(0), EpochSums.none(), carry)

    def steps(self, traced: Traced, state: State, source: Part | Chunk | Pool, count: jax.Array) -> State:
        """The state after `count` (dynamic) batches, all of one epoch.

        `source` is the training part, shuffled here unless it is read as streams, a Chunk that has them all, or the
        Pool of folds.
        """
        rows = self._rows(traced, state.step, source)
        step = _Step(self._static, traced, state, self._network, self.train_steps)
        examples: Any = self._examples
        if isinstance(source, Pool) and self._fewest < examples:
            examples = (source.places[traced["fold"]] >= 0).sum()

        def body(_: jax.Array, moving: Moving) -> Moving:
            mask = (self._positions(moving.step) < examples).astype(jnp.float32)
            if -(-self._fewest // self._batch_size) == self.train_steps:
                return step(moving, {**rows(moving.step), "mask": mask})
            # A smaller fold has fewer batches, and waits while the others have their last ones.
            return jax.lax.cond(
                mask.any(),
                lambda: step(moving, {**rows(moving.step), "mask": mask}),
                lambda: moving._replace(step=moving.step + 1),
            )

        moving = Moving(state.weights, state.optimizer, state.step, state.sums, state.carry)
        moved = jax.lax.fori_loop(0, count, body, moving)
        # Left where the batch is, it would come back split, as another kind of argument: a second compilation.
        return state._replace(**moved._replace(carry=jax.tree.map(self._gather, moved.carry))._asdict())

    def evaluate(self, traced: Traced, state: State, chunk: Part | Pool) -> Statistics:
        """Statistics of a padded chunk (batches, batch, ...) of examples, with its mask, or of one that is a fold's."""
        return self._over_batches(traced, state, chunk, judge=True)[0]

    def outputs(self, traced: Traced, state: State, chunk: Part) -> Outputs:
        """What the task answers to every example of a chunk (batches, batch, ...), which needs no targets."""
        return self._over_batches(traced, state, chunk, answer=True)[1]

    def judge(self, traced: Traced, state: State, chunk: Part | Pool) -> tuple[Statistics, Outputs]:
        """What `evaluate` and `outputs` give, at once."""
        return self._over_batches(traced, state, chunk, judge=True, answer=True)

    def end_epoch(self, traced: Traced, state: State, value: jax.Array, improved: jax.Array) -> State:
        """The state with the best weights kept and the schedule told; the next epoch starts anew."""
        best = jax.tree.map(lambda new, old: jnp.where(improved, new, old), state.weights, state.best)
        memory = _member(self._static, "schedule", traced).observe(state.schedule, value)
        carry = self._network.initial_carry(traced, state.weights, state.numbers, self._batch_size)
        return state._replace(best=best, schedule=memory, sums=EpochSums.none(), carry=carry)

    def model(self, traced: Traced, state: State) -> Any:
        """The network with the state's weights."""
        return self._network.merge(traced, state.weights, state.numbers)

    def forward(self, traced: Traced, state: State, batch: Batch) -> tuple[Outputs, Batch]:
        """Outputs of one batch of raw examples, and the batch in scaled units."""
        scaled = state.fitted.scaled(batch, self._spec)
        return self._network.forward(traced, state.weights, state.numbers, scaled)[0], scaled

    def _rows(self, traced: Traced, step: jax.Array, source: Part | Chunk | Pool) -> Callable[[jax.Array], Batch]:
        """The batch of a step as a function of it, for all steps of the epoch that `step` is of."""
        if isinstance(source, Chunk):
            return lambda step: {name: self._shard(rows[step - source.first]) for name, rows in source.rows.items()}
        if self.streams:
            order = jax.vmap(self._positions)(jnp.arange(self.train_steps)).reshape(-1).clip(max=self._examples - 1)
        else:
            key = jax.random.fold_in(_key(traced, "shuffle"), step // self.train_steps)
            order = permutation(key, self._examples)
            if isinstance(source, Pool):
                order = source.places[traced["fold"]][order]
                # What a fold lacks comes last, where the mask leaves it out.
                order = order[jnp.argsort(order < 0, stable=True)] if self._fewest < self._examples else order
            # The last batch is filled up with the first examples of the order; its mask leaves them out.
            order = jnp.resize(order, (self.train_steps * self._batch_size,))

        def taken(values: jax.Array, step: jax.Array) -> jax.Array:
            first = (step % self.train_steps) * self._batch_size
            return self._shard(jax.lax.dynamic_slice_in_dim(values, first, self._batch_size))

        part = source.rows if isinstance(source, Pool) else source
        if self._copied:
            copies = {name: values[order] for name, values in part.items()}
            return lambda step: {name: taken(values, step) for name, values in copies.items()}
        return lambda step: {name: self._shard(values[taken(order, step)]) for name, values in part.items()}

    def _positions(self, step: jax.Array) -> jax.Array:
        """(batch,) places in the order of the epoch, which a model over streams reads side by side, see Model.streams.

        Those from the number of examples on are padding.
        """
        within = step % self.train_steps
        if self.streams:
            return jnp.arange(self._batch_size) * self.train_steps + within
        return within * self._batch_size + jnp.arange(self._batch_size)

    def _over_batches(
        self, traced: Traced, state: State, chunk: Part | Pool, judge: bool = False, answer: bool = False
    ) -> tuple[Any, Any]:
        """The statistics of a chunk and the answers to its examples, None for what is not wanted.

        For a model over streams the chunk is cut into as many as a batch has rows, each read from its start.
        """
        network, own = self._network, (state.weights, state.numbers)
        part = chunk.chunk(traced["fold"]) if isinstance(chunk, Pool) else chunk

        def one(carry: Any, raw: Batch) -> tuple[Any, tuple[Any, Any]]:
            batch = state.fitted.scaled({name: self._shard(values) for name, values in raw.items()}, self._spec)
            found = answers = None
            if judge or not self.generates:
                outputs, _, carry = network.forward(traced, *own, batch, carry=carry)
                found = network.statistics(traced, outputs, batch, state.fitted.targets) if judge else None
                answers = network.condensed(traced, outputs, batch) if answer else None
            if answer and self.generates:
                answers = network.generated(traced, *own, batch, _key(traced, "noise"))
            return carry, (found, answers)

        if self.streams:
            part = jax.tree.map(_side_by_side, part)
        carry = network.initial_carry(traced, *own, rows=part["mask"].shape[1])
        _, (found, answers) = jax.lax.scan(one, carry, part)

        def join(leaf: jax.Array) -> jax.Array:
            """(batches, batch, ...) -> (examples, ...) in the order in which the chunk has them."""
            return (jnp.swapaxes(leaf, 0, 1) if self.streams else leaf).reshape(-1, *leaf.shape[2:])

        if judge:
            found = Statistics(jax.tree.map(lambda s: s.sum(0), found.sums), jax.tree.map(join, found.rows))
        return found, jax.tree.map(join, answers)


class Moving(NamedTuple):
    """The parts of the state that a step changes."""

    weights: Weights
    optimizer: Any
    step: jax.Array
    sums: EpochSums
    carry: Any


class _Step:
    """One step of training: what stays the same over the steps of a call, applied to what a step changes."""

    def __init__(self, static: RunConfig, traced: Traced, state: State, network: Network, train_steps: int) -> None:
        self._traced, self._state, self._network = traced, state, network
        self._noise = _key(traced, "noise")
        self._direction, self._plan = (_member(static, group, traced) for group in ("optimizer", "schedule"))
        self._training, self._augmentation = (
            static.with_numbers(name, traced) for name in ("training", "augmentation")
        )
        # Of the static part: numbers that are traced do not compare.
        self._augments = static.augmentation.active
        self._rate = static.with_numbers("optimizer", traced).learning_rate
        self._total = static.training.passes * train_steps

    def __call__(self, moving: Moving, batch: Batch) -> Moving:
        """Trains on a batch of raw examples with their mask."""
        streams = Streams(self._noise, moving.step)
        if self._augments:
            batch = augment(self._augmentation, batch, streams, self._network.spec)
        scaled = self._state.fitted.scaled(batch, self._network.spec)
        (_, (loss, statistics, after)), gradient = self._network.gradient(
            self._traced, moving.weights, self._state.numbers, scaled, streams, moving.carry
        )
        learning_rate = self._rate * self._plan.factor(moving.step / self._total, self._state.schedule)
        params, optimizer = self._update(moving, gradient, learning_rate)
        total = moving.sums.loss + loss
        counted = moving.sums.examples + self._network.counts(self._traced, scaled).sum()
        sums = EpochSums(total, counted, jnp.float32(learning_rate))
        statistics = self._kept(moving.weights, statistics)
        return Moving(Weights(params, statistics), optimizer, moving.step + 1, sums, after)

    def _update(self, moving: Moving, gradient: Any, learning_rate: jax.Array) -> tuple[Any, Any]:
        """The learnt arrays after the step, and the optimizer's state, which knows only those that learn."""
        names, trainable = weight_names(gradient), self._training.trainable
        gradient, before = (learning(tree, names, trainable) for tree in (gradient, moving.weights.params))
        if self._training.gradient_clip is not None:
            gradient = _clip(gradient, self._training.gradient_clip)
        update, optimizer = self._direction.update(gradient, moving.optimizer, before)
        moved = jax.tree.map(lambda p, u: (p - learning_rate * u).astype(p.dtype), before, update)
        return completed(moved, moving.weights.params), optimizer

    def _kept(self, before: Weights, statistics: Any) -> Any:
        """The running statistics after a step, without those that frozen modules would have learnt."""
        if self._training.trainable == EVERY:
            return statistics
        frozen = Frozen(weight_names(before.params), self._training.trainable)
        return frozen.keep(before.statistics, statistics, weight_names(statistics))


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


def _side_by_side(leaf: jax.Array) -> jax.Array:
    """(batches, rows, ...) of examples in their order, with those that follow one another in the same row."""
    batches, rows = leaf.shape[:2]
    return jnp.swapaxes(leaf.reshape(rows, batches, *leaf.shape[2:]), 0, 1)
