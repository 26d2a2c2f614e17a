"""LAMB."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.adam import AdamConfig
from nnrun.optimizers.base import decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class LambConfig(AdamConfig):
    """Keys of optimizer=lamb."""

    weight_decay: float = number(0.01, "decoupled decay of kernels, before the trust ratio", off=0.0, least=0)
    epsilon: float = number(1e-6, "added to the root", least=0)


def lamb(config: LambConfig) -> optax.GradientTransformation:
    """Adam's direction, scaled array by array: r = m̂ / (√v̂ + ε) + λw, direction r ‖w‖ / ‖r‖.

    The ratio is 1 where either norm is 0; weight decay λ is decoupled from the moments.
    Source: You et al., Large Batch Optimization for Deep Learning (2020), algorithm 2 with φ(z) = z.
    """
    adam = optax.scale_by_adam(config.beta1, config.beta2, config.epsilon)
    return direction(adam, decay(config), optax.scale_by_trust_ratio())
