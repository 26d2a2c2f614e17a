"""Every layer of a network with what it gives and costs, against counts by hand."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx

from nnrun.config.run_config import as_arrays
from nnrun.models.blocks import convolution
from nnrun.trained.layers import layers
from nnrun.training.network import Network


@pytest.fixture
def table(make_config):
    """{name: (kind, output, parameters, multiply-adds)} of an untrained network."""

    def make(**choices):
        words = {key.replace("__", "."): value for key, value in choices.items() if "__" in key}
        config = make_config(words, **{key: value for key, value in choices.items() if "__" not in key})
        spec = config.dataset.create().spec()
        static, numbers = config.split()
        network = Network(static, spec)
        run = SimpleNamespace(
            model=network.model(as_arrays(numbers), nnx.Rngs(0)),
            preprocessing=SimpleNamespace(spec=spec),
            program=SimpleNamespace(streams=network.streams),
        )
        return {x.name: (x.kind, x.output, x.parameters, x.multiply_adds) for x in layers(run)}

    return make


def test_dense_layers(table):
    assert table(model="mlp", dataset="iris") == {
        "hidden.dense.0": ("Linear", (64,), 4 * 64 + 64, 4 * 64),
        "hidden.dense.1": ("Linear", (64,), 64 * 64 + 64, 64 * 64),
        "head": ("Linear", (3,), 64 * 3 + 3, 64 * 3),
    }


def test_convolutions_are_counted_by_their_formula(table):
    fast = convolution.product_convolution
    found = table(model="cnn", dataset="digits")
    assert found["blocks.0"] == ("ConvBlock", (4, 4, 32), 9 * 32 + 32, 8 * 8 * 9 * 32)
    assert found["blocks.1"] == ("ConvBlock", (2, 2, 64), 9 * 32 * 64 + 64, 4 * 4 * 9 * 32 * 64)
    assert list(found) == ["blocks.0", "blocks.1", "dense.dense.0", "head"], "in the order of the calls"
    assert convolution.product_convolution is fast, "the device's own way again"


def test_a_recurrent_layer_multiplies_at_every_step(table):
    found = table(model="lstm", dataset="sine", dataset__window=5)
    assert found["layers.0.0"] == ("Direction", (5, 64), 256 * (1 + 64 + 1), 5 * 256 * (1 + 64))
    assert found["head"] == ("Linear", (1,), 65, 64)


def test_every_weight_belongs_to_one_layer(table, make_config):
    found = table(model="vae", dataset="digits", task="reconstruction")
    config = make_config(model="vae", dataset="digits", task="reconstruction")
    static, numbers = config.split()
    network = Network(static, config.dataset.create().spec())
    weights = nnx.state(network.model(as_arrays(numbers), nnx.Rngs(0)), nnx.Param)
    assert sum(row[2] for row in found.values()) == sum(np.size(leaf) for leaf in jax.tree.leaves(weights))
