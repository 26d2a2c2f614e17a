"""Gradient descent with momentum."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class MomentumConfig(OptimizerConfig):
    """Keys of optimizer=momentum and optimizer=nesterov."""

    learning_rate: float = number(0.01, "step size", above=0)
    momentum: float = number(0.9, "share of the last direction that is kept", least=0, below=1)


def momentum(config: MomentumConfig) -> optax.GradientTransformation:
    """Heavy ball: g = ∇L + λw, v ← μv + g, direction v; weight decay λ is L2 in the loss's gradient.

    Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964).
    """
    return direction(decay(config), optax.trace(config.momentum))
