"""Residual network."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec, whole_examples
from nnrun.models.blocks.convolution import ConvNorm
from nnrun.models.kernels.anchor import from_changes, to_changes
from nnrun.models.kernels.pooling import global_average, max_pool
from nnrun.models.layers import Normalize
from nnrun.schema import setting, size

SMALLEST_IMAGENET = 64
"""Pixels of the shorter side from which stem=auto reduces the image fourfold before the first block."""


@dataclass(frozen=True)
class ResNetConfig:
    """Keys of model=resnet."""

    layout: Literal["small", 18, 50] = setting(
        "small", "small: filters, blocks_per_stage; 18, 50: as published for images"
    )
    filters: tuple[int, ...] | None = size(
        None, "of each stage of layout small; null: [16,32,64] for images, [64,128,128] for series"
    )
    blocks_per_stage: int = size(1, "of layout small; for images n of He et al.'s 6n + 2 layers", most=200)
    stem: Literal["auto", "imagenet", "small"] = setting(
        "auto",
        "of images: imagenet: 7x7, stride 2, max-pool; small: 3x3; auto: imagenet from 64 pixels and not for layout "
        "small",
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


class SeriesBlock(nnx.Module):
    """relu(x' + F(x)) with F convolutions over 8, 5 and 3 steps; x' is x normalized, or its 1x1 projection where the
    shape changes (Wang et al. 2017)."""

    widening: ClassVar[int] = 1

    def __init__(self, inputs: int, filters: int, stride: int, *, rngs: nnx.Rngs) -> None:
        self.conv1 = ConvNorm(inputs, filters, 8, stride, "same", axes=1, rngs=rngs)
        self.conv2 = ConvNorm(filters, filters, 5, 1, "same", axes=1, rngs=rngs)
        self.conv3 = ConvNorm(filters, filters, 3, 1, "same", axes=1, activation=None, rngs=rngs)
        self.downsample = projection(inputs, filters, stride, rngs, axes=1)
        self.norm = Normalize("none" if self.downsample else "batch", filters, rngs=rngs)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, time, inputs) -> (batch, time / stride, filters)."""
        shortcut = self.norm(x, rngs) if self.downsample is None else self.downsample(x, rngs)
        return jax.nn.relu(shortcut + self.conv3(self.conv2(self.conv1(x, rngs), rngs), rngs))


def projection(inputs: int, outputs: int, stride: int, rngs: nnx.Rngs, axes: int = 2) -> ConvNorm | None:
    """The 1x1 convolution of a shortcut, None where the block keeps the shape."""
    if stride == 1 and inputs == outputs:
        return None
    return ConvNorm(inputs, outputs, 1, stride, axes=axes, activation=None, rngs=rngs)


LAYOUTS: dict[Any, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
}
"""Kind of block and blocks per stage; the stages have 64, 128, 256 and 512 filters."""


class ResNet(Model):
    """Residual network: a stem, stages of residual blocks whose first halves the image (not in the first stage), the
    global average, one linear layer. Batch normalization follows every convolution. For series there is no stem, and
    nothing is halved.

    inputs (batch, height, width, channels) or (batch, time, channels), prediction (batch, *output.shape). Layers 18 and
    50 are torchvision's, in its order and with its padding; 50 has the stride on the 3x3 convolution. Padded steps of a
    series are inputs of zero, and left out of the global average. Raises ConfigError without stages, and for layers 18
    and 50 of series.
    Source: He, Zhang, Ren & Sun, Deep residual learning for image recognition (2016); layout small is its section 4.2
    with projections as shortcuts, for series that of Wang, Yan & Oates, Time series classification from scratch with
    deep neural networks: a strong baseline (2017).
    """

    kinds: ClassVar[tuple[str, ...]] = ("image", "series")
    anchored: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: ResNetConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        whole_examples("resnet", output)
        small, self.series = config.layout == "small", data.kind == "series"
        if self.series and not small:
            raise ConfigError(
                f"model.layout={config.layout} is a network for images, but the data are series. "
                "Set model.layout=small."
            )
        block: type[BasicBlock | Bottleneck | SeriesBlock] = SeriesBlock if self.series else BasicBlock
        filters = ((64, 128, 128) if self.series else (16, 32, 64)) if config.filters is None else config.filters
        if small and not filters:
            raise ConfigError("model.filters must have at least one entry, but got []. Set model.filters=[16,32,64].")
        counts = (config.blocks_per_stage,) * len(filters)
        if not small:
            (block, counts), filters = LAYOUTS[config.layout], (64, 128, 256, 512)
        inputs = data.inputs[-1]
        if not self.series:
            auto = "imagenet" if not small and min(data.inputs[:2]) >= SMALLEST_IMAGENET else "small"
            self.imagenet = (auto if config.stem == "auto" else config.stem) == "imagenet"
            kernel, stride, padding = (7, 2, 3) if self.imagenet else (3, 1, 1)
            self.stem = ConvNorm(inputs, filters[0], kernel, stride, padding, rngs=rngs)
            inputs = filters[0]
        self.stages: nnx.List = nnx.List([])
        for width, count in zip(filters, counts, strict=True):
            blocks: nnx.List = nnx.List([])
            for _ in range(count):
                # The first block of every stage but the first halves the image.
                stride = 2 if self.stages and not blocks and not self.series else 1
                blocks.append(block(inputs, width, stride, rngs=rngs))
                inputs = width * block.widening
            self.stages.append(blocks)
        self.head = nnx.Linear(inputs, output.size, rngs=rngs)
        self.shape, self.anchor = output.shape, data.anchor

    def first_kernel(self) -> jax.Array:
        """(*window, channels, filters), the kernel that looks at the inputs."""
        first = self.stages[0][0].conv1 if self.series else self.stem
        return first.conv.kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, *space, channels) -> what the stem of images and every stage make of it."""
        maps = []
        if not self.series:
            x = self.stem(x, rngs)
            x = max_pool(x, 3, 2, 1) if self.imagenet else x
            maps.append(x)
        for blocks in self.stages:
            for block in blocks:
                x = block(x, rngs)
            maps.append(x)
        return maps

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, *space, channels) -> prediction (batch, *output.shape)."""
        x = self.feature_maps(to_changes(self.anchor, batch["inputs"]), rngs)[-1]
        logits = self.head(global_average(x, batch.get("lengths")))
        return Outputs(from_changes(self.anchor, logits.reshape(-1, *self.shape), batch["inputs"])), carry
