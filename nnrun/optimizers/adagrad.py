"""Adagrad."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class AdagradConfig(OptimizerConfig):
    """Keys of optimizer=adagrad."""

    learning_rate: float = number(0.01, "step size", above=0)
    initial_sum: float = number(0.0, "where the sum of squares starts", least=0)
    epsilon: float = number(1e-10, "added under the root", least=0)


def adagrad(config: AdagradConfig) -> optax.GradientTransformation:
    """g = ∇L + λw, s ← s + g², direction g / √(s + ε); weight decay λ is L2 in the loss's gradient.

    Source: Duchi, Hazan & Singer, Adaptive Subgradient Methods (2011).
    """
    return direction(decay(config), optax.scale_by_rss(config.initial_sum, config.epsilon))
