"""Elman network."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.recurrent import Recurrent, RecurrentConfig
from nnrun.models.kernels.layout import StepLayout
from nnrun.models.kernels.scan import Cell, Saved, State, Weights


@dataclass(frozen=True)
class RNNConfig(RecurrentConfig):
    """Keys of model=rnn."""


@dataclass(frozen=True)
class ElmanCell(Cell):
    """H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h)."""

    blocks = 1

    def forward(self, layout: StepLayout, weights: Weights, state: State, projected: jax.Array) -> tuple[State, Saved]:
        """Saves H_t."""
        hidden = jnp.tanh(projected + layout.product(state[0], weights[0]))
        return (hidden,), (hidden, ())

    def backward(
        self, layout: StepLayout, weights: Weights, state: State, saved: Saved, d_state: State
    ) -> tuple[jax.Array, State]:
        """dZ = dH (1 - H²), dH_{t-1} = dZ W_hhᵀ."""
        d_projected = d_state[0] * (1 - saved[0] * saved[0])
        return d_projected, (layout.product(d_projected, weights[0]),)


class RNN(Recurrent):
    """Recurrent network with H_t = tanh(X_t W_xh + H_{t-1} W_hh + b_h).

    Its gradient through time is a product of one Jacobian per step and vanishes or explodes with their number.
    inputs (batch, time, channels); prediction (batch, *output.shape), or (batch, time, *output.shape) per step.
    Source: Elman, Finding structure in time (1990); Zhang et al., Dive into Deep Learning, section 9.4.
    """

    def __init__(self, config: RNNConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, data, output, ElmanCell(), rngs=rngs)
