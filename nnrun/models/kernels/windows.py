"""Windows that slide over one or two axes of space, channels last: where they stand and what they see."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Literal

import jax
import jax.numpy as jnp

Padding = Literal["same", "valid"] | int
Pads = Sequence[tuple[int, int]]


def spread(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One value per axis of space: 3 -> (3, 3)."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def pads(
    padding: Padding | Sequence[int], space: Sequence[int], window: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Zeros before and after every axis. "same" gives ceil(extent / stride) positions, an odd rest goes to the end."""
    if padding == "same":
        rests = [max((math.ceil(n / s) - 1) * s + w - n, 0) for n, w, s in zip(space, window, stride, strict=True)]
        return tuple((rest // 2, rest - rest // 2) for rest in rests)
    amounts = (0,) * len(space) if padding == "valid" else spread(padding, len(space))
    return tuple((amount, amount) for amount in amounts)


def positions(
    space: Sequence[int],
    window: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | Sequence[int] = "valid",
) -> tuple[int, ...]:
    """Extents after a window slid over `space`: floor((extent + padding - window) / stride) + 1, at least 0."""
    window, stride = spread(window, len(space)), spread(stride, len(space))
    padded = [n + sum(pad) for n, pad in zip(space, pads(padding, space, window, stride), strict=True)]
    return tuple(max((n - w) // s + 1, 0) for n, w, s in zip(padded, window, stride, strict=True))


def shifts(x: jax.Array, window: Sequence[int], stride: Sequence[int]) -> list[jax.Array]:
    """What each place of a sliding window sees, in row-major order: arrays (batch, *positions, channels)."""
    spans = [(n - 1) * s + 1 for n, s in zip(positions(x.shape[1:-1], window, stride), stride, strict=True)]
    return [
        jax.lax.slice(
            x,
            (0, *corner, 0),
            (x.shape[0], *(c + span for c, span in zip(corner, spans, strict=True)), x.shape[-1]),
            (1, *stride, 1),
        )
        for corner in product(*map(range, window))
    ]


def pad_space(x: jax.Array, amounts: Pads, value: float = 0.0) -> jax.Array:
    """Pads the axes between batch and channels."""
    if not any(map(any, amounts)):
        return x
    return jnp.pad(x, ((0, 0), *amounts, (0, 0)), constant_values=value)
