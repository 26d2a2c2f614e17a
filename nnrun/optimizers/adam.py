"""Adam."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class AdamConfig(OptimizerConfig):
    """Keys of optimizer=adam."""

    beta1: float = number(0.9, "share of the mean gradient that is kept", least=0, below=1)
    beta2: float = number(0.999, "share of the mean square that is kept", least=0, below=1)
    epsilon: float = number(1e-8, "added to the root", least=0)


def adam(config: AdamConfig) -> optax.GradientTransformation:
    """g = ∇L + λw, m ← β₁m + (1 - β₁)g, v ← β₂v + (1 - β₂)g², direction m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ); weight decay λ is L2 in the loss's gradient, see adamw for the other.
    Source: Kingma & Ba, Adam: A Method for Stochastic Optimization (2015).
    """
    return direction(decay(config), optax.scale_by_adam(config.beta1, config.beta2, config.epsilon))
