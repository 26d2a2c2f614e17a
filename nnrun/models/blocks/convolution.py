"""Convolution over one or two axes of space, channels last.

On a CPU a convolution is one or several matrix products: XLA's own kernel is an order of magnitude slower inside a
compiled loop. Accelerators get the framework's convolution.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.models.kernels.patches import patch_convolution
from nnrun.models.kernels.pooling import max_pool
from nnrun.models.kernels.products import Pool
from nnrun.models.kernels.windows import Padding, Pads, pad_space, pads, spread
from nnrun.models.kernels.winograd import suits, winograd_convolution
from nnrun.models.layers import Activation, activate


def product_convolution(
    x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads, pool: Pool = None
) -> jax.Array:
    """The convolution as matrix products, in the form that suits the shapes."""
    if suits(x, kernel, stride, amounts):
        return winograd_convolution(x, kernel, amounts, pool)
    return patch_convolution(pad_space(x, amounts), kernel, stride, pool)


def framework_convolution(
    x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads, pool: Pool = None
) -> jax.Array:
    """The convolution by `jax.lax.conv_general_dilated`."""
    layout = ("NHC", "HIO", "NHC") if x.ndim == 3 else ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, kernel, stride, amounts, dimension_numbers=layout)
    return y if pool is None else max_pool(y, pool)


def convolve(x: jax.Array, kernel: jax.Array, stride: Sequence[int], amounts: Pads, pool: Pool = None) -> jax.Array:
    """y[n, p, o] = Σ_{w,i} x[n, p * stride + w, i] kernel[w, i, o] over zero-padded x, by the device's fast way.

    `pool`, if given, is the window that the largest of y are taken of.
    """
    on_cpu = jax.default_backend() == "cpu"
    return (product_convolution if on_cpu else framework_convolution)(x, kernel, stride, amounts, pool)


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
        return self.biased(self.products(x))

    def products(self, x: jax.Array, pool: int | None = None) -> jax.Array:
        """The sums without the bias; `pool`: the largest of them per window of this extent."""
        kernel = self.kernel[...]
        amounts = pads(self.padding, x.shape[1:-1], kernel.shape[:-2], self.stride)
        return convolve(x, kernel, self.stride, amounts, None if pool is None else spread(pool, x.ndim - 2))

    def biased(self, y: jax.Array) -> jax.Array:
        """y + b, where there is a bias."""
        return y if self.bias is None else y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))


class ConvNorm(nnx.Module):
    """φ(batch_norm(conv(x))), the convolution without a bias; `activation` None leaves φ out."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, ...],
        stride: int = 1,
        padding: Padding | tuple[int, ...] = 0,
        *,
        axes: int = 2,
        activation: Activation | None = "relu",
        epsilon: float = 1e-5,
        rngs: nnx.Rngs,
    ) -> None:
        # As torchvision draws the kernels of its ResNets.
        init = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")
        self.conv = Conv(inputs, outputs, kernel, stride, padding, axes=axes, bias=False, kernel_init=init, rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, epsilon=epsilon, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""
        # In training the module says, so that one that is frozen keeps its statistics.
        x = self.norm(self.conv(x), use_running_average=True if rngs is None else None)
        return x if self.activation is None else activate(self.activation, x)
