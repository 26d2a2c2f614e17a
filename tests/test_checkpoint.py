"""Arrays on disk: whole or not at all, and what is said of a file that is damaged."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.folders import checkpoint
from nnrun.training.network import weight_names


class Pair(NamedTuple):
    weights: dict
    step: jax.Array


@pytest.fixture
def tree():
    kernel = jnp.arange(6, dtype=jnp.float32).reshape(2, 3)
    return Pair({"dense": [kernel, kernel.astype(jnp.bfloat16)], "scale": jnp.float32(2)}, jnp.uint32(7))


def test_leaves_are_saved_under_dotted_names(tree):
    assert weight_names(tree) == ["weights.dense.0", "weights.dense.1", "weights.scale", "step"]


def test_a_tree_comes_back_bit_equal_with_its_notes(tree, tmp_path):
    notes = {"history": [{"val/loss": 0.1 + 0.2}, {"val/loss": float("nan")}]}
    checkpoint.save_tree(tmp_path / "a.safetensors", tree, notes)
    loaded, found = checkpoint.load_tree(tmp_path / "a.safetensors", tree)
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    for new, old in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
        np.testing.assert_array_equal(new, old)
    assert found["history"][0] == notes["history"][0]
    assert np.isnan(found["history"][1]["val/loss"])


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_truncated_file_is_damaged(tree, tmp_path, keep):
    path = tmp_path / "a.safetensors"
    checkpoint.save_tree(path, tree)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a.safetensors is damaged \(.*\)\."):
        checkpoint.load_tree(path, tree)


def test_a_file_that_is_not_there_is_missing(tree, tmp_path):
    with pytest.raises(ValueError, match=r"none is missing\."):
        checkpoint.load_tree(tmp_path / "none", tree)


def test_another_network_does_not_fit(tree, tmp_path):
    checkpoint.save_tree(tmp_path / "a", tree)
    other = tree._replace(weights={**tree.weights, "dense": [jnp.zeros((3, 3)), jnp.zeros((2, 3))]})
    with pytest.raises(
        ValueError, match=r"a does not fit this network: weights.dense.0 is missing or has another shape"
    ):
        checkpoint.load_tree(tmp_path / "a", other)


def test_the_newest_two_checkpoints_are_kept_newest_first(tree, tmp_path):
    for step in (9, 10, 100):
        checkpoint.save_checkpoint(tmp_path / "c", step, tree, {})
    (tmp_path / "c" / ".0000000200.safetensors.partial").touch()
    assert [path.name for path in checkpoint.checkpoints(tmp_path / "c")] == [
        "0000000100.safetensors",
        "0000000010.safetensors",
    ]


def test_checkpoints_that_training_went_back_behind_give_way(tree, tmp_path):
    for step in (100, 200, 10, 20):
        checkpoint.save_checkpoint(tmp_path, step, tree, {})
    assert [path.stem for path in checkpoint.checkpoints(tmp_path)] == ["0000000020", "0000000010"]
