"""A data set of one's own: how far from the middle a point lies that was measured on the way around."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nnrun.datasets.base import Data, Dataset, DatasetConfig, DataSpec, Scaling
from nnrun.schema import setting, size


@dataclass(frozen=True)
class RingsConfig(DatasetConfig):
    examples: int = size(120, "points in all", least=20)
    noise: float = setting(0.1, "standard deviation of the measured distance", least=0.0)


class Rings(Dataset):
    """Two coordinates in, one distance out."""

    def __init__(self, config: RingsConfig):
        self.config = config

    def spec(self):
        return DataSpec("table", (2,), (1,), "regression")

    def load(self):
        rng = np.random.default_rng(self.config.seed)
        n = min(self.config.examples, self.config.limit or self.config.examples)
        radius, angle = rng.uniform(0.5, 2.0, n), rng.uniform(0, 2 * np.pi, n)
        inputs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)
        targets = (radius + self.config.noise * rng.standard_normal(n)).astype(np.float32)[:, None]
        test, val = int(n * self.config.test_fraction), int(n * self.config.val_fraction)
        ends = [0, n - val - test, n - test, n]
        parts = [{"inputs": inputs[a:b], "targets": targets[a:b]} for a, b in pairwise(ends)]
        scalings = [Scaling(parts[0][name].mean(0), parts[0][name].std(0)) for name in ("inputs", "targets")]
        return Data(
            self.spec(),
            *parts,
            *scalings,
            input_names=("x", "y"),
            target_names=("distance",),
            labels={"row": np.arange(ends[2], n)},
            notes=("The rings were drawn.",),
        )
