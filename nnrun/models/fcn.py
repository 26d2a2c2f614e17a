"""Fully convolutional network for series."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec, whole_examples
from nnrun.models.blocks.convolution import ConvNorm
from nnrun.models.cnn import per_block
from nnrun.models.kernels.anchor import from_changes, to_changes
from nnrun.models.kernels.pooling import global_average
from nnrun.schema import size


@dataclass(frozen=True)
class FCNConfig:
    """Keys of model=fcn."""

    filters: tuple[int, ...] = size((128, 256, 128), "of each convolution")
    kernel_size: int | tuple[int, ...] = size((8, 5, 3), "steps that each convolution sees, or one number for all")


class FCN(Model):
    """Convolutions over time, each with batch normalization and relu; the average over time; one linear layer.

    inputs (batch, time, channels), prediction (batch, *output.shape). Zeros around the series keep its length. Padded
    steps are inputs of zero, and left out of the average. Raises ConfigError without convolutions, or when a list has
    another length than model.filters.
    Source: Wang, Yan & Oates, Time series classification from scratch with deep neural networks: a strong baseline
    (2017).
    """

    kinds: ClassVar[tuple[str, ...]] = ("series",)
    anchored: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("filters", "feature_maps")

    def __init__(self, config: FCNConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        whole_examples("fcn", output)
        if not config.filters:
            raise ConfigError(
                "model.filters must have at least one entry, but got []. Set model.filters=[128,256,128]."
            )
        kernels = per_block("kernel_size", config.kernel_size, len(config.filters))
        inputs = (data.inputs[-1], *config.filters)
        self.convs = nnx.List(
            [
                ConvNorm(before, filters, kernel, 1, "same", axes=1, rngs=rngs)
                for before, filters, kernel in zip(inputs, config.filters, kernels, strict=False)
            ]
        )
        self.head = nnx.Linear(inputs[-1], output.size, rngs=rngs)
        self.shape, self.anchor = output.shape, data.anchor

    def first_kernel(self) -> jax.Array:
        """(steps, channels, filters), the kernel that looks at the inputs."""
        return self.convs[0].conv.kernel[...]

    def feature_maps(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> list[jax.Array]:
        """(batch, time, channels) -> what every convolution makes of it, (batch, time, filters) each."""
        maps = []
        for conv in self.convs:
            x = conv(x, rngs)
            maps.append(x)
        return maps

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, time, channels) -> prediction (batch, *output.shape)."""
        x = self.feature_maps(to_changes(self.anchor, batch["inputs"]), rngs)[-1]
        logits = self.head(global_average(x, batch.get("lengths")))
        return Outputs(from_changes(self.anchor, logits.reshape(-1, *self.shape), batch["inputs"])), carry
