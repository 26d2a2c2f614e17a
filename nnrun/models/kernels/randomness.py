"""Random numbers inside a training step, laid out so that a compiler can fold them into the layer that uses them."""

import math

import jax
import jax.numpy as jnp

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


class Streams:
    """Keys for the layers of one step: the i-th asked for in step t is (k0 + t, k1 + i) of the run's key (k0, k1).

    Threefry needs no more than that its keys differ, so no step spends time on hashing them.
    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
    """

    def __init__(self, key: jax.Array, step: jax.Array) -> None:
        self._words, self._step, self._asked = jax.random.key_data(key), step, 0

    def _next(self) -> jax.Array:
        offset = jnp.stack([self._step.astype(jnp.uint32), jnp.uint32(self._asked)])
        self._asked += 1
        return jax.random.wrap_key_data(self._words + offset)

    dropout = noise = sample = augmentation = _next


def threefry(key: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Two random words for each element, Threefry-2x32 of its number in row-major order, as elementwise expressions.

    JAX rolls the rounds into a loop on a CPU, whose iterations cost more than a small layer.
    """
    words = jax.random.key_data(key)
    schedule = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(PARITY))
    low = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape) + schedule[1]
    high = jnp.full(shape, schedule[0])
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            high = high + low
            low = high ^ (low << rotation | low >> (32 - rotation))
        high = high + schedule[(block + 1) % 3]
        low = low + schedule[(block + 2) % 3] + jnp.uint32(block + 1)
    return high, low


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """What jax.random.uniform(key, shape) gives: numbers in [0, 1)."""
    high, low = threefry(key, shape)
    # 23 random bits as the fraction of a number in [1, 2), whose exponent these bits are.
    one = jnp.uint32(0x3F800000)
    return jax.lax.bitcast_convert_type((high ^ low) >> 9 | one, jnp.float32) - 1


def bernoulli(key: jax.Array, probability: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Booleans that are true with a probability in steps of 2^-24, which may be traced.

    The first word of Threefry decides for the first half of the leading axis, its second word for the second half.
    """
    half = (-(-shape[0] // 2), *shape[1:])

    def drawn() -> jax.Array:
        least = jnp.ceil(probability.astype(jnp.float32) * 2**24).astype(jnp.int32)
        high, low = ((word >> 8).astype(jnp.int32) < least for word in threefry(key, half))
        return high.astype(jnp.uint8) | low.astype(jnp.uint8) << 1

    if jax.default_backend() == "cpu":
        # A compiler would fold the rounds into every use, forward and backward; nothing is folded through a condition.
        both = jax.lax.cond(probability >= 0, drawn, lambda: jnp.zeros(half, jnp.uint8))
    else:
        both = drawn()
    word = jnp.arange(2, dtype=jnp.uint8).reshape(2, *[1] * len(shape))
    return ((both >> word & 1) == 1).reshape(-1, *shape[1:])[: shape[0]]
