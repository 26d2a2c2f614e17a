"""Noisy XOR."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class XorConfig(DatasetConfig):
    """Keys of dataset=xor."""

    examples: int = size(1000, "points in total", least=20, changes="examples")
    noise: float = setting(
        0.3, "standard deviation of Gaussian noise around every corner", least=0.0, changes="examples"
    )


class Xor(Examples):
    """Points around the corners (±1, ±1); class 1 where the signs of the corner differ, which no line separates."""

    config: XorConfig
    auto_epochs = 20
    input_names = ("x1", "x2")
    class_names = ("same", "different")

    def spec(self) -> DataSpec:
        """Two numbers in, two classes out."""
        return DataSpec("table", (2,), (), "classification", classes=2)

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws a corner for every point, then its distance from it."""
        bits = rng.integers(0, 2, (self.config.examples, 2))
        points = 2 * bits - 1 + self.config.noise * rng.standard_normal(bits.shape)
        return {"inputs": points.astype(np.float32), "targets": (bits[:, 0] ^ bits[:, 1]).astype(np.int32)}
