"""Gated recurrent unit."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.recurrent import Recurrent, RecurrentConfig
from nnrun.models.kernels.layout import StepLayout
from nnrun.models.kernels.scan import Cell, Saved, State, Weights, sigmoid
from nnrun.schema import setting


@dataclass(frozen=True)
class GRUConfig(RecurrentConfig):
    """Keys of model=gru."""

    reset_after: bool = setting(False, "reset gate after the recurrent product (cuDNN's form) instead of before it")


@dataclass(frozen=True)
class ResetBeforeCell(Cell):
    """Blocks: reset gate R, update gate Z, candidate; H~_t = tanh(X_t W_xh + (R_t ⊙ H_{t-1}) W_hh + b_h)."""

    blocks = 3

    def split_weights(self, kernel: jax.Array, bias: jax.Array | None) -> Weights:
        """The gates' kernel (hidden, 2 hidden) and the candidate's (hidden, hidden)."""
        hidden = kernel.shape[0]
        return kernel[:, : 2 * hidden], kernel[:, 2 * hidden :]

    def forward(self, layout: StepLayout, weights: Weights, state: State, projected: jax.Array) -> tuple[State, Saved]:
        """Saves the gates and the candidate, and R ⊙ H_{t-1}."""
        (h,) = state
        gate_part, candidate_part = layout.cut(projected, 2, 3)
        gates = sigmoid(gate_part + layout.product(h, weights[0]))
        r, z = layout.split(gates, 2)
        kept = r * h
        candidate = jnp.tanh(candidate_part + layout.product(kept, weights[1]))
        # Z H + (1 - Z) H~ with one product less.
        return (candidate + z * (h - candidate),), (layout.join(gates, candidate), (kept,))

    def backward(
        self, layout: StepLayout, weights: Weights, state: State, saved: Saved, d_state: State
    ) -> tuple[jax.Array, State]:
        """Through H_t = Z H_{t-1} + (1 - Z) H~_t, the candidate, R H_{t-1}, and the gates."""
        (h,), (activations, _), (d_h,) = state, saved, d_state
        r, z, n = layout.split(activations, 3)
        d_candidate = d_h * (1 - z) * (1 - n * n)
        d_kept = layout.product(d_candidate, weights[1])
        d_gates = layout.join(d_kept * h * r * (1 - r), d_h * (h - n) * z * (1 - z))
        d_before = d_h * z + d_kept * r + layout.product(d_gates, weights[0])
        return layout.join(d_gates, d_candidate), (d_before,)

    def weight_gradients(
        self, layout: StepLayout, states: State, others: tuple[jax.Array, ...], d_projected: jax.Array
    ) -> Weights:
        """dW of the gates from H_{t-1}, of the candidate from R ⊙ H_{t-1}."""
        d_gates, d_candidate = layout.cut(d_projected, 2, 3)
        return layout.weight_gradient(states[0], d_gates), layout.weight_gradient(others[0], d_candidate)


@dataclass(frozen=True)
class ResetAfterCell(Cell):
    """Blocks: reset gate R, update gate Z, candidate; H~_t = tanh(X_t W_xh + b_h + R_t ⊙ (H_{t-1} W_hh + c_h))."""

    blocks = 3
    recurrent_bias = True

    def split_weights(self, kernel: jax.Array, bias: jax.Array | None) -> Weights:
        """The kernel (hidden, 3 hidden) and the bias (hidden,) inside the reset."""
        assert bias is not None
        return kernel, bias

    def forward(self, layout: StepLayout, weights: Weights, state: State, projected: jax.Array) -> tuple[State, Saved]:
        """Saves the gates and the candidate, and H_{t-1} W_hh + c_h and R."""
        (h,) = state
        gate_part, candidate_part = layout.cut(projected, 2, 3)
        recurrent_gates, recurrent = layout.cut(layout.product(h, weights[0]), 2, 3)
        gates, recurrent = sigmoid(gate_part + recurrent_gates), recurrent + weights[1]
        r, z = layout.split(gates, 2)
        candidate = jnp.tanh(candidate_part + r * recurrent)
        return (candidate + z * (h - candidate),), (layout.join(gates, candidate), (recurrent, r))

    def backward(
        self, layout: StepLayout, weights: Weights, state: State, saved: Saved, d_state: State
    ) -> tuple[jax.Array, State]:
        """One product: the gradients of H_{t-1} W are those of the gates and R times that of the candidate."""
        (h,), (activations, (recurrent, _)), (d_h,) = state, saved, d_state
        r, z, n = layout.split(activations, 3)
        d_candidate = d_h * (1 - z) * (1 - n * n)
        d_r, d_z = d_candidate * recurrent * r * (1 - r), d_h * (h - n) * z * (1 - z)
        d_before = d_h * z + layout.product(layout.join(d_r, d_z, d_candidate * r), weights[0])
        return layout.join(d_r, d_z, d_candidate), (d_before,)

    def weight_gradients(
        self, layout: StepLayout, states: State, others: tuple[jax.Array, ...], d_projected: jax.Array
    ) -> Weights:
        """dW = H_{t-1}ᵀ [dR, dZ, R dH~], and its last block summed for the bias."""
        d_gates, d_candidate = layout.cut(d_projected, 2, 3)
        d_recurrent = d_candidate * others[1]
        return (
            layout.weight_gradient(states[0], layout.join(d_gates, d_recurrent)),
            layout.bias_gradient(d_recurrent),
        )


class GRU(Recurrent):
    """Recurrent network with a reset gate R and an update gate Z.

    R_t = σ(X_t W_xr + H_{t-1} W_hr + b_r), Z_t likewise, H~_t = tanh(X_t W_xh + (R_t ⊙ H_{t-1}) W_hh + b_h),
    H_t = Z_t ⊙ H_{t-1} + (1 - Z_t) ⊙ H~_t. With `reset_after`, as in cuDNN and PyTorch, the candidate is
    tanh(X_t W_xh + b_h + R_t ⊙ (H_{t-1} W_hh + c_h)): another network, whose weights do not convert.
    inputs (batch, time, channels); prediction (batch, *output.shape), or (batch, time, *output.shape) per step.
    Source: Cho et al., Learning phrase representations using RNN encoder-decoder (2014);
    Zhang et al., Dive into Deep Learning, section 10.2.
    """

    def __init__(self, config: GRUConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        cell = ResetAfterCell() if config.reset_after else ResetBeforeCell()
        super().__init__(config, data, output, cell, rngs=rngs)
