import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from published import abstract, assert_same, conv_norm, filled

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.inception import BLOCK_B, BLOCK_D, BLOCK_E, Inception, InceptionConfig, Path, block_a, block_c

CHANNELS = 3


@pytest.mark.parametrize("shape", [(7, 7, 1), (28, 28, 1), (32, 33, 3)])
def test_small_layout_answers(shape):
    assert abstract(Inception, InceptionConfig(), shape, 10)[1] == (2, 10)


def test_published_size_and_maps():
    data = DataSpec("image", (299, 299, 3), (), "classification", 1000)
    config, output = InceptionConfig(layout="v3"), OutputSpec((1000,))
    model = nnx.eval_shape(lambda: Inception(config, data, output, rngs=nnx.Rngs(0)))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == 23_834_568

    def maps_of(side):
        x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
        return [m.shape[1:] for m in nnx.eval_shape(lambda m, x: m.feature_maps(x), model, x)]

    maps = maps_of(299)
    assert maps[0] == (35, 35, 192)
    assert maps[1:5] == [(35, 35, 256), (35, 35, 288), (35, 35, 288), (17, 17, 768)]
    assert maps[5:] == [(17, 17, 768)] * 4 + [(8, 8, 1280), (8, 8, 2048), (8, 8, 2048)]
    assert maps_of(75)[-1] == (1, 1, 2048)


def published(torch, name, paths, x):
    """The blocks as they are published, on convolutions taken from the paths in order."""
    layers = (layer for path in paths for layer in (*path.convs, *path.fork))
    functional = torch.nn.functional

    def conv(x, stride=1, padding=0):
        return conv_norm(torch, next(layers), x, stride, padding, eps=1e-3)

    def average(x):
        return conv(functional.avg_pool2d(x, 3, stride=1, padding=1))

    def split(x):
        return torch.cat([conv(x, padding=(0, 1)), conv(x, padding=(1, 0))], 1)

    wide, high = {"padding": (0, 3)}, {"padding": (3, 0)}
    if name == "a":
        parts = [conv(x), conv(conv(x), padding=2), conv(conv(conv(x), padding=1), padding=1), average(x)]
    elif name == "b":
        parts = [conv(x, 2), conv(conv(conv(x), padding=1), 2), functional.max_pool2d(x, 3, 2)]
    elif name == "c":
        first, second = conv(x), conv(conv(conv(x), **wide), **high)
        long = conv(conv(conv(conv(conv(x), **high), **wide), **high), **wide)
        parts = [first, second, long, average(x)]
    elif name == "d":
        first = conv(conv(x), 2)
        parts = [first, conv(conv(conv(conv(x), **wide), **high), 2), functional.max_pool2d(x, 3, 2)]
    else:
        parts = [conv(x), split(conv(x)), split(conv(conv(x), padding=1)), average(x)]
    return torch.cat(parts, 1)


@pytest.mark.parametrize(
    ("name", "table"),
    [("a", block_a(32)), ("b", BLOCK_B), ("c", block_c(128)), ("d", BLOCK_D), ("e", BLOCK_E)],
)
def test_blocks_are_the_published_ones(name, table):
    torch = pytest.importorskip("torch")

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.paths = nnx.List([Path(branch, CHANNELS, 16, rngs=rngs) for branch in table])

        def __call__(self, x, rngs):
            return jnp.concatenate([path(x, rngs) for path in self.paths], -1)

    with jax.enable_x64(True):
        block = filled(lambda: Block(nnx.Rngs(0)))
        assert_same(torch, block, lambda torch, x: published(torch, name, block.paths, x), (2, 6, 5, CHANNELS), 1e-6)


@pytest.mark.parametrize(
    ("layout", "side", "remedy"), [("v3", 32, "model.layout=small"), ("v3", 6, "model=mlp"), ("small", 6, "model=mlp")]
)
def test_smaller_images_are_refused(layout, side, remedy):
    data = DataSpec("image", (side, side, 1), (), "classification", 3)
    with pytest.raises(ConfigError) as error:
        Inception(InceptionConfig(layout=layout), data, OutputSpec((3,)), rngs=nnx.Rngs(0))
    least = 75 if layout == "v3" else 7
    assert str(error.value) == (
        f"model.layout={layout} needs images of at least {least}x{least} pixels, but got {side}x{side}. Set {remedy}."
    )
