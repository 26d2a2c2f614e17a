"""Adam with decoupled weight decay."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.adam import AdamConfig
from nnrun.optimizers.base import decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class AdamWConfig(AdamConfig):
    """Keys of optimizer=adamw."""

    weight_decay: float = number(0.01, "decoupled decay of kernels, times the learning rate", off=0.0, least=0)


def adamw(config: AdamWConfig) -> optax.GradientTransformation:
    """Adam's direction on the bare gradient, plus λw: m̂ / (√v̂ + ε) + λw, weight decay decoupled from the moments.

    Source: Loshchilov & Hutter, Decoupled Weight Decay Regularization (2019).
    """
    return direction(optax.scale_by_adam(config.beta1, config.beta2, config.epsilon), decay(config))
