import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published import abstract, assert_same, conv_norm, filled

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.convolution import ConvNorm
from nnrun.models.kernels.pooling import max_pool
from nnrun.models.resnet import BasicBlock, Bottleneck, ResNet, ResNetConfig


@pytest.mark.parametrize(("layout", "published"), [(18, 11_689_512), (50, 25_557_032)])
def test_published_size(layout, published):
    assert abstract(ResNet, ResNetConfig(layout=layout), (224, 224, 3)) == (published, (2, 1000))


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        ((8, 8, 1), {}),
        ((33, 31, 3), {"blocks_per_stage": 3, "filters": (4, 8)}),
        ((32, 32, 3), {"layout": 18}),
        ((28, 28, 1), {"layout": 50, "stem": "imagenet"}),
    ],
)
def test_layouts_answer(shape, keys):
    assert abstract(ResNet, ResNetConfig(**keys), shape, 10)[1] == (2, 10)


@pytest.mark.parametrize(
    ("keys", "side", "sides"),
    [
        ({}, 32, [32, 32, 16, 8]),
        ({}, 224, [224, 224, 112, 56]),
        ({"layout": 18}, 63, [63, 63, 32, 16, 8]),
        ({"layout": 18}, 64, [16, 16, 8, 4, 2]),
        ({"layout": 18, "stem": "small"}, 64, [64, 64, 32, 16, 8]),
        ({"layout": 50}, 224, [56, 56, 28, 14, 7]),
    ],
)
def test_stem_follows_the_size_of_the_image(keys, side, sides):
    data = DataSpec("image", (side, side, 3), (), "classification", 3)
    model = nnx.eval_shape(lambda: ResNet(ResNetConfig(**keys), data, OutputSpec((3,)), rngs=nnx.Rngs(0)))
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    maps = nnx.eval_shape(lambda m, x: m.feature_maps(x), model, x)
    assert [m.shape[1] for m in maps] == sides


@pytest.mark.parametrize(("inputs", "stride"), [(4, 1), (3, 2)])
def test_basic_block_is_torchs(inputs, stride):
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        block = filled(lambda: BasicBlock(inputs, 4, stride, rngs=nnx.Rngs(0)))
        assert (block.downsample is None) == (stride == 1)

        def forward(torch, x):
            y = conv_norm(torch, block.conv1, x, stride, 1)
            y = conv_norm(torch, block.conv2, y, 1, 1, relu=False)
            return torch.relu(y + (x if stride == 1 else conv_norm(torch, block.downsample, x, stride, relu=False)))

        assert_same(torch, block, forward, (2, 7, 6, inputs))


def test_bottleneck_is_torchs_with_the_stride_in_the_middle():
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        block = filled(lambda: Bottleneck(3, 2, 2, rngs=nnx.Rngs(0)))

        def forward(torch, x):
            y = conv_norm(torch, block.conv2, conv_norm(torch, block.conv1, x), 2, 1)
            y = conv_norm(torch, block.conv3, y, relu=False)
            return torch.relu(y + conv_norm(torch, block.downsample, x, 2, relu=False))

        assert_same(torch, block, forward, (2, 6, 7, 3))


def test_imagenet_stem_is_torchs():
    torch = pytest.importorskip("torch")

    class Stem(nnx.Module):
        def __init__(self, rngs):
            self.stem = ConvNorm(3, 4, 7, 2, 3, rngs=rngs)

        def __call__(self, x, rngs):
            return max_pool(self.stem(x, rngs), 3, 2, 1)

    with jax.enable_x64(True):
        module = filled(lambda: Stem(nnx.Rngs(0)))

        def forward(torch, x):
            return torch.nn.functional.max_pool2d(conv_norm(torch, module.stem, x, 2, 3), 3, 2, 1)

        graph, state = nnx.split(module)
        x = np.random.default_rng(0).normal(size=(2, 15, 14, 3))
        here = jax.jit(lambda s, x: nnx.merge(graph, s)(x, nnx.Rngs(0)))(state, x)
        there = forward(torch, torch.tensor(np.moveaxis(x, -1, 1).copy()))
    np.testing.assert_allclose(np.moveaxis(np.asarray(here), -1, 1), there, rtol=1e-9, atol=1e-12)


def test_a_network_without_stages_is_refused():
    data = DataSpec("image", (8, 8, 1), (), "classification", 3)
    with pytest.raises(ConfigError) as error:
        ResNet(ResNetConfig(filters=()), data, OutputSpec((3,)), rngs=nnx.Rngs(0))
    assert str(error.value) == ("model.filters must have at least one entry, but got []. Set model.filters=[16,32,64].")
