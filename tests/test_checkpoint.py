"""Arrays on disk: whole or not at all, and what is said of a file that is damaged."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.folders import checkpoint, weights_file
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
    weights_file.write(tmp_path / "a.safetensors", tree, notes)
    path = tmp_path / "a.safetensors"
    loaded, found = weights_file.read(path, tree, exactly=True), weights_file.notes(path)
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    for new, old in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
        assert new.dtype == old.dtype
        assert new.shape == old.shape
        np.testing.assert_array_equal(new, old)
    assert found["history"][0] == notes["history"][0]
    assert np.isnan(found["history"][1]["val/loss"])


def test_headers_tell_types_and_shapes_without_the_arrays(tree, tmp_path):
    weights_file.write(tmp_path / "a.safetensors", tree)
    assert weights_file.headers(tmp_path / "a.safetensors") == {
        "weights.dense.0": ("float32", (2, 3)),
        "weights.dense.1": ("bfloat16", (2, 3)),
        "weights.scale": ("float32", ()),
        "step": ("uint32", ()),
    }


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
@pytest.mark.parametrize("read", [weights_file.read, lambda path, _: weights_file.headers(path)])
def test_a_truncated_file_is_damaged(tree, tmp_path, keep, read):
    path = tmp_path / "a.safetensors"
    weights_file.write(path, tree)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a.safetensors is damaged \(.*\)\."):
        read(path, tree)


def test_a_file_that_is_not_there_is_missing(tree, tmp_path):
    with pytest.raises(ValueError, match=r"none is missing\."):
        weights_file.read(tmp_path / "none", tree)


@pytest.mark.parametrize("text", ["{", "[" * 10**5])
def test_notes_that_are_no_json_are_damage(tree, tmp_path, text):
    (tmp_path / "a").write_bytes(weights_file.encoded(tree, {"nnrun": text}))
    with pytest.raises(ValueError, match=r"a is damaged \(.*\)\."):
        weights_file.notes(tmp_path / "a")


OF_ANOTHER_NETWORK = [
    (
        {"dense": [jnp.zeros((3, 3)), jnp.zeros((2, 3))]},
        "is of another network or version of nnrun: weights.dense.0 has the shape (2, 3), not (3, 3).",
        "was written by another version of nnrun: weights.dense.0 is float32 of shape (2, 3), not float32 of shape "
        "(3, 3).",
    ),
    (
        {"scale": jnp.bfloat16(1)},
        "must hold weights.scale as bfloat16, not float32.",
        "was written by another version of nnrun: weights.scale is float32 of shape (), not bfloat16 of shape ().",
    ),
    (
        {"bias": jnp.zeros(3)},
        "is of another network or version of nnrun: weights.bias is missing.",
        "was written by another version of nnrun: it lacks weights.bias.",
    ),
]


@pytest.mark.parametrize(("change", "network", "version"), OF_ANOTHER_NETWORK)
def test_another_network_does_not_fit(tree, tmp_path, change, network, version):
    weights_file.write(tmp_path / "a", tree)
    other = tree._replace(weights=tree.weights | change)
    for exactly, said in ((False, network), (True, version)):
        with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'a'} {said}")):
            weights_file.read(tmp_path / "a", other, exactly=exactly)


def test_what_is_not_asked_for_is_left_unless_the_file_must_hold_nothing_else(tree, tmp_path):
    weights_file.write(tmp_path / "a", tree._asdict() | {"ema": jnp.ones(2)})
    assert weights_file.read(tmp_path / "a", tree).step == 7
    with pytest.raises(ValueError, match=r"a was written by another version of nnrun: it holds ema, which is unknown"):
        weights_file.read(tmp_path / "a", tree, exactly=True)


def test_a_stack_may_have_any_leading_size(tree, tmp_path):
    four = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), tree)
    stack = jax.tree.map(lambda leaf: leaf[:3], four)
    weights_file.write(tmp_path / "a", stack)
    assert weights_file.read(tmp_path / "a", four, stacked=True).step.tolist() == [7, 7, 7]
    with pytest.raises(ValueError, match="is of another network or version of nnrun"):
        weights_file.read(tmp_path / "a", four)


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
