"""VGG: deep stacks of 3x3 convolutions."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec
from nnrun.models.blocks.convolution import Conv
from nnrun.models.kernels.pooling import max_pool
from nnrun.models.layers import DenseStack, Normalization, Normalize, flatten
from nnrun.schema import number, setting, size

LAYOUTS = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
"""Convolutions of each stage."""
WIDENING = (1, 2, 4, 8, 8)
POOLED = 7
"""Pixels of the last map's side: larger maps are averaged down to it."""
SMALLEST = 2 ** len(WIDENING)


@dataclass(frozen=True)
class VGGConfig:
    """Keys of model=vgg."""

    layout: Literal[11, 16] = setting(11, "number of layers with weights")
    width: int = size(64, "filters of the first stage; the others have 2, 4, 8 and 8 times as many")
    dense_sizes: tuple[int, ...] = size((4096, 4096), "units of each dense layer before the output; [] is none")
    normalization: Normalization = setting("none", "between convolution and relu")
    dropout: float = number(0.5, "after every dense layer", off=0.0, least=0, below=1)


def averaging(extent: int, bins: int) -> np.ndarray:
    """(bins, extent) matrix; row b averages from floor(b * extent / bins) to before ceil((b + 1) * extent / bins)."""
    rows, positions = np.arange(bins)[:, None], np.arange(extent)
    inside = (positions >= rows * extent // bins) & (positions < -(-(rows + 1) * extent // bins))
    return inside / inside.sum(1, keepdims=True)


def adaptive_average(x: jax.Array, side: int) -> jax.Array:
    """Averages (batch, height, width, channels) down to (batch, side, side, channels); smaller maps stay."""
    for axis in (1, 2):
        if x.shape[axis] > side:
            matrix = jnp.asarray(averaging(x.shape[axis], side), x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, matrix, (axis, 1)), -1, axis)
    return x


class VGG(Model):
    """Five stages of 3x3 convolutions with relu, each ended by a 2x2 max-pool; dense layers with dropout.

    inputs (batch, height, width, channels) of at least 32x32, prediction (batch, *output.shape). The last map is
    averaged to 7x7 where it is larger, and goes to the dense layers as it is where it is smaller (1x1 for 32x32).
    Layers, biases and their order are torchvision's. Raises ConfigError for smaller images.
    Source: Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition (2015), A and D.
    """

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: VGGConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        height, width, channels = data.inputs
        if min(height, width) < SMALLEST:
            raise ConfigError(
                f"model=vgg halves the image five times and needs at least {SMALLEST}x{SMALLEST} pixels, "
                f"but got {height}x{width}. Set model=cnn or model=resnet."
            )
        self.stages: nnx.List = nnx.List([])
        for count, widening in zip(LAYOUTS[config.layout], WIDENING, strict=True):
            filters = config.width * widening
            self.stages.append(Stage(channels, filters, count, config.normalization, rngs=rngs))
            channels = filters
        features = channels * min(height // SMALLEST, POOLED) * min(width // SMALLEST, POOLED)
        self.dense = DenseStack(features, config.dense_sizes, "relu", dropout=config.dropout, rngs=rngs)
        self.head = nnx.Linear((features, *config.dense_sizes)[-1], output.size, rngs=rngs)
        self.shape = output.shape

    def first_kernel(self) -> jax.Array:
        """(*window, channels, filters), the kernel that looks at the inputs."""
        return self.stages[0].convs[0].kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, height, width, channels) -> what every stage makes of it, each half as high and wide."""
        maps = [x]
        for block in self.stages:
            maps.append(block(maps[-1], rngs))
        return maps[1:]

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, height, width, channels) -> prediction (batch, *output.shape)."""
        x = adaptive_average(self.feature_maps(batch["inputs"], rngs)[-1], POOLED)
        logits = self.head(self.dense(flatten(x), rngs))
        return Outputs(logits.reshape(-1, *self.shape)), carry


class Stage(nnx.Module):
    """`count` times relu(normalize(conv3x3(x))), then the largest of every 2x2 pixels."""

    def __init__(self, inputs: int, filters: int, count: int, normalization: Normalization, *, rngs: nnx.Rngs) -> None:
        bias, channels = normalization == "none", (inputs, *(filters,) * (count - 1))
        self.convs = nnx.List([Conv(i, filters, 3, 1, 1, bias=bias, rngs=rngs) for i in channels])
        self.norms = nnx.List([Normalize(normalization, filters, rngs=rngs) for _ in channels])

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, height, width, inputs) -> (batch, height / 2, width / 2, filters)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.relu(norm(conv(x), rngs))
        return max_pool(x, 2)
