"""Two interleaved half circles."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class TwoMoonsConfig(DatasetConfig):
    """Keys of dataset=two_moons."""

    examples: int = size(1000, "points in total", least=20, changes="examples")
    noise: float = setting(
        0.1, "standard deviation of Gaussian noise on every coordinate", least=0.0, changes="examples"
    )


class TwoMoons(Examples):
    """Class 0: (cos t, sin t); class 1: (1 - cos t, 1/2 - sin t); t ~ U[0, π], plus noise; equally many of both."""

    config: TwoMoonsConfig
    auto_epochs = 20
    input_names = ("x1", "x2")
    class_names = ("upper", "lower")

    def spec(self) -> DataSpec:
        """Two numbers in, two classes out."""
        return DataSpec("table", (2,), (), "classification", classes=2)

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws the angles, then the noise."""
        labels = np.arange(self.config.examples, dtype=np.int32) % 2
        t = rng.uniform(0, np.pi, len(labels))
        upper, lower = np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
        points = np.where(labels[:, None] == 0, upper, lower)
        points += self.config.noise * rng.standard_normal(points.shape)
        return {"inputs": points.astype(np.float32), "targets": labels}
