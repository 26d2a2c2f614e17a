import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published import abstract, filled

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.vgg import VGG, Stage, VGGConfig, adaptive_average


@pytest.mark.parametrize(("layout", "published"), [(11, 132_863_336), (16, 138_357_544)])
def test_published_size(layout, published):
    assert abstract(VGG, VGGConfig(layout=layout), (224, 224, 3)) == (published, (2, 1000))


@pytest.mark.parametrize("shape", [(32, 32, 3), (33, 100, 1), (256, 300, 3)])
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_layouts_answer(shape, normalization):
    config = VGGConfig(width=4, dense_sizes=(8,), normalization=normalization)
    assert abstract(VGG, config, shape, 10)[1] == (2, 10)


def test_small_images_go_from_one_pixel_to_the_head():
    assert abstract(VGG, VGGConfig(width=2, dense_sizes=()), (32, 32, 3), 10)[0] == (
        sum(9 * i * o + o for i, o in [(3, 2), (2, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 16), (16, 16)]) + 170
    )


def test_stage_and_adaptive_average_are_torchs():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, 23, 18, 3))
    with jax.enable_x64(True):
        stage = filled(lambda: Stage(3, 4, 2, "none", rngs=nnx.Rngs(0)))
        graph, state = nnx.split(stage)
        here = jax.jit(lambda s, x: adaptive_average(nnx.merge(graph, s)(x), 7))(state, x)
    y = torch.tensor(np.moveaxis(x, -1, 1).copy())
    for conv in stage.convs:
        kernel = torch.tensor(np.moveaxis(np.asarray(conv.kernel[...]), (-1, -2), (0, 1)).copy())
        y = torch.relu(torch.nn.functional.conv2d(y, kernel, torch.tensor(np.asarray(conv.bias[...])), padding=1))
    there = torch.nn.functional.adaptive_avg_pool2d(torch.nn.functional.max_pool2d(y, 2), 7)
    np.testing.assert_allclose(np.moveaxis(np.asarray(here), -1, 1), there, rtol=1e-9)


def test_adaptive_average_by_hand():
    x = jnp.arange(10.0).reshape(1, 5, 2, 1)
    pooled = adaptive_average(x, 3)  # rows 0-1, 1-3, 3-4; two columns are fewer than three and stay
    np.testing.assert_allclose(pooled[0, :, :, 0], [[1, 2], [4, 5], [7, 8]], rtol=1e-6)


def test_images_below_32_pixels_are_refused():
    data = DataSpec("image", (28, 40, 1), (), "classification", 3)
    with pytest.raises(ConfigError) as error:
        VGG(VGGConfig(), data, OutputSpec((3,)), rngs=nnx.Rngs(0))
    assert str(error.value) == (
        "model=vgg halves the image five times and needs at least 32x32 pixels, but got 28x40. "
        "Set model=cnn or model=resnet."
    )
