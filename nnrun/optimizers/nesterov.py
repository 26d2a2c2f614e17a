"""Gradient descent with Nesterov's momentum."""

import optax

from nnrun.optimizers.base import decay, direction
from nnrun.optimizers.momentum import MomentumConfig


def nesterov(config: MomentumConfig) -> optax.GradientTransformation:
    """Looks ahead: g = ∇L + λw, v ← μv + g, direction g + μv; weight decay λ is L2 in the loss's gradient.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013).
    """
    return direction(decay(config), optax.trace(config.momentum, nesterov=True))
