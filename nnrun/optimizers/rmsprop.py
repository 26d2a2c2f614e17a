"""RMSProp."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class RMSPropConfig(OptimizerConfig):
    """Keys of optimizer=rmsprop."""

    decay: float = number(0.9, "share of the mean square that is kept, not a decay of weights", least=0, below=1)
    epsilon: float = number(1e-8, "added to the root", least=0)


def rmsprop(config: RMSPropConfig) -> optax.GradientTransformation:
    """g = ∇L + λw, s ← ρs + (1 - ρ)g², direction g / (√s + ε); weight decay λ is L2 in the loss's gradient.

    Source: Tieleman & Hinton, Neural Networks for Machine Learning, lecture 6.5 (2012).
    """
    return direction(decay(config), optax.scale_by_rms(config.decay, config.epsilon, eps_in_sqrt=False))
