"""Learning rate that decays exponentially."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schema import number


@dataclass(frozen=True)
class ExponentialConfig:
    """Keys of schedule=exponential."""

    final: float = number(0.01, "factor at the end of the run", above=0, most=1)


class Exponential(Schedule):
    """f(p) = F^p with F = `final`."""

    config: ExponentialConfig

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array:
        """(progress) -> scalar in [final, 1]."""
        return jnp.power(self.config.final, progress)
