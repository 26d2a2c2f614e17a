"""How trials are grouped and batched: fixed rules on static configs, never a timing or the memory of the moment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np

from nnrun.config.run_config import RunConfig, as_arrays
from nnrun.execution.devices import TrialPlacement, batch_devices
from nnrun.execution.settings import ExecutionConfig, GroupSettings
from nnrun.tasks.base import ArrayScaling
from nnrun.training.program import Program
from nnrun.training.state import Fitted

MOST_TRIALS = 512
"""Most trials of a chunk: dispatching so many costs nothing, and results come in while the sweep goes on."""
STATE_BYTES = {"cpu": 512 * 2**20}
STATE_BYTES_ELSEWHERE = 4 * 2**30
"""Most bytes of the states of a chunk; training holds twice that, because a stretch writes new ones."""
MOST_ROOM = 32
"""Most slots of a group whose trials may be fewer: under vmap, empty ones are computed too."""
VMAP_PARAMETERS = 4_096
"""Most parameters of a network that trains faster under vmap on a CPU; larger and recurrent ones do under map."""
VMAP_INPUTS = 128
"""Most numbers of an example for that: under vmap every network gathers a batch of its own before any computes."""


@dataclass(frozen=True)
class Group:
    """Trials that train together: `members` are positions in the list that was planned.

    batching: map, vmap, or serial for a trial on its own. bytes: what the states of all slots take, twice. slots: their
    number, where it is the same for every group of this static config; None where the members decide.
    """

    static: RunConfig
    members: tuple[int, ...]
    batching: str
    devices: int
    bytes: int
    slots: int | None = None

    def settings(self, number: int) -> GroupSettings:
        """How the group is run, as a sweep records it."""
        return GroupSettings(number, self.batching, len(self.members), self.devices, self.slots)


def plan(configs: Sequence[RunConfig], execution: ExecutionConfig, batch: int | None = None) -> list[Group]:
    """Groups of equal static config, in the order of their first members, each in chunks that fit memory.

    batch: of how many trials more configs will come that may have the same static parts. One program then serves all
    of them, however many of a batch are alike: compiling it anew would take longer than its empty slots do.
    """
    alike: dict[RunConfig, list[int]] = {}
    for position, config in enumerate(configs):
        alike.setdefault(config.split()[0], []).append(position)
    found, devices = [], jax.device_count()
    for static, members in alike.items():
        parameters, size = sizes(static, tuple(configs[members[0]].split()[1]))
        batching = _batching(static, parameters, execution)
        placement = TrialPlacement(devices, batching)
        alone = execution.mode == "serial" or static.training.devices not in ("auto", 1)
        networks = static.training.members
        most = 1 if alone else max(1, min(execution.chunk or MOST_TRIALS, _fitting(size, devices)) // networks)
        room = placement.slots(min(batch or 1, most, MOST_ROOM) * networks)
        for start in range(0, len(members), most):
            chunk = tuple(members[start : start + most])
            if most > 1 and (batch or 1) > 1:
                slots = max(room, placement.slots(len(chunk) * networks))
                found.append(Group(static, chunk, batching, devices, 2 * size * slots, slots))
            elif len(chunk) * networks == 1:
                found.append(Group(static, chunk, "serial", batch_devices(configs[chunk[0]]), 2 * size))
            else:
                slots = placement.slots(len(chunk) * networks)
                found.append(Group(static, chunk, batching, devices, 2 * size * slots))
    return found


def _fitting(size: int, devices: int) -> int:
    """The most trials whose slots fit the limit; one where there is no room for one on each device."""
    on_device = STATE_BYTES.get(jax.default_backend(), STATE_BYTES_ELSEWHERE) // (size * devices)
    # Rounded down to a power of two, as TrialPlacement.slots rounds up to one.
    return devices * 2 ** (on_device.bit_length() - 1) if on_device else 1


def _batching(static: RunConfig, parameters: int, execution: ExecutionConfig) -> str:
    if execution.batching != "auto":
        return execution.batching
    if jax.default_backend() != "cpu":
        return "vmap"
    tiny = parameters <= VMAP_PARAMETERS and not static.model.cls.split_over_devices
    return "vmap" if tiny and math.prod(static.dataset.create().spec().inputs) <= VMAP_INPUTS else "map"


@cache
def sizes(static: RunConfig, numbers: tuple[str, ...]) -> tuple[int, int]:
    """Parameters of a network, and bytes of the whole state that training it carries; `numbers` names the traced."""
    spec = static.dataset.create().spec()
    traced, nothing = as_arrays(dict.fromkeys(numbers, 0.0)), ArrayScaling(np.float32(0), np.float32(1))
    state: Any = jax.eval_shape(Program(static, spec, 1).init, traced, Fitted(nothing, None))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.weights.params))
    return parameters, sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
