"""The order of an epoch against JAX's own permutation."""

import jax
import numpy as np
import pytest

from nnrun.training.shuffling import permutation


@pytest.mark.parametrize("count", [0, 1, 2, 22, 1625, 1626, 65_535, 65_536, 65_537])
def test_it_is_the_permutation_that_jax_gives(count):
    for seed in range(2):
        key = jax.random.key(seed)
        found = jax.jit(permutation, static_argnums=1)(key, count)
        expected = jax.random.permutation(key, count)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_equal_words_keep_their_order(monkeypatch):
    """Two of 32 bits are hardly ever equal among so few."""
    words = np.array([5, 1 << 16, 5, 0, 1 << 16, 3 << 16, 0, 5], np.uint32)
    monkeypatch.setattr(jax.random, "bits", lambda key, shape: jax.numpy.asarray(words))
    assert permutation(jax.random.key(0), 8).tolist() == np.argsort(words, kind="stable").tolist()
