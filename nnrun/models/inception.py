"""Inception v3."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec
from nnrun.models.blocks.convolution import ConvNorm
from nnrun.models.kernels.pooling import average_pool, global_average, max_pool
from nnrun.models.layers import Dropout
from nnrun.schema import number, setting


@dataclass(frozen=True)
class InceptionConfig:
    """Keys of model=inception."""

    layout: Literal["small", "v3"] = setting("small", "small: one block of each kind with an eighth of the filters")
    dropout: float = number(0.5, "before the output layer", off=0.0, least=0, below=1)


class C(NamedTuple):
    """A convolution with batch normalization and relu. `padding` None keeps the image's size at stride 1."""

    filters: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    padding: int | None = None

    def layer(self, inputs: int, divisor: int, rngs: nnx.Rngs) -> ConvNorm:
        """Its module, with `filters / divisor` filters."""
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        around = (kernel[0] // 2, kernel[1] // 2) if self.padding is None else self.padding
        return ConvNorm(inputs, self.filters // divisor, kernel, self.stride, around, epsilon=1e-3, rngs=rngs)


class Branch(NamedTuple):
    """A row of convolutions after an optional 3x3 pooling; the outputs of `fork` are joined at its end."""

    convs: tuple[C, ...] = ()
    pooling: Literal["none", "average", "max"] = "none"
    fork: tuple[C, ...] = ()


Table = tuple[Branch, ...]
HALVE = {"kernel": 3, "stride": 2, "padding": 0}
WIDE, HIGH, SPLIT = (1, 7), (7, 1), (C(384, (1, 3)), C(384, (3, 1)))


def block_a(pooled: int) -> Table:
    """1x1, 5x5, two 3x3 in a row, and an averaged branch of `pooled` filters, side by side (figure 5)."""
    return (
        Branch((C(64),)),
        Branch((C(48), C(64, 5))),
        Branch((C(64), C(96, 3), C(96, 3))),
        Branch((C(pooled),), "average"),
    )


def block_c(filters: int) -> Table:
    """7x7 factorised into 1x7 and 7x1 with `filters` inside (figure 6)."""
    inner = (C(filters, HIGH), C(filters, WIDE), C(filters, HIGH), C(192, WIDE))
    return (
        Branch((C(192),)),
        Branch((C(filters), C(filters, WIDE), C(192, HIGH))),
        Branch((C(filters), *inner)),
        Branch((C(192),), "average"),
    )


BLOCK_B: Table = (
    Branch((C(384, **HALVE),)),
    Branch((C(64), C(96, 3), C(96, **HALVE))),
    Branch((), "max"),
)
BLOCK_D: Table = (
    Branch((C(192), C(320, **HALVE))),
    Branch((C(192), C(192, WIDE), C(192, HIGH), C(192, **HALVE))),
    Branch((), "max"),
)
BLOCK_E: Table = (
    Branch((C(320),)),
    Branch((C(384),), fork=SPLIT),
    Branch((C(448), C(384, 3)), fork=SPLIT),
    Branch((C(192),), "average"),
)
POOL = "max"


class Widths(NamedTuple):
    """Stem (convolutions and max-pools), blocks, what the tables' filters are divided by, least pixels of a side."""

    stem: tuple[C | str, ...]
    blocks: tuple[Table, ...]
    divisor: int
    smallest: int


LAYOUTS = {
    "v3": Widths(
        (C(32, **HALVE), C(32, 3, padding=0), C(64, 3), POOL, C(80), C(192, 3, padding=0), POOL),
        (
            *(block_a(32), block_a(64), block_a(64), BLOCK_B),
            *(block_c(128), block_c(160), block_c(160), block_c(192), BLOCK_D, BLOCK_E, BLOCK_E),
        ),
        divisor=1,
        smallest=75,
    ),
    # Divided by 8, the stem has 24 filters.
    "small": Widths((C(192, 3),), (block_a(64), BLOCK_B, block_c(128), BLOCK_D, BLOCK_E), divisor=8, smallest=7),
}


class Path(nnx.Module):
    """A branch built: pooling, its convolutions one after the other, its fork."""

    def __init__(self, branch: Branch, inputs: int, divisor: int, *, rngs: nnx.Rngs) -> None:
        self.pooling = branch.pooling
        self.convs: nnx.List = nnx.List([])
        self.fork: nnx.List = nnx.List([])
        for conv in branch.convs:
            self.convs.append(conv.layer(inputs, divisor, rngs))
            inputs = conv.filters // divisor
        for conv in branch.fork:
            self.fork.append(conv.layer(inputs, divisor, rngs))
        self.outputs = sum(conv.filters for conv in branch.fork) // divisor or inputs

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, height, width, inputs) -> (batch, height', width', outputs)."""
        if self.pooling != "none":
            x = average_pool(x, 3, 1, 1) if self.pooling == "average" else max_pool(x, 3, 2)
        for conv in self.convs:
            x = conv(x, rngs)
        return jnp.concatenate([conv(x, rngs) for conv in self.fork], -1) if self.fork else x


class Inception(Model):
    """Inception v3 without its auxiliary head: a stem, blocks of parallel branches joined along the channels, the
    global average, dropout, one linear layer. Batch normalization (ε = 0.001) and relu follow every convolution.

    inputs (batch, height, width, channels), prediction (batch, *output.shape). Layout v3 has torchvision's layers in
    its order and needs 75x75 pixels; small needs 7x7. Raises ConfigError for smaller images.
    Source: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, Rethinking the Inception architecture (2016).
    """

    kinds: ClassVar[tuple[str, ...]] = ("image",)
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: InceptionConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        layout, side = LAYOUTS[config.layout], min(data.inputs[:2])
        if side < layout.smallest:
            remedy = "model.layout=small" if side >= LAYOUTS["small"].smallest else "model=mlp"
            raise ConfigError(
                f"model.layout={config.layout} needs images of at least {layout.smallest}x{layout.smallest} pixels, "
                f"but got {data.inputs[0]}x{data.inputs[1]}. Set {remedy}."
            )
        channels, divisor = data.inputs[-1], layout.divisor
        self.pools = tuple(step == POOL for step in layout.stem)
        self.stem: nnx.List = nnx.List([])
        for step in layout.stem:
            if isinstance(step, C):
                self.stem.append(step.layer(channels, divisor, rngs))
                channels = step.filters // divisor
        self.blocks: nnx.List = nnx.List([])
        for table in layout.blocks:
            paths = nnx.List([Path(branch, channels, divisor, rngs=rngs) for branch in table])
            self.blocks.append(paths)
            channels = sum(path.outputs for path in paths)
        self.dropout = Dropout(config.dropout)
        self.head = nnx.Linear(channels, output.size, rngs=rngs)
        self.shape = output.shape

    def first_kernel(self) -> jax.Array:
        """(*window, channels, filters), the kernel that looks at the inputs."""
        return self.stem[0].conv.kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, height, width, channels) -> what the stem and every block make of it."""
        convs = iter(self.stem)
        for pool in self.pools:
            x = max_pool(x, 3, 2) if pool else next(convs)(x, rngs)
        maps = [x]
        for paths in self.blocks:
            maps.append(jnp.concatenate([path(maps[-1], rngs) for path in paths], -1))
        return maps

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, height, width, channels) -> prediction (batch, *output.shape)."""
        x = self.dropout(global_average(self.feature_maps(batch["inputs"], rngs)[-1]), rngs)
        return Outputs(self.head(x).reshape(-1, *self.shape)), carry
