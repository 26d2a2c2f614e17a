"""Constant learning rate."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax

from nnrun.schedules.base import Schedule


@dataclass(frozen=True)
class ConstantConfig:
    """schedule=constant has no keys."""


class Constant(Schedule):
    """f(p) = 1."""

    config: ConstantConfig
    follows_progress: ClassVar[bool] = False

    def factor(self, progress: jax.Array, memory: Any) -> float:
        """1 at any progress."""
        return 1.0
