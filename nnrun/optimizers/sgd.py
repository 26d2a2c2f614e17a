"""Stochastic gradient descent."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class SGDConfig(OptimizerConfig):
    """Keys of optimizer=sgd."""

    learning_rate: float = number(0.01, "step size", above=0)


def sgd(config: SGDConfig) -> optax.GradientTransformation:
    """Plain gradient descent: g = ∇L + λw, direction g; weight decay λ is L2 in the loss's gradient.

    Source: Robbins & Monro, A Stochastic Approximation Method (1951).
    """
    return direction(decay(config))
