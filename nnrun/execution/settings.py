"""Keys of execution: how a list of trials is run. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Literal

from nnrun.schema import setting, size


@dataclass(frozen=True)
class ExecutionConfig:
    """Keys of execution."""

    mode: Literal["auto", "serial", "vectorized"] = setting("auto", "serial: one by one; else those alike together")
    batching: Literal["auto", "map", "vmap"] = setting(
        "auto", "trials on one device: map one after the other, vmap at once; auto: by the network's kind and size"
    )
    chunk: int | None = size(None, "most trials in one program; null: as many as a fixed limit of bytes allows")


@dataclass(frozen=True)
class GroupSettings:
    """How a group of trials is run; recorded, so that a sweep that goes on elsewhere gives the same numbers.

    chunk: its trials, which one program trains together. slots: the places of that program, where these are not made
    for the chunk alone; sweeps of earlier versions have none.
    """

    number: int
    batching: str
    chunk: int
    devices: int
    slots: int | None = None
