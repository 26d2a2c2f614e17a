"""Lion."""

from dataclasses import dataclass

import optax

from nnrun.optimizers.base import OptimizerConfig, decay, direction
from nnrun.schema import number


@dataclass(frozen=True)
class LionConfig(OptimizerConfig):
    """Keys of optimizer=lion."""

    learning_rate: float = number(1e-4, "step size, 3 to 10 times below Adam's", above=0)
    weight_decay: float = number(0.1, "decoupled decay of kernels, 3 to 10 times AdamW's", off=0.0, least=0)
    beta1: float = number(0.9, "share of the mean gradient in the direction", least=0, below=1)
    beta2: float = number(0.99, "share of the mean gradient that is kept", least=0, below=1)


def lion(config: LionConfig) -> optax.GradientTransformation:
    """Direction sign(β₁m + (1 - β₁)g) + λw, then m ← β₂m + (1 - β₂)g; weight decay λ is decoupled.

    Source: Chen et al., Symbolic Discovery of Optimization Algorithms (2023).
    """
    return direction(optax.scale_by_lion(config.beta1, config.beta2), decay(config))
