"""Linear warm-up, then cosine annealing."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schedules.cosine import anneal
from nnrun.schema import number


@dataclass(frozen=True)
class WarmupCosineConfig:
    """Keys of schedule=warmup_cosine."""

    warmup: float = number(0.05, "fraction of the run that rises from 0 to 1", least=0, below=1)
    final: float = number(0.0, "factor at the end of the run", least=0, most=1)


class WarmupCosine(Schedule):
    """f(p) = p / W for p < W, then F + (1 - F)(1 + cos π(p - W)/(1 - W)) / 2; W = `warmup`, F = `final`.

    Source: Goyal et al., Accurate, Large Minibatch SGD (2017), for the warm-up.
    """

    config: WarmupCosineConfig

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array:
        """(progress) -> scalar in [0, 1]."""
        warmup = self.config.warmup
        rising = progress / jnp.where(warmup == 0, 1, warmup)
        return jnp.where(progress < warmup, rising, anneal(1.0, self.config.final, (progress - warmup) / (1 - warmup)))
