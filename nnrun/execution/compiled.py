"""The compiled functions of a static config, shared by every trial that differs in numbers alone."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import jax
import numpy as np

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.datasets.part import Part, is_mapped
from nnrun.execution.devices import Placement, compiler_options
from nnrun.execution.feed import feed
from nnrun.models.base import UNOPTIMIZED
from nnrun.training import batches
from nnrun.training.initial import Initial
from nnrun.training.program import Pool, Program
from nnrun.training.state import Fitted, State, Weights

COPIED_BYTES = 32 * 2**20
"""A training part up to this size is laid out in the order of the epoch, which takes as much again on every device."""


def compile_together(lowered: Iterable[Any]) -> float:
    """Compiles programs beside each other, and while the next ones are lowered; gives the seconds it took.

    The functions they are of find them when they are called.
    """
    started = time.perf_counter()
    # XLA compiles without Python's lock, so that threads suffice.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda program: program.compile(), lowered))
    return time.perf_counter() - started


class Compiled:
    """Functions of a run on the devices of a placement, compiled when first called, and its data there.

    steps(traced, state, source, count), evaluate, outputs and judge(traced, state.to_judge(), chunk), and
    end_epoch(traced, state, value, improved) are those of the Program; `steps` and `end_epoch` consume the state.
    """

    def __init__(self, static: RunConfig, data: Data, placement: Placement) -> None:
        self.static, self.data, self.placement = static, data, placement
        copied = placement.batching != "vmap" and sum(values.nbytes for values in data.train.values()) <= COPIED_BYTES
        examples, fewest = _sizes(data)
        self.program = Program(static, data.spec, examples, placement.shard, copied, placement.gather, fewest)
        batch, seed, in_order = static.training.batch_size, static.dataset.config.seed, self.program.streams
        self._pool = Pool(*placement.share((data.folds.pool, data.folds.train))) if data.folds else None
        self.feed = feed(self._pool or data.train, batch, seed, placement, in_order)
        # Fewer rows make longer streams, of which each starts without a past.
        self._shape = batches.chunk_shape(data, batch if in_order else None)
        self._chunks: dict[int, tuple[Part, list[Any]]] = {}
        self.initial = Initial(static.training.initial)
        self.initialize = jax.jit(
            lambda traced, fitted, initial: jax.lax.map(
                lambda one: self.program.init(one, _of_fold(one, fitted), initial), traced
            ),
            compiler_options=UNOPTIMIZED,
        )
        options = compiler_options()
        light = static.model.cls.light_compilation
        steps, evaluate, end_epoch = self._functions()
        self.steps = jax.jit(steps, donate_argnums=1, compiler_options=options if light else None)
        self.evaluate = jax.jit(evaluate, compiler_options=options)
        self.end_epoch = jax.jit(end_epoch, donate_argnums=1, compiler_options=options)
        self.outputs = jax.jit(self.program.outputs, compiler_options=options)
        self.judge = jax.jit(self.program.judge, compiler_options=options)

    def init_all(self, traced: Any) -> State:
        """The states before the first step of numbers with a leading axis of members, as NumPy arrays.

        Computed on one device: decompositions inside a program over several CPU devices can hang, see the orthogonal
        initializer.
        """
        return jax.device_get(self.initialize(traced, self.fitted(), self.initial.arrays(self._shapes(traced))))

    def like(self, traced: Any) -> State:
        """What `init_all` would give, as shapes alone but for what was fitted."""
        fitted, members = self.fitted(), len(traced["seed"])
        if "fold" in traced:
            of_each = jax.tree.map(lambda leaf: leaf[traced["fold"]], fitted)
        else:
            of_each = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (members, *leaf.shape)), fitted)
        return jax.eval_shape(self.initialize, traced, fitted, {})._replace(fitted=of_each)

    def lower_init(self, traced: Any) -> Any:
        """The program behind `init_all`, to be compiled beside others."""
        return self.initialize.lower(traced, self.fitted(), self.initial.like(self._shapes(traced)))

    def fitted(self) -> Fitted:
        """What was fitted on the training data; of folds with a leading axis of them."""
        divisions = self.data.folds.divisions if self.data.folds else [self.data]
        found = [Fitted.of(one.input_scaling, one.target_scaling, one.scalings) for one in divisions]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *found) if self.data.folds else found[0]

    def chunks(self, part: Part) -> Iterable[Any]:
        """The part's padded chunks on the devices.

        Those of a mapped part, and of the training part, which is judged once, are made one after the other.
        """
        if self.data.folds and part is self.data.val:
            return self._chunks_of_folds
        if part is self.data.train or is_mapped(part):
            return map(self.placement.share, batches.chunks(part, self._shape))
        # By identity, as parts are not hashable; the part is kept beside its chunks so that its id is not used again.
        if id(part) not in self._chunks:
            self._chunks[id(part)] = part, [self.placement.share(chunk) for chunk in batches.chunks(part, self._shape)]
        return self._chunks[id(part)][1]

    @cached_property
    def _chunks_of_folds(self) -> list[Pool]:
        assert self._pool is not None
        assert self.data.folds is not None
        places = list(batches.folds(self.data.folds.val, self._shape))
        return [Pool(self._pool.rows, *self.placement.share(mine)) for mine in places]

    def sizes(self, part: Part) -> np.ndarray:
        """How many examples of a part each fold has, (folds,); (1,) where there are no folds, or all have the same."""
        if self.data.folds and part is self.data.val:
            return (self.data.folds.val >= 0).sum(1)
        return np.array([batches.count(part)])

    def sources(self, position: int, count: int) -> Iterator[tuple[Any, np.int32]]:
        """What `count` steps from `position` on train on, each source with the number of steps it is for."""
        end = position + count
        while position < end:
            source, lasting = self.feed.take(position)
            some = min(lasting, end - position)
            yield source, np.int32(some)
            position += some

    def _shapes(self, traced: Any) -> Callable[[], Weights]:
        """The shapes of one member's weights, when they are asked for."""
        one = jax.tree.map(lambda numbers: numbers[0], traced)
        return lambda: jax.eval_shape(self.program.init, one, _of_fold(one, self.fitted())).weights

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        """What `steps`, `evaluate` and `end_epoch` compile."""
        return self.program.steps, self.program.evaluate, self.program.end_epoch


def _sizes(data: Data) -> tuple[int, int]:
    """The most and the fewest examples that a network trains on."""
    if data.folds is None:
        return (batches.count(data.train),) * 2
    sizes = (data.folds.train >= 0).sum(1)
    return int(sizes.max()), int(sizes.min())


def _of_fold(numbers: Any, fitted: Fitted) -> Fitted:
    """What was fitted for a member: of its fold, where there are folds."""
    return jax.tree.map(lambda leaf: leaf[numbers["fold"]], fitted) if "fold" in numbers else fitted
