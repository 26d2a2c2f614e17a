"""Convolutions as matrix products, the batch in pieces that fit the cache."""

import abc
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


class Products(abc.ABC):
    """One way to write a convolution as matrix products. A frozen dataclass, since it is static in a program."""

    @abc.abstractmethod
    def matrices(self, kernel: jax.Array) -> Any:
        """What `forward` multiplies with, made once for all pieces."""

    @abc.abstractmethod
    def forward(self, x: jax.Array, matrices: Any) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, outputs)."""

    @abc.abstractmethod
    def back_matrices(self, kernel: jax.Array) -> Any:
        """What `backward` multiplies with, made once for all pieces."""

    @abc.abstractmethod
    def backward(self, x: jax.Array, d_y: jax.Array, matrices: Any) -> tuple[jax.Array, Any]:
        """The gradient of x, and what a piece adds to the sums of which `d_kernel` makes the kernel's gradient."""

    @abc.abstractmethod
    def d_kernel(self, sums: Any, kernel: jax.Array) -> jax.Array:
        """The gradient of the kernel from the sums over all pieces."""


def fitting_pieces(examples: int, example_bytes: int, most_bytes: int) -> int:
    """Into how many equal pieces a batch is cut so that none is larger than `most_bytes`, if examples can be."""
    fitting = [n for n in range(1, examples + 1) if examples % n == 0 and n * example_bytes <= most_bytes]
    return examples // max(fitting, default=1)


def _cut(x: jax.Array, pieces: int) -> jax.Array:
    """(batch, ...) -> (batch / pieces, pieces, ...): where devices share a batch, each has some of every piece."""
    return x.reshape(len(x) // pieces, pieces, *x.shape[1:])


def _piece(x: jax.Array, index: jax.Array) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(x, index, 1, keepdims=False)


def _insert(x: jax.Array, piece: jax.Array, index: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(x, piece, index, 1)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def piecewise(products: Products, pieces: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of x, (batch, *space, inputs) -> (batch, *positions, outputs), `pieces` of the batch in turn.

    Its gradients make the factors again: quicker than reading them from memory, which need not hold them.
    """
    matrices = products.matrices(kernel)
    if pieces == 1:
        return products.forward(x, matrices)
    parts = _cut(x, pieces)
    shape = jax.eval_shape(products.forward, parts[:, 0], matrices)

    def step(i: jax.Array, y: jax.Array) -> jax.Array:
        return _insert(y, products.forward(_piece(parts, i), matrices), i)

    y = jnp.zeros((len(parts), pieces, *shape.shape[1:]), shape.dtype)
    return jax.lax.fori_loop(0, pieces, step, y).reshape(len(x), *shape.shape[1:])


def _forward(
    products: Products, pieces: int, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return piecewise(products, pieces, x, kernel), (x, kernel)


def _backward(
    products: Products, pieces: int, residuals: tuple[jax.Array, jax.Array], d_y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    matrices = products.back_matrices(kernel)
    if pieces == 1:
        d_x, sums = products.backward(x, d_y, matrices)
        return d_x, products.d_kernel(sums, kernel)
    parts, d_parts = _cut(x, pieces), _cut(d_y, pieces)

    def step(i: jax.Array, carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        d_part, more = products.backward(_piece(parts, i), _piece(d_parts, i), matrices)
        return _insert(carry[0], d_part, i), jax.tree.map(jnp.add, carry[1], more)

    _, shapes = jax.eval_shape(products.backward, parts[:, 0], d_parts[:, 0], matrices)
    nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    d_x, sums = jax.lax.fori_loop(0, pieces, step, (jnp.zeros_like(parts), nothing))
    return d_x.reshape(x.shape), products.d_kernel(sums, kernel)


piecewise.defvjp(_forward, _backward)
