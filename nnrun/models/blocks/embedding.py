"""Learned vectors for categories."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec

WIDEST = 50


def width(count: int) -> int:
    """Numbers of a vector for one of `count` categories: 1.6 count^0.56, at most 50 (fast.ai's rule of thumb)."""
    return min(WIDEST, math.ceil(1.6 * count**0.56))


class Embeddings(nnx.Module):
    """A table of vectors per column of categories, joined to the numbers: (batch, columns) -> (batch, features).

    Vectors start at length 1 on average, as a one-hot vector has. That of number 0, never seen in training, is zero and
    stays so. Source: Guo & Berkhahn, Entity Embeddings of Categorical Variables (2016).
    """

    def __init__(self, data: DataSpec, *, rngs: nnx.Rngs) -> None:
        self.tables = nnx.List([_table(count, rngs) for count in data.categories])

    def __call__(self, categories: jax.Array) -> jax.Array:
        """(batch, columns) int32 -> (batch, features of all columns)."""
        return jnp.concatenate([table(categories[:, i]) for i, table in enumerate(self.tables)], axis=-1)

    @staticmethod
    def features(data: DataSpec) -> int:
        """Numbers that all columns become together."""
        return sum(map(width, data.categories))


def _table(count: int, rngs: nnx.Rngs) -> nnx.Embed:
    size = width(count)

    def initial(key: jax.Array, shape: tuple[int, ...], *others: object) -> jax.Array:
        return (jax.random.normal(key, shape) / math.sqrt(size)).at[0].set(0)

    return nnx.Embed(count, size, embedding_init=initial, rngs=rngs)
