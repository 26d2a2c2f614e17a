"""Pooling over one or two axes of space, channels last."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.models.kernels.windows import pad_space, positions, shifts, spread


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


def winners(x: jax.Array, window: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """What `max_pool` gives, and which place of each window won."""
    return _largest_forward(x, window, window, x.shape[1:-1])


def to_winners(winner: jax.Array, gradient: jax.Array, window: tuple[int, ...], space: tuple[int, ...]) -> jax.Array:
    """The gradient of what was pooled, (batch, *space, channels), from that of the largest values."""
    return _largest_backward(window, window, space, winner, gradient)[0]


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
    # From the last place to the first, so that the first of equal largest values is the one that stays.
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
        # Windows overlap: a place may have won in several, whose gradients add up.
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
        # Windows that do not overlap, as axes of their own: (batch, positions, window, positions, window, channels).
        counts = positions(x.shape[1:-1], window, window)
        whole = [slice(count * extent) for count, extent in zip(counts, window, strict=True)]
        split = [size for pair in zip(counts, window, strict=True) for size in pair]
        tiles = x[(slice(None), *whole)].reshape(x.shape[0], *split, x.shape[-1])
        return tiles.mean(range(2, 2 * len(window) + 1, 2))
    return functools.reduce(jnp.add, shifts(x, window, stride)) / math.prod(window)


def global_average(x: jax.Array, lengths: jax.Array | None = None) -> jax.Array:
    """(batch, *space, channels) -> (batch, channels); `lengths` (batch,) has the steps that count, where not all do."""
    if lengths is None:
        return x.mean(range(1, x.ndim - 1))
    valid = jnp.arange(x.shape[1]) < lengths[:, None]
    return jnp.where(valid[..., None], x, 0).sum(1) / jnp.maximum(lengths, 1).astype(x.dtype)[:, None]
