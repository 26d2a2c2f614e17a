"""Interleaved spirals."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class SpiralsConfig(DatasetConfig):
    """Keys of dataset=spirals."""

    examples: int = size(1000, "points in total", least=20, changes="examples")
    classes: int = size(2, "arms", least=2, most=10, changes="question")
    turns: float = setting(1.5, "rounds of every arm", above=0, changes="examples")
    noise: float = setting(
        0.02, "standard deviation of Gaussian noise on every coordinate", least=0.0, changes="examples"
    )


class Spirals(Examples):
    """Arm c: r (cos φ, sin φ) with φ = 2π (turns · r + c / classes), r² ~ U[0, 1], plus Gaussian noise.

    Source: the two-spirals problem of Lang & Witbrock, Learning to tell two spirals apart (1988).
    """

    config: SpiralsConfig
    auto_epochs = 20
    input_names = ("x1", "x2")

    def __init__(self, config: SpiralsConfig) -> None:
        super().__init__(config)
        self.class_names = tuple(f"arm {i}" for i in range(config.classes))

    def spec(self) -> DataSpec:
        """Two numbers in, one class for each arm out."""
        return DataSpec("table", (2,), (), "classification", classes=self.config.classes)

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws the radii, then the noise; equally many points on every arm."""
        c = self.config
        labels = np.arange(c.examples, dtype=np.int32) % c.classes
        radius = np.sqrt(rng.random(c.examples))
        angle = 2 * np.pi * (c.turns * radius + labels / c.classes)
        points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        points += c.noise * rng.standard_normal(points.shape)
        return {"inputs": points.astype(np.float32), "targets": labels}
