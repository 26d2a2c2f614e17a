"""What optimizers share."""

from dataclasses import dataclass
from typing import Any

import jax
import optax

from nnrun.schema import is_off, number


@dataclass(frozen=True)
class OptimizerConfig:
    """Keys that every optimizer has."""

    learning_rate: float = number(1e-3, "step size", above=0)
    weight_decay: float = number(0.0, "decay of kernels (arrays of two or more axes), not of biases", off=0.0, least=0)


def kernels(params: Any) -> Any:
    """Which leaves weight decay applies to: arrays of two or more axes, not biases and normalization scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def decay(config: OptimizerConfig) -> optax.GradientTransformation:
    """Adds weight_decay * weight to what flows through: before the optimizer it is L2, after it decoupled decay."""
    if is_off(config.weight_decay):
        return optax.identity()
    return optax.add_decayed_weights(config.weight_decay, mask=kernels)


def direction(*parts: optax.GradientTransformation) -> optax.GradientTransformation:
    """Chains what turns gradients into the direction that learning_rate multiplies.

    Direction and state keep the types of gradients and parameters; a traced float32 number would widen bfloat16 ones.
    Inside, types are promoted as usual even where the program is strict: optax raises numbers to integer powers.
    """
    chain = optax.chain(*parts)

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        with jax.numpy_dtype_promotion("standard"):
            updates, new_state = chain.update(gradients, state, params)
        return optax.tree.cast_like(updates, gradients), optax.tree.cast_like(new_state, state)

    return optax.GradientTransformation(chain.init, update)
