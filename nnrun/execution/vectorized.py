"""A group of trials with equal static configs, trained in lockstep as one compiled program."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.datasets.part import Part
from nnrun.execution import judge, members
from nnrun.execution.compiled import Compiled, compile_together
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.judge import Evaluation
from nnrun.execution.serial import Judged
from nnrun.training.state import EpochSums, State

EMPTY = -1
"""The member of a slot that holds none."""
ANSWER_BYTES = 256 * 2**10
"""A member's predictions for a chunk up to this size are given by the program that evaluates a group, too."""
TOLERATED_LOAD = 1.1
"""The load of the fullest device, as a multiple of its share: moving states to even out less does not pay."""


class CompiledGroup(Compiled):
    """The functions of Compiled with a leading axis of slots, but for `init`; those of training also take `active`.

    A slot that is not active keeps its state, and its statistics are zeros. `evaluate` gives outputs beside the
    statistics where the group `answers`, else None: no network of it then needs a program that judges it alone.
    """

    placement: TrialPlacement

    @property
    def answers(self) -> bool:
        """Whether its networks' outputs are small, cost nothing beside the statistics, and are judged in turn."""
        if self.program.generates:
            return False
        size = math.prod(self._shape) * self.program.answer_size * np.dtype(np.float32).itemsize
        return self.placement.batching == "map" and size <= ANSWER_BYTES

    def _functions(self) -> tuple[Callable[..., Any], ...]:
        program = self.program

        def evaluate(traced: Any, state: State, chunk: Any) -> Any:
            if self.answers:
                return program.judge(traced, state, chunk)
            return program.evaluate(traced, state, chunk), None

        slots = _at_once if self.placement.batching == "vmap" else _in_turn
        # The end of an epoch copies a state at most: in turn, every copy would be a pass of a loop for itself.
        return (
            self.placement.on_each_device(slots(program.steps), 3),
            self.placement.on_each_device(slots(evaluate, fresh=True), 3),
            self.placement.on_each_device(_at_once(program.end_epoch, own=2), 5),
        )


def _at_once(function: Callable[..., Any], own: int = 0, fresh: bool = False) -> Callable[..., Any]:
    """`function(traced, state, ...)` of all slots as one batch; see CompiledGroup for those that are not active.

    own: how many of the further arguments have the axis of slots. fresh: it gives no new state, but an answer.
    """

    def of_slots(traced: Any, state: State, active: jax.Array, *rest: Any) -> Any:
        def one(traced: Any, state: State, active: jax.Array, *mine: Any) -> Any:
            def work() -> Any:
                return function(traced, state, *mine, *rest[own:])

            return jax.lax.cond(active, work, lambda: _zeros(jax.eval_shape(work)) if fresh else state)

        return jax.vmap(one)(traced, state, active, *rest[:own])

    return of_slots


def _in_turn(function: Callable[..., Any], fresh: bool = False) -> Callable[..., Any]:
    """As `_at_once`, but one active slot after the other: those that are not cost nothing, not even a copy."""

    def of_slots(traced: Any, state: State, active: jax.Array, *rest: Any) -> Any:
        def one(slot: Any, state: State) -> Any:
            return function(*jax.tree.map(lambda leaf: leaf[slot], (traced, state)), *rest)

        def turn(k: Any, found: Any) -> Any:
            slot = order[k]
            # The state is read where it is written, so that there is no second one in memory.
            answer = one(slot, state if fresh else found)
            return jax.tree.map(lambda all, new: all.at[slot].set(new), found, answer)

        order, count = jnp.argsort(~active, stable=True), active.sum()
        return jax.lax.fori_loop(0, count, turn, _zeros(jax.eval_shape(one, 0, state), len(active)) if fresh else state)

    return of_slots


def _zeros(shapes: Any, *axis: int) -> Any:
    """Zeros of these shapes, behind a further axis where one is given."""
    return jax.tree.map(lambda leaf: jnp.zeros((*axis, *leaf.shape), leaf.dtype), shapes)


class GroupRun:
    """The state of a group of trials; the members of the i-th of `configs` follow those of the one before.

    Members sit in slots, spread evenly over the devices; a slot may be empty. A member that is stopped costs nothing
    from then on under `map`; under `vmap` the group is packed into half the slots as soon as half have left, unless it
    was given a number of slots.
    """

    def __init__(self, configs: list[RunConfig], compiled: CompiledGroup, slots: int | None = None) -> None:
        self.compiled, self.placement = compiled, compiled.placement
        numbers = [one for config in configs for one in members.numbers(config)]
        self.members, self.train_steps = len(numbers), compiled.program.train_steps
        self._numbers_of_members = jax.tree.map(lambda *values: np.stack(values), *numbers)
        self._is_fixed, size = slots is not None, slots or self.placement.slots(self.members)
        seats = _spread(np.arange(self.members), size, len(self.placement.devices))
        self._seat(seats, seats != EMPTY)

    @cached_property
    def state(self) -> State:
        """What training carries; initial weights are drawn when first asked for."""
        return self.placement.put(self.compiled.init_all(self._numbers))

    @property
    def like(self) -> State:
        """What a saved state looks like: shapes alone but for what was fitted, so that nothing is drawn for it."""
        return self.compiled.like(self._numbers)

    def compile(self) -> float:
        """Compiles what training needs; the seconds it took."""
        return compile_together(self._lowered())

    def _lowered(self) -> Iterator[Any]:
        places = np.zeros(len(self.slots), np.float32)
        active, value, better = self.placement.put((self._active, places, places > 0))
        source, _ = self.compiled.feed.take(0)
        initialize = self.compiled.lower_init(self._numbers)
        yield initialize
        state = self.placement.like(initialize.out_info)
        yield self.compiled.steps.lower(self.traced, state, active, source, np.int32(0))
        chunk = next(iter(self.compiled.chunks(self.compiled.data.val)))
        yield self.compiled.evaluate.lower(self.traced, state.to_judge(), active, chunk)
        yield self.compiled.end_epoch.lower(self.traced, state, active, value, better)

    def _seat(self, slots: np.ndarray, active: np.ndarray) -> None:
        self.slots, self._active = slots, active
        # An empty slot, -1, has the numbers of the last member: what it computes is thrown away.
        self._numbers = jax.tree.map(lambda leaf: leaf[slots], self._numbers_of_members)
        self.traced = self.placement.put(self._numbers)
        self._slot_of = {int(member): slot for slot, member in enumerate(slots) if member != EMPTY}

    @property
    def position(self) -> int:
        """Steps trained so far by the members that train."""
        return int(np.max(jax.device_get(self.state.step)))

    @property
    def parameters(self) -> int:
        """How many numbers one member learns."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.weights.params)) // len(self.slots)

    def steps(self, count: int) -> list[EpochSums]:
        """Trains `count` batches of every active member; the sums of the epoch so far."""
        active = self.placement.put(self._active)
        for source, some in self.compiled.sources(self.position, count):
            self.state = self.compiled.steps(self.traced, self.state, active, source, some)
        loss, examples, rate = (np.asarray(s, float).tolist() for s in jax.device_get(self.state.sums))
        return self._of_members(lambda slot: EpochSums(loss[slot], examples[slot], rate[slot]))

    @property
    def stopped(self) -> set[int]:
        """Members that are trained no further."""
        return set(range(self.members)) - set(self.slots[self._active].tolist())

    def stop(self, leaving: Iterable[int]) -> None:
        """Trains these members no further."""
        for member in leaving:
            if member in self._slot_of:
                self._active[self._slot_of[member]] = False

    def end_epoch(self, values: list[float], improved: list[bool]) -> None:
        """Keeps the weights of those that improved; values are smaller where better."""
        value, better = np.zeros(len(self.slots), np.float32), np.zeros(len(self.slots), bool)
        for member, slot in self._slot_of.items():
            value[slot], better[slot] = values[member], improved[member]
        arguments = self.placement.put((self._active, value, better))
        self.state = self.compiled.end_epoch(self.traced, self.state, *arguments)

    def evaluate(self, part: Part, best: bool = False) -> list[Evaluation]:
        """Statistics of every example of a part, under the current or the best weights."""
        arguments = self.traced, self.state.to_judge(best), self.placement.put(self._active)

        def statistics(chunk: Part) -> Any:
            return jax.device_get(self.compiled.evaluate(*arguments, chunk)[0])

        sizes = self.compiled.sizes(part)
        found = judge.evaluations(statistics, self.compiled.chunks(part), int(sizes.max()))
        if len(sizes) == 1:
            return self._of_members(found)
        return self._of_members(lambda slot: found(slot).of_first(sizes[self._numbers["fold"][slot]]))

    def repack(self) -> None:
        """Spreads the active members over the devices again where that saves work; call between epochs."""
        staying, devices, size = self.slots[self._active], len(self.placement.devices), len(self.slots)
        if not len(staying):
            return
        if self.placement.batching == "vmap":
            fitting = self.placement.slots(len(staying))
            saves = fitting < size and not self._is_fixed
        else:
            load = self._active.reshape(devices, -1).sum(1)
            fitting, saves = size, load.max() > TOLERATED_LOAD * -(-len(staying) // devices)
        if not saves:
            return
        slots = _spread(staying, fitting, devices)
        source = np.array([self._slot_of.get(int(member), 0) for member in slots])
        self.state = self.placement.put(jax.tree.map(lambda leaf: np.asarray(leaf)[source], self.state))
        self._seat(slots, slots != EMPTY)

    def snapshot(self) -> tuple[State, dict[str, Any]]:
        """Everything that training needs to go on, and where the members sit."""
        return self.state, {"slots": self.slots.tolist(), "active": self._active.tolist()}

    def restore(self, state: State, layout: dict[str, Any]) -> None:
        """Continues from a snapshot."""
        self._seat(np.array(layout["slots"]), np.array(layout["active"]))
        self.state = self.placement.put(state)

    def weights(self, member: int) -> dict[str, Any]:
        """The best weights of a member as a run's folder keeps them, as NumPy arrays; not after a repack without it."""
        state, slot = self.state, self._slot_of[member]
        kept = {"weights": state.best, "numbers": state.numbers, "fitted": state.fitted}
        return jax.tree.map(lambda leaf: np.array(np.asarray(leaf)[slot]), kept)

    def _of_members(self, read: Callable[[int], Any]) -> list[Any]:
        """`read(slot)` for every active member, None for the others."""
        answers: list[Any] = [None] * self.members
        for member, slot in self._slot_of.items():
            answers[member] = read(slot) if self._active[slot] else None
        return answers


class TrainedMember(Judged):
    """A network of a group of so many slots, judged by the group's program: it sits in the first slot, alone."""

    compiled: CompiledGroup

    def __init__(self, config: RunConfig, data: Data, compiled: CompiledGroup, slots: int) -> None:
        super().__init__(config, data, compiled, Placement(1))
        self._slots = slots
        self._seated: tuple[Any, Any] = None, None

    def _lowered(self) -> Iterator[Any]:
        yield self.compiled.evaluate.lower(*self._arguments(self.state.to_judge()), self._chunk())

    def _judge(self, state: State, chunk: Part) -> Any:
        found = self.compiled.evaluate(*self._arguments(state), chunk)
        return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_shards[0].data)[0], found)

    def _arguments(self, state: State) -> Any:
        """Numbers, state and activity of all slots; the same for every chunk."""
        if self._seated[0] is not state.weights:
            active = np.arange(self._slots) == 0
            slots = jax.tree.map(self._alone, (self.traced, state))
            self._seated = state.weights, self.compiled.placement.put((*slots, active))
        return self._seated[1]

    def _alone(self, leaf: Any) -> np.ndarray:
        slots = np.zeros((self._slots, *leaf.shape), leaf.dtype)
        slots[0] = leaf
        return slots


def _spread(members: np.ndarray, size: int, devices: int) -> np.ndarray:
    """Slots (size,) with the members dealt out to the devices in turn, EMPTY elsewhere."""
    slots = np.full((devices, size // devices), EMPTY)
    for i, member in enumerate(members):
        slots[i % devices, i // devices] = member
    return slots.reshape(-1)
