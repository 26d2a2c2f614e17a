"""Learning rate that drops in steps."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schema import number


@dataclass(frozen=True)
class StepConfig:
    """Keys of schedule=step."""

    every: float = number(0.3, "fraction of the run between drops", above=0, most=1)
    factor: float = number(0.1, "what each drop multiplies with", above=0, most=1)


class Step(Schedule):
    """f(p) = γ^⌊p / s⌋ with γ = `factor` and s = `every`; a drop that rounding puts within 1e-6 ahead has happened."""

    config: StepConfig

    def factor(self, progress: jax.Array, memory: Any) -> jax.Array:
        """(progress) -> scalar in (0, 1]."""
        return self.config.factor ** jnp.floor(progress / self.config.every + 1e-6)
