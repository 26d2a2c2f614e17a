"""Convolutions as matrix products, the batch in pieces that fit the cache."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.models.kernels.pooling import max_pool, to_winners, winners

Pool = tuple[int, ...] | None
Residuals = tuple[jax.Array, jax.Array, jax.Array | None]


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


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def piecewise(products: Products, pieces: int, pool: Pool, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of x, (batch, *space, inputs) -> (batch, *positions, outputs), `pieces` of the batch in turn.

    Its gradients make the factors again: quicker than reading them from memory, which need not hold them. `pool` is the
    window that the largest outputs are taken of, if any: then a piece is pooled while it is in the cache.
    """

    def one(x: jax.Array, matrices: Any) -> jax.Array:
        y = products.forward(x, matrices)
        return y if pool is None else max_pool(y, pool)

    return _in_turn(one, pieces, x, products.matrices(kernel))


def _in_turn(one: Callable[[jax.Array, Any], Any], pieces: int, x: jax.Array, matrices: Any) -> Any:
    """one(piece, matrices) of all pieces of x, put together."""
    if pieces == 1:
        return one(x, matrices)
    parts = _cut(x, pieces)
    shapes = jax.eval_shape(one, parts[:, 0], matrices)

    def step(i: jax.Array, found: Any) -> Any:
        return jax.tree.map(partial(_insert, index=i), found, one(_piece(parts, i), matrices))

    found = jax.tree.map(lambda s: jnp.zeros((len(parts), pieces, *s.shape[1:]), s.dtype), shapes)
    found = jax.lax.fori_loop(0, pieces, step, found)
    return jax.tree.map(lambda values: values.reshape(len(x), *values.shape[2:]), found)


def _forward(
    products: Products, pieces: int, pool: Pool, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, Residuals]:
    if pool is None:
        return piecewise(products, pieces, None, x, kernel), (x, kernel, None)

    def one(x: jax.Array, matrices: Any) -> tuple[jax.Array, jax.Array]:
        return winners(products.forward(x, matrices), pool)

    y, winner = _in_turn(one, pieces, x, products.matrices(kernel))
    return y, (x, kernel, winner)


def _backward(
    products: Products, pieces: int, pool: Pool, residuals: Residuals, d_y: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel, winner = residuals
    matrices = products.back_matrices(kernel)

    def one(x: jax.Array, d_y: jax.Array, winner: Any) -> tuple[jax.Array, Any]:
        if pool is not None:
            pooled = jax.eval_shape(lambda x: products.forward(x, products.matrices(kernel)), x)
            d_y = to_winners(winner, d_y, pool, pooled.shape[1:-1])
        return products.backward(x, d_y, matrices)

    if pieces == 1:
        d_x, sums = one(x, d_y, winner)
        return d_x, products.d_kernel(sums, kernel)
    parts = jax.tree.map(lambda values: _cut(values, pieces), (x, d_y, winner))

    def step(i: jax.Array, carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        d_part, more = one(*jax.tree.map(lambda part: _piece(part, i), parts))
        return _insert(carry[0], d_part, i), jax.tree.map(jnp.add, carry[1], more)

    _, shapes = jax.eval_shape(one, *jax.tree.map(lambda part: part[:, 0], parts))
    nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    d_x, sums = jax.lax.fori_loop(0, pieces, step, (jnp.zeros_like(parts[0]), nothing))
    return d_x.reshape(x.shape), products.d_kernel(sums, kernel)


piecewise.defvjp(_forward, _backward)
