"""The numbers are those of Threefry, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from nnrun.models.kernels.randomness import Streams, bernoulli, threefry, uniform

SHAPES = [(1,), (7,), (32, 64), (3, 5, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 12345])
def test_words_are_those_of_threefry(shape, seed):
    key, count = jax.random.key(seed), np.prod(shape)
    high, low = jax.jit(threefry, static_argnums=1)(key, shape)
    counts = jnp.concatenate([jnp.zeros(count, jnp.uint32), jnp.arange(count, dtype=jnp.uint32)])
    expected = threefry_2x32(jax.random.key_data(key), counts)
    np.testing.assert_array_equal(jnp.concatenate([high.ravel(), low.ravel()]), expected)
    np.testing.assert_array_equal(high ^ low, jax.random.bits(key, shape))
    np.testing.assert_array_equal(jax.jit(uniform, static_argnums=1)(key, shape), jax.random.uniform(key, shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_word_decides_once(shape):
    key, keep = jax.random.key(3), jnp.float32(0.7)
    words = threefry(key, (-(-shape[0] // 2), *shape[1:]))
    expected = np.concatenate([np.asarray(word, np.float64) / 2**32 < 0.7 for word in words])[: shape[0]]
    np.testing.assert_array_equal(jax.jit(bernoulli, static_argnums=2)(key, keep, shape), expected)


@pytest.mark.parametrize(("keep", "share"), [(0.0, 0.0), (1.0, 1.0), (2.0**-24, 0.0), (0.25, 0.25), (0.9, 0.9)])
def test_share_of_decisions_is_the_probability(keep, share):
    kept = bernoulli(jax.random.key(1), jnp.float32(keep), (2, 200_000))
    assert abs(float(kept.mean()) - share) <= 5 * np.sqrt(share * (1 - share) / kept.size)
    if share in (0.0, 1.0) and keep != 2.0**-24:
        assert float(kept.mean()) == share


def test_every_step_and_every_layer_has_a_key_of_its_own():
    keys = [Streams(jax.random.key(3), jnp.int32(step)) for step in range(20)]
    words = {tuple(jax.random.key_data(draw()).tolist()) for s in keys for draw in (s.dropout, s.noise, s.sample) * 2}
    assert len(words) == 20 * 6


def test_decisions_of_neighbouring_keys_are_independent():
    masks = []
    for step in range(8):
        streams = Streams(jax.random.key(0), jnp.int32(step))
        masks += [bernoulli(streams.dropout(), jnp.float32(0.5), (4096,)) for _ in range(4)]
    halves = np.array(masks, float).reshape(2 * len(masks), -1)  # of one word each
    correlation = np.corrcoef(halves) - np.eye(len(halves))
    assert np.abs(correlation).max() < 5 / np.sqrt(2048)
