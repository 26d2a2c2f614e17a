"""One cycle up and down."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schedules.cosine import anneal
from nnrun.schema import number


@dataclass(frozen=True)
class OneCycleConfig:
    """Keys of schedule=one_cycle."""

    warmup: float = number(0.3, "fraction of the run that rises", above=0, below=1)
    start: float = number(0.04, "factor at the first step", least=0, most=1)
    final: float = number(1e-4, "factor at the end of the run", least=0, most=1)


class OneCycle(Schedule):
    """Half a cosine from `start` up to 1 during `warmup`, then half a cosine down to `final`.

    optimizer.learning_rate is the peak.
    Source: Smith & Topin, Super-Convergence (2018), with cosine flanks.
    """

    config: OneCycleConfig

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array:
        """(progress) -> scalar in [min(start, final), 1]."""
        warmup = self.config.warmup
        rising = anneal(self.config.start, 1.0, progress / warmup)
        return jnp.where(progress < warmup, rising, anneal(1.0, self.config.final, (progress - warmup) / (1 - warmup)))
