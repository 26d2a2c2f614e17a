"""Adadelta."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class AdadeltaConfig(OptimizerConfig):
    """Keys of optimizer=adadelta."""

    learning_rate: float = number(1.0, "step size; 1 is the published method", above=0)
    decay: float = number(0.9, "share of both mean squares that is kept, not a decay of weights", least=0, below=1)
    epsilon: float = number(1e-6, "added under both roots; sets the size of the first steps", above=0)


def adadelta(config: AdadeltaConfig) -> optax.GradientTransformation:
    """g = ∇L + λw, s ← ρs + (1 - ρ)g², direction d = g √(u + ε) / √(s + ε), then u ← ρu + (1 - ρ)d².

    Weight decay λ is L2 in the loss's gradient.
    Source: Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012).
    """
    return direction(decay(config), optax.scale_by_adadelta(config.decay, config.epsilon))
