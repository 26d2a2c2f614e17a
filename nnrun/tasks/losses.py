"""Losses per element or per example; each computes in at least float32."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.schema import is_off


def wide(x: jax.Array) -> jax.Array:
    """The values in float32 at least: sums of exponentials and squares lose too much below."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


ACTIVE = 0.01
"""Share of a code's largest entry from which an entry counts as active."""


def active_share(code: jax.Array) -> jax.Array:
    """(batch, units) -> (batch,) share of the entries whose size is above ACTIVE times that of the largest."""
    size = jnp.abs(code)
    return (size > ACTIVE * size.max(-1, keepdims=True)).mean(-1)


def hoyer(code: jax.Array) -> jax.Array:
    """(batch, units) -> (batch,) (√n - ‖h‖₁ / ‖h‖₂) / (√n - 1): 0 where all entries are equal, 1 for one alone or none.

    Source: Hoyer, Non-negative matrix factorization with sparseness constraints (2004).
    """
    root = math.sqrt(code.shape[-1])
    norm = jnp.linalg.norm(code, axis=-1)
    ratio = jnp.abs(code).sum(-1) / jnp.where(norm > 0, norm, 1)
    return (root - jnp.where(norm > 0, ratio, 1)) / max(root - 1, 1e-6)


def mse(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Squared error (ŷ - y)², (...) and (...) -> (...)."""
    return jnp.square(wide(prediction) - target)


def mae(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Absolute error |ŷ - y|, (...) and (...) -> (...); its gradient at 0 is 0, where that of jnp.abs is 1."""
    residual = wide(prediction) - target
    return residual * jnp.sign(residual)


def huber(prediction: jax.Array, target: jax.Array, delta: Any = 1.0) -> jax.Array:
    """r²/2 where r = |ŷ - y| <= δ, else δ(r - δ/2); (...) and (...) -> (...).

    Source: Huber, Robust Estimation of a Location Parameter (1964).
    """
    error = mae(prediction, target)
    inside = jnp.minimum(error, delta)
    return inside * (error - inside / 2)


def cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: Any = 0.0, weights: jax.Array | None = None
) -> jax.Array:
    """-Σ_c w_c q_c log softmax(z)_c with q = (1 - ε) onehot(y) + ε/C; logits (..., C), integer labels (...) -> (...).

    `weights` is (C,); a label outside 0..C-1 is a caller's error. Without smoothing this is -w_y log softmax(z)_y.
    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7, for the smoothing.
    """
    terms = -jax.nn.log_softmax(wide(logits))
    if weights is not None:
        terms = terms * jnp.asarray(weights, terms.dtype).reshape(*(1,) * (terms.ndim - 1), -1)
    own = jnp.take_along_axis(terms, labels[..., None], -1)[..., 0]
    if is_off(smoothing):
        return own
    # In this form a compiler rounds alike wherever it puts the loss.
    return own + smoothing * (terms.mean(-1) - own)


def binary_cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """-y log σ(z) - (1 - y) log(1 - σ(z)), without overflow for any z; targets in [0, 1]; (...) and (...) -> (...)."""
    logits = wide(logits)
    return -target * jax.nn.log_sigmoid(logits) - (1 - target) * jax.nn.log_sigmoid(-logits)


def valid_steps(targets: jax.Array | np.ndarray, lengths: jax.Array | np.ndarray | None) -> jax.Array:
    """A mask of the steps before `lengths` (batch,), to broadcast against `targets` (batch, time, ...).

    Without lengths all count.
    """
    if lengths is None:
        return jnp.ones((1,) * targets.ndim, bool)
    steps = jnp.arange(targets.shape[1])[None] < lengths[:, None]
    return steps.reshape(*targets.shape[:2], *(1,) * (targets.ndim - 2))


def per_example(elements: jax.Array, valid: jax.Array) -> jax.Array:
    """Mean over the valid elements of each example: (batch, ...) -> (batch,); 0 where none is valid."""
    valid, axes = jnp.broadcast_to(valid, elements.shape), tuple(range(1, elements.ndim))
    return jnp.sum(jnp.where(valid, elements, 0), axes) / jnp.maximum(jnp.sum(valid, axes), 1)
