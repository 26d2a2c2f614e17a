"""Residual network."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec
from nnrun.models.blocks.convolution import ConvNorm
from nnrun.models.kernels.pooling import global_average, max_pool
from nnrun.schema import setting, size

SMALLEST_IMAGENET = 64
"""Pixels of the shorter side from which stem=auto reduces the image fourfold before the first block."""


@dataclass(frozen=True)
class ResNetConfig:
    """Keys of model=resnet."""

    layout: Literal["small", 18, 50] = setting("small", "small: filters, blocks_per_stage; 18, 50: as published")
    filters: tuple[int, ...] = size((16, 32, 64), "of each stage of layout small")
    blocks_per_stage: int = size(1, "of layout small; n of He et al.'s 6n + 2 layers", most=200)
    stem: Literal["auto", "imagenet", "small"] = setting(
        "auto", "imagenet: 7x7, stride 2, max-pool; small: 3x3; auto: imagenet from 64 pixels and not for layout small"
    )


class BasicBlock(nnx.Module):
    """relu(x' + F(x)) with F two 3x3 convolutions; x' is x, or its 1x1 projection where the shape changes."""

    widening: ClassVar[int] = 1

    def __init__(self, inputs: int, filters: int, stride: int, *, rngs: nnx.Rngs) -> None:
        self.conv1 = ConvNorm(inputs, filters, 3, stride, 1, rngs=rngs)
        self.conv2 = ConvNorm(filters, filters, 3, 1, 1, activation=None, rngs=rngs)
        self.downsample = projection(inputs, filters, stride, rngs)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, height, width, inputs) -> (batch, height / stride, width / stride, filters)."""
        shortcut = x if self.downsample is None else self.downsample(x, rngs)
        return jax.nn.relu(shortcut + self.conv2(self.conv1(x, rngs), rngs))


class Bottleneck(nnx.Module):
    """relu(x' + F(x)) with F a 1x1, a 3x3 that carries the stride, and a 1x1 convolution to four times the filters."""

    widening: ClassVar[int] = 4

    def __init__(self, inputs: int, filters: int, stride: int, *, rngs: nnx.Rngs) -> None:
        outputs = filters * self.widening
        self.conv1 = ConvNorm(inputs, filters, 1, rngs=rngs)
        self.conv2 = ConvNorm(filters, filters, 3, stride, 1, rngs=rngs)
        self.conv3 = ConvNorm(filters, outputs, 1, activation=None, rngs=rngs)
        self.downsample = projection(inputs, outputs, stride, rngs)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, height, width, inputs) -> (batch, height / stride, width / stride, 4 filters)."""
        shortcut = x if self.downsample is None else self.downsample(x, rngs)
        return jax.nn.relu(shortcut + self.conv3(self.conv2(self.conv1(x, rngs), rngs), rngs))


def projection(inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> ConvNorm | None:
    """The 1x1 convolution of a shortcut, None where the block keeps the shape."""
    if stride == 1 and inputs == outputs:
        return None
    return ConvNorm(inputs, outputs, 1, stride, activation=None, rngs=rngs)


LAYOUTS: dict[Any, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
}
"""Kind of block and blocks per stage; the stages have 64, 128, 256 and 512 filters."""


class ResNet(Model):
    """Residual network: a stem, stages of residual blocks whose first halves the image (not in the first stage), the
    global average, one linear layer. Batch normalization follows every convolution.

    inputs (batch, height, width, channels), prediction (batch, *output.shape). Layers 18 and 50 are torchvision's, in
    its order and with its padding; 50 has the stride on the 3x3 convolution.
    Source: He, Zhang, Ren & Sun, Deep residual learning for image recognition (2016); layout small is its section 4.2
    with projections as shortcuts.
    """

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: ResNetConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        small = config.layout == "small"
        if small and not config.filters:
            raise ConfigError("model.filters must have at least one entry, but got []. Set model.filters=[16,32,64].")
        block, counts = LAYOUTS.get(config.layout, (BasicBlock, (config.blocks_per_stage,) * len(config.filters)))
        filters = config.filters if small else (64, 128, 256, 512)
        auto = "imagenet" if not small and min(data.inputs[:2]) >= SMALLEST_IMAGENET else "small"
        self.imagenet = (auto if config.stem == "auto" else config.stem) == "imagenet"
        kernel, stride, padding = (7, 2, 3) if self.imagenet else (3, 1, 1)
        self.stem = ConvNorm(data.inputs[-1], filters[0], kernel, stride, padding, rngs=rngs)
        self.stages: nnx.List = nnx.List([])
        inputs = filters[0]
        for width, count in zip(filters, counts, strict=True):
            blocks: nnx.List = nnx.List([])
            for _ in range(count):
                # The first block of every stage but the first halves the image.
                stride = 2 if self.stages and not blocks else 1
                blocks.append(block(inputs, width, stride, rngs=rngs))
                inputs = width * block.widening
            self.stages.append(blocks)
        self.head = nnx.Linear(inputs, output.size, rngs=rngs)
        self.shape = output.shape

    def first_kernel(self) -> jax.Array:
        """(*window, channels, filters), the kernel that looks at the inputs."""
        return self.stem.conv.kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, height, width, channels) -> what the stem and every stage make of it."""
        x = self.stem(x, rngs)
        maps = [max_pool(x, 3, 2, 1) if self.imagenet else x]
        for blocks in self.stages:
            x = maps[-1]
            for block in blocks:
                x = block(x, rngs)
            maps.append(x)
        return maps

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, height, width, channels) -> prediction (batch, *output.shape)."""
        logits = self.head(global_average(self.feature_maps(batch["inputs"], rngs)[-1]))
        return Outputs(logits.reshape(-1, *self.shape)), carry
