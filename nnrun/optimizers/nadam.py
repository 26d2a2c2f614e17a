"""Adam with Nesterov's momentum."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.adam import AdamConfig
from nnrun.optimizers.base import decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class NadamConfig(AdamConfig):
    """Keys of optimizer=nadam."""

    learning_rate: float = number(2e-3, "step size", above=0)


def nadam(config: NadamConfig) -> optax.GradientTransformation:
    """Adam with m̂ = β₁ m / (1 - β₁ᵗ⁺¹) + (1 - β₁) g / (1 - β₁ᵗ), g = ∇L + λw, direction m̂ / (√v̂ + ε).

    Constant β₁, no momentum schedule; weight decay λ is L2 in the loss's gradient.
    Source: Dozat, Incorporating Nesterov Momentum into Adam (2016).
    """
    adam = optax.scale_by_adam(config.beta1, config.beta2, config.epsilon, nesterov=True)
    return direction(decay(config), adam)
