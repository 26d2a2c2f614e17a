"""Friedman's first regression problem."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class Friedman1Config(DatasetConfig):
    """Keys of dataset=friedman1."""

    examples: int = size(2000, "rows in total", least=20, changes="examples")
    features: int = size(10, "columns; all after the fifth say nothing about the target", least=5)
    noise: float = setting(1.0, "standard deviation of Gaussian noise on the target", least=0.0, changes="examples")


class Friedman1(Examples):
    """y = 10 sin(π x1 x2) + 20 (x3 - 1/2)² + 10 x4 + 5 x5 + noise · ε, x_i ~ U[0, 1], ε ~ N(0, 1).

    Source: Friedman, Multivariate adaptive regression splines, Annals of Statistics 19 (1991).
    """

    config: Friedman1Config
    auto_epochs = 20
    target_names = ("y",)

    def __init__(self, config: Friedman1Config) -> None:
        super().__init__(config)
        self.input_names = tuple(f"x{i + 1}" for i in range(config.features))

    def spec(self) -> DataSpec:
        """Several numbers in, one out."""
        return DataSpec("table", (self.config.features,), (1,), "regression")

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws the table, then the noise."""
        x = rng.random((self.config.examples, self.config.features))
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
        y += self.config.noise * rng.standard_normal(len(y))
        return {"inputs": x.astype(np.float32), "targets": y[:, None].astype(np.float32)}
