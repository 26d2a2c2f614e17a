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
from nnrun.models.resnet import BasicBlock, Bottleneck, ResNet, ResNetConfig, SeriesBlock


@pytest.mark.parametrize(("layout", "published"), [(18, 11_689_512), (50, 25_557_032)])
def test_published_size(layout, published):
    assert abstract(ResNet, ResNetConfig(layout=layout), (224, 224, 3)) == (published, (2, 1000))


def test_the_network_for_series_is_the_published_one():
    # Kernels of 8, 5 and 3 steps, a scale and a shift for each filter of each, the shortcut's own, and the head.
    first, second, third = 64 * (8 + 5 * 64 + 3 * 64), 128 * (8 * 64 + 8 * 128), 128 * 16 * 128
    shortcuts = 64 + 64 * 128 + 2 * (64 + 128 + 128)
    size = first + second + third + 2 * 3 * (64 + 128 + 128) + shortcuts + 129 * 2
    assert abstract(ResNet, ResNetConfig(), (150, 1), 2) == (size, (2, 2))


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


@pytest.mark.parametrize("inputs", [4, 3])
def test_the_block_for_series_is_torchs(inputs):
    torch = pytest.importorskip("torch")
    with jax.enable_x64(True):
        block = filled(lambda: SeriesBlock(inputs, 4, 1, rngs=nnx.Rngs(0)))

        def forward(torch, x):
            y = conv_norm(torch, block.conv1, x, padding="same")
            y = conv_norm(torch, block.conv2, y, padding="same")
            y = conv_norm(torch, block.conv3, y, padding="same", relu=False)
            if inputs == 3:
                return torch.relu(y + conv_norm(torch, block.downsample, x, relu=False))
            scale, bias = (torch.tensor(np.asarray(v[...])) for v in (block.norm.norm.scale, block.norm.norm.bias))
            return torch.relu(y + torch.nn.functional.batch_norm(x, None, None, scale, bias, training=True))

        assert_same(torch, block, forward, (2, 9, inputs))


def test_padded_steps_are_left_out_of_the_average_and_other_layouts_are_refused():
    data = DataSpec("series", (9, 1), (), "classification", 3, lengths=True)
    model = ResNet(ResNetConfig(filters=(2,)), data, OutputSpec((3,)), rngs=nnx.Rngs(0))
    x = jnp.zeros((2, 9, 1)).at[:, :4].set(1.0)
    (maps,) = model.feature_maps(x)
    found = model({"inputs": x, "lengths": jnp.array([4, 9])})[0].prediction
    expected = model.head(jnp.stack([maps[0, :4].mean(0), maps[1].mean(0)]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match=r"layout=18 is a network for images.* Set model.layout=small"):
        ResNet(ResNetConfig(layout=18), data, OutputSpec((3,)), rngs=nnx.Rngs(0))


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
