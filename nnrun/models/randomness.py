"""Random numbers inside a training step, laid out so that a compiler can fold them into the layer that uses them."""

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


def bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """What jax.random.bits(key, shape) gives, as one elementwise expression.

    JAX rolls the rounds of Threefry-2x32 into a loop on a CPU, whose iterations cost more than a small layer.
    """
    words = jax.random.key_data(key)
    schedule = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(PARITY))
    count = 1
    for extent in shape:
        count *= extent
    low = jax.lax.iota(jnp.uint32, count).reshape(shape) + schedule[1]
    high = jnp.full(shape, schedule[0])
    for block in range(5):
        for rotation in ROTATIONS[block % 2]:
            high = high + low
            low = high ^ (low << rotation | low >> (32 - rotation))
        high = high + schedule[(block + 1) % 3]
        low = low + schedule[(block + 2) % 3] + jnp.uint32(block + 1)
    return high ^ low


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """What jax.random.uniform(key, shape) gives: numbers in [0, 1)."""
    one = jnp.uint32(0x3F800000)
    return jax.lax.bitcast_convert_type(bits(key, shape) >> 9 | one, jnp.float32) - 1


def bernoulli(key: jax.Array, probability: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """What jax.random.bernoulli(key, probability, shape) gives: true with a probability, which may be traced."""

    def drawn() -> jax.Array:
        return uniform(key, shape) < probability

    if jax.default_backend() != "cpu":
        return drawn()
    # A compiler would fold the rounds into every use, forward and backward; nothing is folded through a condition.
    return jax.lax.cond(probability >= 0, drawn, lambda: jnp.zeros(shape, bool))
