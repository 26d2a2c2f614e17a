"""A convolution as one matrix product: what the window sees at a place, a row, times the kernel's columns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from nnrun.models.kernels.pooling import max_pool
from nnrun.models.kernels.products import Pool, Products, fitting_pieces, piecewise
from nnrun.models.kernels.windows import positions, shifts

PIECE_BYTES = 2 * 2**20
"""Bytes of the patches of a piece: more than that leaves the cache between being written and being multiplied."""
KERNEL_BYTES = PIECE_BYTES // 4
"""Kernels that are larger are not read again for every piece: that costs more than it saves."""


def _patches(x: jax.Array, window: Sequence[int], stride: Sequence[int]) -> jax.Array:
    """(batch, *positions, window * inputs): what every place of the window sees."""
    return jnp.concatenate(shifts(x, window, stride), -1)


@dataclass(frozen=True)
class Patches(Products):
    """The patches (batch * positions, window * inputs) of padded x times the kernel (window * inputs, outputs)."""

    window: tuple[int, ...]
    stride: tuple[int, ...]

    def matrices(self, kernel: jax.Array) -> jax.Array:
        """(window * inputs, outputs)."""
        return kernel.reshape(-1, kernel.shape[-1])

    def forward(self, x: jax.Array, matrices: jax.Array) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""
        patches = _patches(x, self.window, self.stride)
        # Of matrices: contracting several axes, as the kernel's gradient would, is slow.
        products = patches.reshape(-1, patches.shape[-1]) @ matrices
        return products.reshape(*patches.shape[:-1], -1)

    def back_matrices(self, kernel: jax.Array) -> jax.Array:
        """(outputs, window * inputs)."""
        return self.matrices(kernel).T

    def backward(self, x: jax.Array, d_y: jax.Array, matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The gradient of x, and the kernel's as (outputs, window * inputs)."""
        patches_of = partial(_patches, window=self.window, stride=self.stride)
        rows, patches = d_y.reshape(-1, len(matrices)), patches_of(x)
        (d_x,) = jax.linear_transpose(patches_of, x)((rows @ matrices).reshape(patches.shape))
        summed = jnp.promote_types(x.dtype, jnp.float32)
        # In this order dy is turned, which is smaller than the patches.
        return d_x, jnp.matmul(rows.T, patches.reshape(len(rows), -1), preferred_element_type=summed)

    def d_kernel(self, sums: jax.Array, kernel: jax.Array) -> jax.Array:
        """(*window, inputs, outputs)."""
        return sums.T.reshape(kernel.shape).astype(kernel.dtype)


def patch_convolution(x: jax.Array, kernel: jax.Array, stride: Sequence[int], pool: Pool = None) -> jax.Array:
    """The convolution of padded x, (batch, *space, inputs) -> (batch, *positions, outputs), pooled by `pool` if given.

    Where all patches would not fit the cache, a piece of the batch at a time.
    """
    products = Patches(kernel.shape[:-2], tuple(stride))
    pieces = _pieces(x, kernel, stride)
    if pieces > 1:
        return piecewise(products, pieces, pool, x, kernel)
    y = products.forward(x, products.matrices(kernel))
    return y if pool is None else max_pool(y, pool)


def _pieces(x: jax.Array, kernel: jax.Array, stride: Sequence[int]) -> int:
    """Into how many equal pieces the batch is cut; one where no patches are made, or for a batch of any size."""
    window = kernel.shape[:-2]
    if math.prod(window) == 1 or kernel.nbytes > KERNEL_BYTES or not isinstance(x.shape[0], int):
        return 1
    each = math.prod((*positions(x.shape[1:-1], window, stride), *kernel.shape[:-1])) * x.dtype.itemsize
    return fitting_pieces(len(x), each, PIECE_BYTES)
