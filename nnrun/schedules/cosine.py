"""Cosine annealing."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schema import number


def anneal(start: Any, end: Any, progress: Any) -> jax.Array:
    """Half a cosine from `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) * (1 + jnp.cos(jnp.pi * progress)) / 2


@dataclass(frozen=True)
class CosineConfig:
    """Keys of schedule=cosine."""

    final: float = number(0.0, "factor at the end of the run", least=0, most=1)


class Cosine(Schedule):
    """f(p) = F + (1 - F)(1 + cos πp) / 2 with F = `final`.

    Source: Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017), one period.
    """

    config: CosineConfig

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array:
        """(progress) -> scalar in [final, 1]."""
        return anneal(1.0, self.config.final, progress)
