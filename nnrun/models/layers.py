"""Layers that several networks share."""

import math
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.models.base import Number
from nnrun.models.kernels.randomness import bernoulli
from nnrun.schema import is_off

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
MONOTONE = ("relu", "leaky_relu", "elu", "tanh", "sigmoid")
"""Activations that never fall where their input rises."""
Normalization = Literal["none", "batch", "layer"]


def activate(name: Activation, x: jax.Array) -> jax.Array:
    """Applies an activation by name; gelu is the exact one, x Φ(x), leaky_relu has slope 0.01."""
    if name == "gelu":
        return jax.nn.gelu(x, approximate=False)
    return getattr(jnp if name == "tanh" else jax.nn, name)(x)


class Dropout(nnx.Module):
    """y = x * m / (1 - rate) with m ~ Bernoulli(1 - rate) while training, y = x otherwise (Srivastava et al. 2014).

    The rate may be traced. A rate that is the Python number 0 leaves no trace in the program.
    """

    def __init__(self, rate: Any) -> None:
        self.off = is_off(rate)
        if not self.off:
            self.rate = Number(jnp.asarray(rate, jnp.float32))

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(...) -> (...), with one decision per element."""
        if self.off or rngs is None:
            return x
        keep = 1 - self.rate[...]
        kept = bernoulli(rngs.dropout(), keep, x.shape)
        return jnp.where(kept, x / keep.astype(x.dtype), 0)


class Normalize(nnx.Module):
    """No normalization, that of the batch (Ioffe & Szegedy 2015, running statistics with momentum 0.9) or of the layer
    (Ba et al. 2016) over the last axis, the features."""

    def __init__(self, kind: Normalization, features: int, *, rngs: nnx.Rngs) -> None:
        make: Any = {"batch": partial(nnx.BatchNorm, momentum=0.9), "layer": nnx.LayerNorm, "none": None}[kind]
        self.norm = make(features, epsilon=1e-5, rngs=rngs) if make else None

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, ..., features) -> same shape; batch statistics while training."""
        if isinstance(self.norm, nnx.BatchNorm):
            # In training the module says, so that one that is frozen keeps its statistics.
            return self.norm(x, use_running_average=True if rngs is None else None)
        return x if self.norm is None else self.norm(x)


def kernel_initializer(activation: Activation) -> nnx.initializers.Initializer:
    """He normal for rectifiers (He et al. 2015), Glorot uniform for tanh and sigmoid (Glorot & Bengio 2010)."""
    return nnx.initializers.glorot_uniform() if activation in ("tanh", "sigmoid") else nnx.initializers.he_normal()


class DenseStack(nnx.Module):
    """Hidden layers h_{i+1} = dropout(activation(normalize(h_i W_i + b_i))), without a head.

    No bias where a normalization follows: its gradient would be zero.
    """

    def __init__(
        self,
        inputs: int,
        sizes: tuple[int, ...],
        activation: Activation,
        normalization: Normalization = "none",
        dropout: Any = 0.0,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        pairs = list(zip((inputs, *sizes), sizes, strict=False))
        init, bias = kernel_initializer(activation), normalization == "none"
        self.activation = activation
        self.dense = nnx.List([nnx.Linear(i, o, use_bias=bias, kernel_init=init, rngs=rngs) for i, o in pairs])
        self.norm = nnx.List([Normalize(normalization, o, rngs=rngs) for o in sizes])
        self.dropout = Dropout(dropout)

    def inner(self, x: jax.Array) -> list[jax.Array]:
        """(batch, inputs) -> what the activation of every layer is given, (batch, size) each."""
        given = []
        for dense, norm in zip(self.dense, self.norm, strict=True):
            given.append(norm(dense(x)))
            x = activate(self.activation, given[-1])
        return given

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, inputs) -> (batch, sizes[-1])."""
        for dense, norm in zip(self.dense, self.norm, strict=True):
            x = self.dropout(activate(self.activation, norm(dense(x), rngs)), rngs)
        return x


def flatten(x: jax.Array) -> jax.Array:
    """(batch, ...) -> (batch, features)."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))
