"""How trials are grouped and batched: fixed rules on static configs, never a timing or the memory of the moment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nnrun.config import RunConfig, as_arrays
from nnrun.execution.devices import TrialPlacement, batch_devices
from nnrun.execution.settings import ExecutionConfig
from nnrun.tasks.base import ArrayScaling
from nnrun.training.program import Fitted, build

MOST_TRIALS = 512
"""Of a chunk: large enough that dispatching it costs nothing, small enough that results come in while it goes on."""
STATE_BYTES = {"cpu": 512 * 2**20}
STATE_BYTES_ELSEWHERE = 4 * 2**30
"""Of the states of a chunk; training holds twice that, because a stretch writes new ones."""
VMAP_PARAMETERS = 4_096
"""On a CPU, networks up to this size train faster under vmap, larger and recurrent ones under map."""


@dataclass(frozen=True)
class Group:
    """Trials that train together: `members` are positions in the list that was planned.

    batching: map, vmap, or serial for a trial on its own. bytes: what the states of all slots take, twice.
    """

    static: RunConfig
    members: tuple[int, ...]
    batching: str
    devices: int
    bytes: int


def plan(configs: Sequence[RunConfig], execution: ExecutionConfig) -> list[Group]:
    """Groups of equal static config, in the order of their first members, each in chunks that fit memory."""
    alike: dict[RunConfig, list[int]] = {}
    for position, config in enumerate(configs):
        alike.setdefault(config.split()[0], []).append(position)
    return [group for static, members in alike.items() for group in _chunks(static, members, configs, execution)]


def _chunks(
    static: RunConfig, members: list[int], configs: Sequence[RunConfig], execution: ExecutionConfig
) -> list[Group]:
    parameters, size = sizes(configs[members[0]])
    asked_to_split = static.training.devices not in ("auto", 1)
    if execution.mode == "serial" or asked_to_split or len(members) == 1:
        devices = batch_devices(configs[members[0]])
        return [Group(static, (member,), "serial", devices, 2 * size) for member in members]
    batching, devices = _batching(static, parameters, execution), jax.device_count()
    limit = STATE_BYTES.get(jax.default_backend(), STATE_BYTES_ELSEWHERE)
    most = min(execution.chunk or MOST_TRIALS, max(1, limit // size))
    count = math.ceil(len(members) / most)
    chunks = [members[i * most : (i + 1) * most] for i in range(count)]
    slots = [TrialPlacement(devices, batching).slots(len(chunk)) for chunk in chunks]
    return [
        Group(static, tuple(chunk), batching, devices, 2 * size * room)
        for chunk, room in zip(chunks, slots, strict=True)
    ]


def _batching(static: RunConfig, parameters: int, execution: ExecutionConfig) -> str:
    if execution.batching != "auto":
        return execution.batching
    recurrent = static.model.locate().split_over_devices
    tiny = parameters <= VMAP_PARAMETERS and not recurrent
    return "vmap" if jax.default_backend() != "cpu" or tiny else "map"


def sizes(config: RunConfig) -> tuple[int, int]:
    """Parameters of a network, and bytes of the whole state that training it carries."""
    static, traced = config.split()
    spec = config.dataset.locate()(config.dataset.config).spec()
    nothing = ArrayScaling(np.float32(0), np.float32(1))
    state: Any = jax.eval_shape(build(static, spec, 1).init, as_arrays(traced), Fitted(nothing, None))
    return _total(state.weights.params, lambda leaf: 1), _total(state, lambda leaf: leaf.dtype.itemsize)


def _total(tree: Any, weight: Any) -> int:
    return sum(math.prod(leaf.shape) * weight(leaf) for leaf in jax.tree.leaves(tree))
