"""Convolutional network for series and images."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec, whole_examples
from nnrun.models.blocks.convolution import Conv
from nnrun.models.kernels.anchor import from_changes, to_changes
from nnrun.models.kernels.pooling import average_pool, global_average, max_pool
from nnrun.models.kernels.windows import Padding, positions
from nnrun.models.layers import (
    MONOTONE,
    Activation,
    DenseStack,
    Dropout,
    Normalization,
    Normalize,
    activate,
    flatten,
    kernel_initializer,
)
from nnrun.schema import number, setting, size


@dataclass(frozen=True)
class CNNConfig:
    """Keys of model=cnn."""

    filters: tuple[int, ...] = size((32, 64), "of each block")
    kernel_size: int | tuple[int, ...] = size(3, "of every block, or a list with one per block")
    stride: int | tuple[int, ...] = size(1, "of every convolution, or a list with one per block")
    padding: Padding = size("same", "zeros around the input: same, valid (none), or how many per side", least=0)
    pooling: Literal["max", "average", "none"] = setting("max", "at the end of every block")
    pool_size: int = size(2, "window and stride of the pooling")
    head: Literal["flatten", "global_average"] = setting("flatten", "what the dense layers see of the last block")
    dense_sizes: tuple[int, ...] = size((128,), "units of each dense layer before the output; [] is none")
    activation: Activation = setting("relu", "after every convolution and dense layer")
    normalization: Normalization = setting("none", "between convolution and activation")
    dropout: float = number(0.0, "after every pooling and dense layer", off=0.0, least=0, below=1)


class Block(NamedTuple):
    """The static facts of a block: channels in and out, and its windows."""

    inputs: int
    filters: int
    kernel: int
    stride: int


def per_block(key: str, value: int | tuple[int, ...], blocks: int) -> tuple[int, ...]:
    """One value per block. Raises ConfigError when a list has another length than model.filters."""
    if isinstance(value, int):
        return (value,) * blocks
    if len(value) != blocks:
        raise ConfigError(
            f"model.{key} must be one number or a list with one per block of model.filters ({blocks}), "
            f"but got {len(value)}. Set for example model.{key}={value[0] if value else 1}."
        )
    return value


def plan(config: CNNConfig, channels: int) -> list[Block]:
    """The blocks that the config describes. Raises ConfigError when there are none or a list has another length."""
    count = len(config.filters)
    if not count:
        raise ConfigError("model.filters must have at least one entry, but got []. Set for example model.filters=[32].")
    kernels = per_block("kernel_size", config.kernel_size, count)
    strides = per_block("stride", config.stride, count)
    return list(map(Block, (channels, *config.filters), config.filters, kernels, strides))


def extents(config: CNNConfig, blocks: list[Block], space: tuple[int, ...]) -> tuple[int, ...]:
    """Extents of space after the last block. Raises ConfigError when a block has nothing left to look at."""
    for index, block in enumerate(blocks):
        before, space = space, positions(space, block.kernel, block.stride, config.padding)
        if 0 in space:
            raise _too_small(index, "kernel", block.kernel, before, "model.padding=same")
        if config.pooling != "none":
            before, space = space, positions(space, config.pool_size, config.pool_size)
        if 0 in space:
            raise _too_small(index, "pooling", config.pool_size, before, "model.pooling=none")
    return space


def _too_small(index: int, window: str, extent: int, space: tuple[int, ...], remedy: str) -> ConfigError:
    shown = "x".join(map(str, space)) + (" steps" if len(space) == 1 else " pixels")
    return ConfigError(
        f"The {window} of a block must fit into its input, but that of block {index + 1} of model.filters is "
        f"{extent} wide and finds {shown}. Set {remedy} or leave entries of model.filters out."
    )


class ConvBlock(nnx.Module):
    """dropout(pool(φ(normalize(conv(x))))); the convolution has no bias where a normalization follows."""

    def __init__(self, block: Block, config: CNNConfig, axes: int, *, rngs: nnx.Rngs) -> None:
        bias, init = config.normalization == "none", kernel_initializer(config.activation)
        self.conv = Conv(*block, config.padding, axes=axes, bias=bias, kernel_init=init, rngs=rngs)
        self.norm = Normalize(config.normalization, block.filters, rngs=rngs)
        self.activation, self.pooling, self.pool_size = config.activation, config.pooling, config.pool_size
        self.dropout = Dropout(config.dropout)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, *space, inputs) -> (batch, *positions, filters)."""
        # The largest of φ(y + b) is φ of the largest y, plus b: the same, computed for fewer elements.
        pools_first = self.pooling == "max" and self.activation in MONOTONE
        if pools_first and self.norm.norm is None:
            y = self.conv.products(x, self.pool_size)
        else:
            y = self.norm(self.conv.products(x), rngs)
            y = max_pool(y, self.pool_size) if pools_first else y
        y = activate(self.activation, self.conv.biased(y))
        if not pools_first and self.pooling != "none":
            y = (max_pool if self.pooling == "max" else average_pool)(y, self.pool_size)
        return self.dropout(y, rngs)


class CNN(Model):
    """Blocks of convolution, normalization, activation, pooling and dropout; flattened or averaged; dense layers.

    inputs are (batch, time, channels) or (batch, height, width, channels); prediction is (batch, *output.shape). Padded
    steps of a series count as inputs of zero. Raises ConfigError when a block's window does not fit into its input.
    Source: LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition (1998).
    """

    kinds: ClassVar[tuple[str, ...]] = ("image", "series")
    anchored: ClassVar[bool] = True
    light_compilation: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: CNNConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        whole_examples("cnn", output)
        *space, channels = data.inputs
        blocks = plan(config, channels)
        left = extents(config, blocks, tuple(space))
        self.blocks = nnx.List([ConvBlock(block, config, len(space), rngs=rngs) for block in blocks])
        self.pool = global_average if config.head == "global_average" else flatten
        last = (channels, *config.filters)[-1]
        features = last if config.head == "global_average" else OutputSpec((*left, last)).size
        self.dense = DenseStack(features, config.dense_sizes, config.activation, dropout=config.dropout, rngs=rngs)
        self.head = nnx.Linear((features, *config.dense_sizes)[-1], output.size, rngs=rngs)
        self.shape, self.anchor = output.shape, data.anchor

    def first_kernel(self) -> jax.Array:
        """(*window, channels, filters), the kernel that looks at the inputs."""
        return self.blocks[0].conv.kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, *space, channels) -> what every block makes of it, (batch, *positions, filters) each."""
        maps = []
        for block in self.blocks:
            x = block(x, rngs)
            maps.append(x)
        return maps

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, *space, channels) -> prediction (batch, *output.shape)."""
        x = self.feature_maps(to_changes(self.anchor, batch["inputs"]), rngs)[-1]
        logits = self.head(self.dense(self.pool(x), rngs))
        prediction = from_changes(self.anchor, logits.reshape(-1, *self.shape), batch["inputs"])
        return Outputs(prediction), carry
