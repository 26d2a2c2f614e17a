import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published import abstract, assert_same, conv_norm, filled

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.fcn import FCN, FCNConfig

UNEQUAL = DataSpec("series", (9, 2), (), "classification", 3, lengths=True)


def build(config, data=UNEQUAL):
    return FCN(config, data, OutputSpec((3,)), rngs=nnx.Rngs(0))


def test_published_size():
    kernels = 128 * 8 + 256 * 5 * 128 + 128 * 3 * 256
    size = kernels + 2 * (128 + 256 + 128) + 129 * 2
    assert abstract(FCN, FCNConfig(), (150, 1), 2) == (size, (2, 2))


def test_it_is_the_formula():
    config = FCNConfig(filters=(3, 2), kernel_size=(4, 3))
    with jax.enable_x64(True):
        model = filled(lambda: build(config))
        x, lengths = np.random.default_rng(0).normal(size=(5, 9, 2)), np.array([9, 4, 1, 7, 9])
        found = model({"inputs": jnp.asarray(x), "lengths": jnp.asarray(lengths)}, nnx.Rngs(0))[0].prediction
    for conv in model.convs:
        kernel, norm = np.asarray(conv.conv.kernel[...]), conv.norm
        before = (len(kernel) - 1) // 2
        padded = np.pad(x, ((0, 0), (before, len(kernel) - 1 - before), (0, 0)))
        windows = np.stack([padded[:, i : i + 9] for i in range(len(kernel))], 2)
        y = np.einsum("ntwi,wio->nto", windows, kernel)
        y = (y - y.mean((0, 1))) / np.sqrt(y.var((0, 1)) + 1e-5)
        x = np.maximum(y * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...]), 0)
    means = np.stack([series[:n].mean(0) for series, n in zip(x, lengths, strict=True)])
    expected = means @ np.asarray(model.head.kernel[...]) + np.asarray(model.head.bias[...])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_it_is_torchs():
    torch = pytest.importorskip("torch")

    class Averaged(nnx.Module):
        def __init__(self, rngs):
            data = DataSpec("series", (9, 2), (), "classification", 3)
            self.net = FCN(FCNConfig(filters=(3, 2), kernel_size=(4, 3)), data, OutputSpec((3,)), rngs=rngs)

        def __call__(self, x, rngs):
            return self.net({"inputs": x}, rngs)[0].prediction[:, None]

    with jax.enable_x64(True):
        module = filled(lambda: Averaged(nnx.Rngs(0)))

        def forward(torch, x):
            for conv in module.net.convs:
                x = conv_norm(torch, conv, x, padding="same")
            kernel, bias = (torch.tensor(np.asarray(v[...])) for v in (module.net.head.kernel, module.net.head.bias))
            return (x.mean(-1) @ kernel + bias)[..., None]

        assert_same(torch, module, forward, (4, 9, 2))


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ConfigError, match=r"model.filters must have at least one entry, but got \[\]"):
        build(FCNConfig(filters=()))
    with pytest.raises(ConfigError, match=r"model.kernel_size must be one number or a list .*\(1\), but got 3"):
        build(FCNConfig(filters=(8,)))
