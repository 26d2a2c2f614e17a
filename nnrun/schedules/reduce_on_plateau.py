"""Learning rate that drops when the objective stalls."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from nnrun.schedules.base import Schedule
from nnrun.schema import number


@dataclass(frozen=True)
class ReduceOnPlateauConfig:
    """Keys of schedule=reduce_on_plateau."""

    factor: float = number(0.1, "what each drop multiplies with", above=0, below=1)
    patience: int = number(5, "epochs without improvement before a drop", least=0)
    threshold: float = number(1e-4, "least improvement, as a share of the best value", least=0)
    minimum: float = number(0.0, "the factor never falls below", least=0, most=1)


class Plateau(NamedTuple):
    """best: objective, smaller is better; bad_epochs: since it or the last drop; factor: in force. All scalars."""

    best: jax.Array
    bad_epochs: jax.Array
    factor: jax.Array


class ReduceOnPlateau(Schedule):
    """f is multiplied with `factor` when more than `patience` epochs in a row brought no value < b - θ|b|.

    b is the best value so far, θ the `threshold`; an epoch whose objective is nan brings no improvement.
    """

    config: ReduceOnPlateauConfig
    follows_progress: ClassVar[bool] = False

    def initial(self) -> Plateau:
        """No value seen, factor 1."""
        return Plateau(jnp.float32(jnp.inf), jnp.int32(0), jnp.float32(1))

    def observe(self, memory: Plateau, value: jax.Array) -> Plateau:
        """Memory after an epoch whose objective was `value` (smaller is better)."""
        config, (best, bad_epochs, factor) = self.config, memory
        # Before the first value the best is ∞, and ∞ - θ∞ is no number.
        margin = jnp.where(jnp.isinf(best), 0, config.threshold * jnp.abs(best))
        better = value < best - margin
        bad_epochs = jnp.where(better, 0, bad_epochs + 1)
        drop = bad_epochs > config.patience
        factor = jnp.where(drop, jnp.maximum(factor * config.factor, config.minimum), factor)
        after = Plateau(jnp.where(better, value, best), jnp.where(drop, 0, bad_epochs), factor)
        return Plateau(*(new.astype(old.dtype) for new, old in zip(after, memory, strict=True)))

    def factor(self, progress: jax.Array, memory: Plateau) -> jax.Array:
        """The memory's factor, whatever the progress."""
        return memory.factor
