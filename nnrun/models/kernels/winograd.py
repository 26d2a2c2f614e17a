"""Convolutions of windows of three by Winograd's minimal filtering: 2.25 times fewer products over two axes of space.

Two neighbouring outputs y of three weights g over four inputs d need four products instead of six:
y = Aᵀ [(G g) ⊙ (Bᵀ d)], and the same along every further axis. Summed over the input channels, the products at each of
the 4 x 4 places are those of two matrices. In float32 the outputs are as exact as by plain sums, relative errors being
2e-7 to 7e-7, and the gradients half as exact (measured against float64 with 32 to 512 channels).
Source: Lavin & Gray, Fast algorithms for convolutional neural networks (2016), F(2x2, 3x3).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.models.kernels.products import Pool, Products, fitting_pieces, piecewise
from nnrun.models.kernels.windows import Pads, pad_space, positions

Rows = tuple[tuple[float, ...], ...]
Grid = Any
"""Arrays (rows, channels) in lists nested once per axis of space: grid[i][j] belongs to place (i, j).

They are made by bare `lax` operations: there are many, and those of `jnp` take ten times as long to trace.
"""

TO_PRODUCTS: Rows = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""Bᵀ: four inputs in a row -> what is multiplied at the four places."""
FROM_WEIGHTS: Rows = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
"""G: three weights in a row -> what is multiplied at the four places."""
TO_OUTPUTS: Rows = ((1, 1, 1, 0), (0, 1, -1, -1))
"""Aᵀ: the four products -> two outputs in a row."""

WINDOW, TILE, STEP = 3, 4, 2
ROWS = (((0,), (0,)), ((), ()))
"""What `lax.dot_general` sums over: the rows (batch * tiles) of both matrices."""
LEAST_CHANNELS = {1: 64, 2: 32}
"""Fewest channels, by axes of space: with fewer the saved products do not pay for the sums around them (measured)."""
PIECE_BYTES = 20 * 2**20
"""Bytes of what is multiplied in a piece and its products, where all cores share the work: smaller matrices do not keep
two busy (measured)."""
CORE_PIECE_BYTES = PIECE_BYTES // 8
"""Bytes of a piece where every core trains a trial of its own: what is in its cache counts more (measured)."""
USUAL_BATCH = 16
"""The rule when to choose this form counts so many examples, so that no other batch gets other numbers."""


def suits(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads) -> bool:
    """Whether this form of the convolution exists and is the quicker one: many channels, more positions than those."""
    *window, inputs, outputs = kernel.shape
    exists = set(window) == {WINDOW} and set(stride) == {1} and all(0 <= n < WINDOW for pad in amounts for n in pad)
    exact = x.dtype == kernel.dtype and jnp.finfo(x.dtype).bits >= 32
    if not (exists and exact and isinstance(x.shape[0], int)) or min(inputs, outputs) < LEAST_CHANNELS[len(window)]:
        return False
    return USUAL_BATCH * math.prod(_tiles(_extents(x, amounts))) >= max(inputs, outputs)


def winograd_convolution(x: jax.Array, kernel: jax.Array, amounts: Pads, pool: Pool = None) -> jax.Array:
    """The convolution of x padded by `amounts`, (batch, *space, inputs) -> (batch, *positions, outputs).

    Pooled by `pool` if given.
    """
    *window, inputs, outputs = kernel.shape
    places = TILE ** len(window)
    each = places * math.prod(_tiles(_extents(x, amounts))) * (inputs + outputs) * x.dtype.itemsize
    matrices = places * inputs * outputs * x.dtype.itemsize
    own_core = jax.sharding.get_abstract_mesh().manual_axes  # as inside the shard_map of a group
    most = max(CORE_PIECE_BYTES if own_core else PIECE_BYTES, 2 * matrices)
    pieces = fitting_pieces(len(x), each, most)
    return piecewise(Winograd(tuple((low, high) for low, high in amounts)), pieces, pool, x, kernel)


def _extents(x: jax.Array, amounts: Pads) -> tuple[int, ...]:
    """Positions of the window along every axis of space."""
    return positions([n + low + high for n, (low, high) in zip(x.shape[1:-1], amounts, strict=True)], WINDOW)


def _tiles(extents: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.ceil(extent / STEP) for extent in extents)


@dataclass(frozen=True)
class Winograd(Products):
    """A product per place of a tile, (batch * tiles, inputs) times (inputs, outputs)."""

    amounts: tuple[tuple[int, int], ...]

    def matrices(self, kernel: jax.Array) -> Grid:
        """4 x 4 matrices (inputs, outputs)."""
        weights = _nested(WINDOW, len(self.amounts), lambda place: kernel[place])
        return _transformed(FROM_WEIGHTS, weights, len(self.amounts))

    def forward(self, x: jax.Array, matrices: Grid) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""
        return self._multiplied(self._cut(x), matrices, len(x), _extents(x, self.amounts))

    def back_matrices(self, kernel: jax.Array) -> Grid:
        """4 x 4 matrices (outputs, inputs): dx is the convolution of dy with the kernel turned round."""
        axes = range(len(self.amounts))
        return self.matrices(jnp.flip(kernel, axes).swapaxes(-1, -2))

    def backward(self, x: jax.Array, d_y: jax.Array, matrices: Grid) -> tuple[jax.Array, Grid]:
        """The gradient of x, and those of the 4 x 4 matrices as (outputs, inputs)."""
        before = [WINDOW - 1 - low for low, _ in self.amounts]
        extents, space = d_y.shape[1:-1], x.shape[1:-1]
        needed = zip(before, _tiles(extents), _tiles(space), strict=True)
        # Padded once for both gradients: where it is not in memory, each of the slices would compute it again.
        d_padded = _padded(d_y, before, [max(low + STEP * n, STEP * m + 2) for low, n, m in needed])
        tiles = _slices(d_padded, [0] * len(space), _tiles(space), TILE)
        factors = _transformed(TO_PRODUCTS, tiles, len(space))
        d_x = self._multiplied(factors, matrices, len(x), space)
        d_outputs = _slices(d_padded, before, _tiles(extents), STEP)
        d_products = _transformed(_turned(TO_OUTPUTS), d_outputs, len(space))
        return d_x, jax.tree.map(lambda dy, seen: jax.lax.dot_general(dy, seen, ROWS), d_products, self._cut(x))

    def d_kernel(self, sums: Grid, kernel: jax.Array) -> jax.Array:
        """(3, 3, inputs, outputs)."""
        axes = len(self.amounts)
        stacked = _transformed(_turned(FROM_WEIGHTS), jax.tree.map(jnp.transpose, sums), axes)
        return jnp.stack(jax.tree.leaves(stacked)).reshape(kernel.shape)

    def _cut(self, x: jax.Array) -> Grid:
        """4 x 4 matrices (batch * tiles, inputs)."""
        tiles, starts = _tiles(_extents(x, self.amounts)), [0] * len(self.amounts)
        padded = _padded(x, [low for low, _ in self.amounts], [STEP * n + WINDOW - 1 for n in tiles])
        return _transformed(TO_PRODUCTS, _slices(padded, starts, tiles, TILE), len(tiles))

    def _multiplied(self, factors: Grid, matrices: Grid, examples: int, extents: Sequence[int]) -> jax.Array:
        """(examples, *extents, outputs)."""
        products = jax.tree.map(jax.lax.dot, factors, matrices)
        outputs = _transformed(TO_OUTPUTS, products, len(extents))
        joined = _joined(outputs, (examples, *_tiles(extents)), 0)
        whole = joined.reshape(examples, *(STEP * n for n in _tiles(extents)), -1)
        return whole[(slice(None), *map(slice, extents))]


def _nested(extent: int, axes: int, entry: Any, place: tuple[int, ...] = ()) -> Grid:
    """The grid of entry(place) for every place in extent x extent."""
    if len(place) == axes:
        return entry(place)
    return [_nested(extent, axes, entry, (*place, i)) for i in range(extent)]


def _transformed(rows: Rows, grid: Grid, axes: int) -> Grid:
    """The sums of entries that the rows say, along every axis of the grid."""
    if axes == 0:
        return grid
    inner = [_transformed(rows, part, axes - 1) for part in grid]
    return [jax.tree.map(functools.partial(_weighted, row), *inner) for row in rows]


def _weighted(row: tuple[float, ...], *arrays: jax.Array) -> jax.Array:
    """Σ_i row[i] arrays[i] without the zeros, and without products where a weight is 1 or -1."""
    terms = []
    for weight, array in zip(row, arrays, strict=True):
        if abs(weight) == 1:
            terms.append(array if weight > 0 else jax.lax.neg(array))
        elif weight:
            terms.append(jax.lax.mul(array, jax.lax.full_like(array, weight)))
    return functools.reduce(jax.lax.add, terms)


def _turned(rows: Rows) -> Rows:
    return tuple(zip(*rows, strict=True))


def _padded(x: jax.Array, before: Sequence[int], extents: Sequence[int]) -> jax.Array:
    """Zeros before and after every axis of space, so that it has the extents."""
    return pad_space(x, [(low, n - size - low) for low, n, size in zip(before, extents, x.shape[1:-1], strict=True)])


def _slices(x: jax.Array, starts: Sequence[int], tiles: Sequence[int], extent: int) -> Grid:
    """What the places of all tiles see, `extent` of them along an axis: matrices (batch * tiles, channels)."""

    def entry(place: tuple[int, ...]) -> jax.Array:
        first = [start + i for start, i in zip(starts, place, strict=True)]
        ends = [f + STEP * (n - 1) + 1 for f, n in zip(first, tiles, strict=True)]
        strides = (1, *(STEP,) * len(tiles), 1)
        seen = jax.lax.slice(x, (0, *first, 0), (x.shape[0], *ends, x.shape[-1]), strides)
        return jax.lax.reshape(seen, (math.prod(seen.shape[:-1]), x.shape[-1]))

    return _nested(extent, len(tiles), entry)


def _joined(grid: Grid, shape: tuple[int, ...], axis: int) -> jax.Array:
    """2 x 2 matrices (batch * tiles, channels) -> (batch, tiles, 2, tiles, 2, channels)."""
    if axis == len(shape) - 1:
        return jax.lax.reshape(grid, (*shape, grid.shape[-1]))
    parts = [jax.lax.expand_dims(_joined(part, shape, axis + 1), (2 + axis,)) for part in grid]
    return jax.lax.concatenate(parts, 2 + axis)
