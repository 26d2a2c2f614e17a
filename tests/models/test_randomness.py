"""The numbers are JAX's own, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.models.randomness import Streams, bernoulli, bits


@pytest.mark.parametrize("shape", [(1,), (7,), (32, 64), (3, 5, 2, 4)])
@pytest.mark.parametrize("seed", [0, 12345])
def test_bits_and_decisions_are_those_of_jax(shape, seed):
    key = jax.random.key(seed)
    np.testing.assert_array_equal(jax.jit(bits, static_argnums=1)(key, shape), jax.random.bits(key, shape))
    rate = jnp.float32(0.3)
    expected = jax.random.bernoulli(key, rate, shape)
    np.testing.assert_array_equal(jax.jit(bernoulli, static_argnums=2)(key, rate, shape), expected)


def test_every_step_and_every_layer_has_a_key_of_its_own():
    keys = [Streams(jax.random.key(3), jnp.int32(step)) for step in range(20)]
    words = {tuple(jax.random.key_data(draw()).tolist()) for s in keys for draw in (s.dropout, s.noise, s.sample) * 2}
    assert len(words) == 20 * 6


def test_decisions_of_neighbouring_keys_are_independent():
    masks = []
    for step in range(8):
        streams = Streams(jax.random.key(0), jnp.int32(step))
        masks += [bernoulli(streams.dropout(), jnp.float32(0.5), (4096,)) for _ in range(4)]
    correlation = np.corrcoef(np.array(masks, float)) - np.eye(len(masks))
    assert np.abs(correlation).max() < 5 / np.sqrt(4096)
