"""Convolution over one or two axes of space, channels last.

On a CPU a convolution is a matrix product over shifted slices of its input: XLA's own kernel is an order of magnitude
slower inside a compiled loop. Accelerators get the framework's convolution.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.models.layers import Activation, activate
from nnrun.models.windows import Padding, Pads, pad_space, pads, positions, shifts, spread

PIECE_BYTES = 2 * 2**20
"""Of the patches of a piece: more than that leaves the cache between being written and being multiplied."""
KERNEL_BYTES = PIECE_BYTES // 4
"""Kernels that are larger are not read again for every piece: that costs more than it saves."""


def _patches(x: jax.Array, window: Sequence[int], stride: Sequence[int]) -> jax.Array:
    """(batch, *positions, window * inputs): what every place of the window sees."""
    return jnp.concatenate(shifts(x, window, stride), -1)


def _convolved(x: jax.Array, kernel: jax.Array, stride: Sequence[int]) -> jax.Array:
    patches = _patches(x, kernel.shape[:-2], stride)
    # Of matrices: contracting several axes, as the kernel's gradient would, is slow.
    products = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return products.reshape(*patches.shape[:-1], -1)


def shifted_convolution(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads) -> jax.Array:
    """The convolution as matrix products, patches (batch * positions, window * inputs) times the kernel's rows.

    Where all patches would not fit the cache, a piece of the batch at a time.
    """
    x = pad_space(x, amounts)
    pieces = _pieces(x, kernel, stride)
    return _convolved(x, kernel, stride) if pieces == 1 else _piecewise(x, kernel, stride, pieces)


def _pieces(x: jax.Array, kernel: jax.Array, stride: Sequence[int]) -> int:
    """Into how many equal pieces the batch is cut; one where no patches are made, or for a batch of any size."""
    window = kernel.shape[:-2]
    if math.prod(window) == 1 or kernel.nbytes > KERNEL_BYTES or not isinstance(x.shape[0], int):
        return 1
    each = math.prod((*positions(x.shape[1:-1], window, stride), *kernel.shape[:-1])) * x.dtype.itemsize
    fitting = [n for n in range(1, len(x) + 1) if len(x) % n == 0 and n * each <= PIECE_BYTES]
    return len(x) // max(fitting, default=1)


def _cut(x: jax.Array, pieces: int) -> jax.Array:
    """(batch, ...) -> (batch / pieces, pieces, ...): where devices share a batch, each has some of every piece."""
    return x.reshape(len(x) // pieces, pieces, *x.shape[1:])


def _piece(x: jax.Array, index: jax.Array) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(x, index, 1, keepdims=False)


def _insert(x: jax.Array, piece: jax.Array, index: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(x, piece, index, 1)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _piecewise(x: jax.Array, kernel: jax.Array, stride: Sequence[int], pieces: int) -> jax.Array:
    """Its gradients make the patches again: quicker than reading them from memory, which need not hold them."""
    parts = _cut(x, pieces)
    shape = jax.eval_shape(lambda part: _convolved(part, kernel, stride), parts[:, 0])

    def step(i: jax.Array, y: jax.Array) -> jax.Array:
        return _insert(y, _convolved(_piece(parts, i), kernel, stride), i)

    y = jnp.zeros((len(parts), pieces, *shape.shape[1:]), shape.dtype)
    return jax.lax.fori_loop(0, pieces, step, y).reshape(len(x), *shape.shape[1:])


def _piecewise_forward(
    x: jax.Array, kernel: jax.Array, stride: Sequence[int], pieces: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _piecewise(x, kernel, stride, pieces), (x, kernel)


def _piecewise_backward(
    stride: Sequence[int], pieces: int, residuals: tuple[jax.Array, jax.Array], d_y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    columns = kernel.reshape(-1, kernel.shape[-1]).T
    parts, d_parts = _cut(x, pieces), _cut(d_y, pieces)

    def patches_of(part: jax.Array) -> jax.Array:
        return _patches(part, kernel.shape[:-2], stride)

    def step(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        d_x, d_columns = sums
        part, d_rows = _piece(parts, i), _piece(d_parts, i).reshape(-1, len(columns))
        patches = patches_of(part)
        (d_part,) = jax.linear_transpose(patches_of, part)((d_rows @ columns).reshape(patches.shape))
        # In this order dy is turned, which is smaller than the patches.
        product = jnp.matmul(d_rows.T, patches.reshape(len(d_rows), -1), preferred_element_type=d_columns.dtype)
        return _insert(d_x, d_part, i), d_columns + product

    summed = jnp.promote_types(kernel.dtype, jnp.float32)
    nothing = jnp.zeros_like(parts), jnp.zeros(columns.shape, summed)
    d_x, d_columns = jax.lax.fori_loop(0, pieces, step, nothing)
    return d_x.reshape(x.shape), d_columns.T.reshape(kernel.shape).astype(kernel.dtype)


_piecewise.defvjp(_piecewise_forward, _piecewise_backward)


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
