"""Long short-term memory."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.recurrent import Recurrent, RecurrentConfig
from nnrun.models.kernels.layout import StepLayout
from nnrun.models.kernels.scan import Cell, Saved, State, Weights, sigmoid


@dataclass(frozen=True)
class LSTMConfig(RecurrentConfig):
    """Keys of model=lstm."""


@dataclass(frozen=True)
class LSTMCell(Cell):
    """Blocks: input, forget, output gate, candidate. The state is (H, C), see LSTM."""

    blocks = 4
    states = 2

    def initial_bias(self, hidden_size: int) -> jax.Array:
        """(4 hidden,) zeros, with 1 for the forget gate."""
        return jnp.zeros((4, hidden_size)).at[1].set(1.0).reshape(-1)

    def forward(self, layout: StepLayout, weights: Weights, state: State, projected: jax.Array) -> tuple[State, Saved]:
        """Saves the gates and the candidate, and tanh(C_t)."""
        hidden, cell = state
        total = projected + layout.product(hidden, weights[0])
        gate_part, candidate_part = layout.cut(total, 3, 4)
        gates, candidate = sigmoid(gate_part), jnp.tanh(candidate_part)
        i, f, o = layout.split(gates, 3)
        cell = f * cell + i * candidate
        squashed = jnp.tanh(cell)
        return (o * squashed, cell), (layout.join(gates, candidate), (squashed,))

    def backward(
        self, layout: StepLayout, weights: Weights, state: State, saved: Saved, d_state: State
    ) -> tuple[jax.Array, State]:
        """Gradients, s = tanh(C): dC += dH O (1 - s²), then dI = dC G, dF = dC C_{t-1}, dO = dH s, dG = dC I."""
        activations, (s,) = saved
        i, f, o, g = layout.split(activations, 4)
        d_hidden, d_cell = d_state
        d_cell = d_cell + d_hidden * o * (1 - s * s)
        d_projected = layout.join(
            d_cell * g * i * (1 - i),
            d_cell * state[1] * f * (1 - f),
            d_hidden * s * o * (1 - o),
            d_cell * i * (1 - g * g),
        )
        return d_projected, (layout.product(d_projected, weights[0]), d_cell * f)


class LSTM(Recurrent):
    """Recurrent network with a cell state that gates protect.

    I_t = σ(X_t W_xi + H_{t-1} W_hi + b_i), F_t and O_t likewise, G_t = tanh(X_t W_xg + H_{t-1} W_hg + b_g),
    C_t = F_t ⊙ C_{t-1} + I_t ⊙ G_t, H_t = O_t ⊙ tanh(C_t); b_f starts at 1, so that the cell remembers at first.
    inputs (batch, time, channels); prediction (batch, *output.shape), or (batch, time, *output.shape) per step.
    Source: Hochreiter & Schmidhuber (1997); Gers, Schmidhuber & Cummins, Learning to forget (2000);
    Jozefowicz, Zaremba & Sutskever (2015) for the bias of the forget gate.
    """

    def __init__(self, config: LSTMConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, data, output, LSTMCell(), rngs=rngs)
