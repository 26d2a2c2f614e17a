"""Learned vectors of categories: what they compute, what they learn, and what stays zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.embedding import Embeddings, width
from nnrun.models.mlp import MLP, MLPConfig

SPEC = DataSpec("table", (2,), (1,), "regression", categories=(4, 30))


def test_widths_follow_the_rule_of_thumb():
    assert [width(count) for count in (2, 4, 30, 1000, 10**6)] == [3, 4, 11, 50, 50]


def test_vectors_are_looked_up_and_joined():
    layer = Embeddings(SPEC, rngs=nnx.Rngs(0))
    numbers = jnp.array([[0, 29], [3, 1]])
    tables = [np.asarray(table.embedding[...]) for table in layer.tables]
    wanted = np.concatenate([tables[0][[0, 3]], tables[1][[29, 1]]], axis=1)
    np.testing.assert_array_equal(layer(numbers), wanted)
    assert Embeddings.features(SPEC) == wanted.shape[1] == 15
    assert (tables[0][0] == 0).all()
    assert np.mean([np.square(table[1:]).sum(1).mean() for table in tables]) == pytest.approx(1, rel=0.5)


def test_the_network_is_an_mlp_on_numbers_and_vectors():
    model = MLP(MLPConfig((5,)), SPEC, OutputSpec((1,)), rngs=nnx.Rngs(0))
    batch = {"inputs": jnp.array([[0.5, -1.0], [2.0, 0.0]]), "categories": jnp.array([[1, 2], [3, 0]], jnp.int32)}
    vectors = np.concatenate([batch["inputs"], model.embeddings(batch["categories"])], axis=1)
    hidden = np.maximum(vectors @ model.hidden.dense[0].kernel[...] + model.hidden.dense[0].bias[...], 0)
    wanted = hidden @ model.head.kernel[...] + model.head.bias[...]
    np.testing.assert_allclose(model(batch)[0].prediction, wanted, rtol=1e-5)


def test_only_the_vectors_of_categories_that_occur_learn():
    layer = Embeddings(SPEC, rngs=nnx.Rngs(0))
    graph, params = nnx.split(layer)
    gradient = jax.grad(lambda p: jnp.square(nnx.merge(graph, p)(jnp.array([[1, 7], [2, 7]]))).sum())(params)
    moved = [np.abs(np.asarray(leaf)).sum(1) > 0 for leaf in jax.tree.leaves(gradient)]
    assert [np.flatnonzero(rows).tolist() for rows in moved] == [[1, 2], [7]]


def test_a_table_without_categories_has_no_such_weights():
    model = MLP(MLPConfig((5,)), DataSpec("table", (2,), (1,), "regression"), OutputSpec((1,)), rngs=nnx.Rngs(0))
    assert model.embeddings is None
