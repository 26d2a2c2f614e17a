"""Convolution and pooling over one or two axes of space, channels last.

On a CPU a convolution is one matrix product over shifted slices of its input: XLA's own kernel is an order of
magnitude slower inside a compiled loop. Accelerators get the framework's convolution.
"""

import functools
import math
from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nnrun.models.layers import Activation, activate

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


def shifted_convolution(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads) -> jax.Array:
    """The convolution as one matrix product: patches (batch, *positions, window * inputs) times the kernel's rows."""
    patches = jnp.concatenate(shifts(pad_space(x, amounts), kernel.shape[:-2], stride), -1)
    # Of matrices: contracting several axes, as the kernel's gradient would, is slow.
    products = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return products.reshape(*patches.shape[:-1], -1)


def framework_convolution(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads) -> jax.Array:
    """The same by `jax.lax.conv_general_dilated`."""
    layout = ("NHC", "HIO", "NHC") if x.ndim == 3 else ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, stride, amounts, dimension_numbers=layout)


def convolve(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads) -> jax.Array:
    """y[n, p, o] = Σ_{w,i} x[n, p * stride + w, i] kernel[w, i, o] over zero-padded x, by the device's fast way."""
    on_cpu = jax.default_backend() == "cpu"
    return (shifted_convolution if on_cpu else framework_convolution)(x, kernel, stride, amounts)


class Conv(nnx.Module):
    """y[n, p, o] = b[o] + Σ_{w,i} x[n, p * stride + w, i] W[w, i, o], a cross-correlation (LeCun et al. 1998).

    A whole number as kernel, stride or padding counts for all `axes` of space; a tuple has one entry per axis.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: Padding | tuple[int, ...] = "same",
        *,
        axes: int = 2,
        bias: bool = True,
        kernel_init: Any = None,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*spread(kernel, axes), inputs, outputs)
        init = kernel_init or nnx.initializers.he_normal()
        self.kernel = nnx.Param(init(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32)) if bias else None
        self.stride, self.padding = spread(stride, axes), padding

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""
        kernel = self.kernel[...]
        amounts = pads(self.padding, x.shape[1:-1], kernel.shape[:-2], self.stride)
        y = convolve(x, kernel, self.stride, amounts)
        return y if self.bias is None else y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))


class ConvNorm(nnx.Module):
    """φ(batch_norm(conv(x))), the convolution without a bias; `activation` None leaves φ out."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        stride: int = 1,
        padding: int | tuple[int, ...] = 0,
        *,
        activation: Activation | None = "relu",
        epsilon: float = 1e-5,
        rngs: nnx.Rngs,
    ) -> None:
        init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.conv = Conv(inputs, outputs, kernel, stride, padding, bias=False, kernel_init=init, rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, epsilon=epsilon, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""
        x = self.norm(self.conv(x), use_running_average=rngs is None)
        return x if self.activation is None else activate(self.activation, x)


def _tiles(x: jax.Array, window: tuple[int, ...]) -> tuple[jax.Array, tuple[int, ...]]:
    """Windows that do not overlap as axes of their own, the incomplete ones at the end cropped."""
    counts = positions(x.shape[1:-1], window, window)
    ends = [count * extent for count, extent in zip(counts, window, strict=True)]
    cropped = x[(slice(None), *map(slice, ends))]
    split = [size for pair in zip(counts, window, strict=True) for size in pair]
    return cropped.reshape(x.shape[0], *split, x.shape[-1]), tuple(range(2, 2 * len(window) + 1, 2))


def max_pool(
    x: jax.Array, window: int | tuple[int, ...], stride: int | tuple[int, ...] | None = None, padding: int = 0
) -> jax.Array:
    """Largest value per window, (batch, *space, channels) -> (batch, *positions, channels); padding never wins.

    `stride` None is the window itself. The first of equal largest values gets the gradient.
    """
    window = spread(window, x.ndim - 2)
    stride = window if stride is None else spread(stride, x.ndim - 2)
    x = pad_space(x, [(padding, padding)] * len(window), -jnp.inf)
    return _largest(x, window, stride, x.shape[1:-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _largest(x: jax.Array, window: tuple[int, ...], stride: tuple[int, ...], space: tuple[int, ...]) -> jax.Array:
    """Its gradient keeps which place of the window won, a byte each, where JAX's own compares all values again."""
    return functools.reduce(jnp.maximum, shifts(x, window, stride))


def _largest_forward(
    x: jax.Array, window: tuple[int, ...], stride: tuple[int, ...], space: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    seen = shifts(x, window, stride)
    largest = functools.reduce(jnp.maximum, seen)
    winner = jnp.zeros(largest.shape, np.min_scalar_type(len(seen)))
    for place in reversed(range(len(seen))):
        winner = jnp.where(seen[place] == largest, winner.dtype.type(place), winner)
    return largest, winner


def _largest_backward(
    window: tuple[int, ...],
    stride: tuple[int, ...],
    space: tuple[int, ...],
    winner: jax.Array,
    gradient: jax.Array,
) -> tuple[jax.Array]:
    places = np.arange(math.prod(window), dtype=winner.dtype)
    if stride != window:
        shape = jax.ShapeDtypeStruct((len(gradient), *space, gradient.shape[-1]), gradient.dtype)
        parts = [jnp.where(winner == place, gradient, 0) for place in places]
        return tuple(jax.linear_transpose(lambda x: shifts(x, window, stride), shape)(parts))
    axes = tuple(range(2, 2 * len(window) + 1, 2))
    won = jnp.expand_dims(winner, axes) == places.reshape([size for extent in window for size in (extent, 1)])
    tiles = jnp.where(won, jnp.expand_dims(gradient, axes), 0)
    covered = [count * extent for count, extent in zip(winner.shape[1:-1], window, strict=True)]
    x = tiles.reshape(len(gradient), *covered, gradient.shape[-1])
    return (pad_space(x, [(0, n - some) for n, some in zip(space, covered, strict=True)]),)


_largest.defvjp(_largest_forward, _largest_backward)


def average_pool(
    x: jax.Array, window: int | tuple[int, ...], stride: int | tuple[int, ...] | None = None, padding: int = 0
) -> jax.Array:
    """Mean per window, (batch, *space, channels) -> (batch, *positions, channels); padding counts as zeros."""
    window = spread(window, x.ndim - 2)
    stride = window if stride is None else spread(stride, x.ndim - 2)
    x = pad_space(x, [(padding, padding)] * len(window))
    if stride == window:
        tiles, axes = _tiles(x, window)
        return tiles.mean(axes)
    return functools.reduce(jnp.add, shifts(x, window, stride)) / math.prod(window)


def global_average(x: jax.Array) -> jax.Array:
    """(batch, *space, channels) -> (batch, channels)."""
    return x.mean(range(1, x.ndim - 1))
