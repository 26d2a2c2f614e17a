"""The recurrence of every recurrent network: one loop forward, one loop backward, weight gradients after both."""

import abc
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nnrun.models.kernels.layout import StepLayout

State = tuple[jax.Array, ...]
Weights = tuple[jax.Array, ...]
Saved = tuple[jax.Array, tuple[jax.Array, ...]]
"""The activations of a step's blocks, which take the place of its projected input, and what else its gradient needs."""


def sigmoid(x: jax.Array) -> jax.Array:
    """σ(x) = (1 + tanh(x / 2)) / 2: as cheap as one tanh, and it cannot overflow."""
    return 0.5 * jnp.tanh(0.5 * x) + 0.5


@dataclass(frozen=True)
class Cell(abc.ABC):
    """One step of a recurrence with its hand-derived gradient; instances are constants, equal by class.

    The state is a tuple whose first entry is the hidden state h. `projected` is X_t W_x + b in `blocks` blocks of
    features. `weights` are the arrays the step multiplies by (`weights` of the network, see `split_weights`).
    """

    blocks: ClassVar[int]
    states: ClassVar[int] = 1
    recurrent_bias: ClassVar[bool] = False

    def initial_bias(self, hidden_size: int) -> jax.Array:
        """(blocks * hidden,) of the projected input."""
        return jnp.zeros(self.blocks * hidden_size)

    def split_weights(self, kernel: jax.Array, bias: jax.Array | None) -> Weights:
        """The recurrent kernel (hidden, blocks * hidden) and bias as the arrays of a step."""
        return (kernel,)

    @abc.abstractmethod
    def forward(self, layout: StepLayout, weights: Weights, state: State, projected: jax.Array) -> tuple[State, Saved]:
        """The next state, and what `backward` needs; `weights` are prepared."""

    @abc.abstractmethod
    def backward(
        self, layout: StepLayout, weights: Weights, state: State, saved: Saved, d_state: State
    ) -> tuple[jax.Array, State]:
        """Gradients of the projected input and of the state before the step; `weights` are transposed and prepared."""

    def weight_gradients(
        self, layout: StepLayout, states: State, others: tuple[jax.Array, ...], d_projected: jax.Array
    ) -> Weights:
        """Gradients of `weights`, from the stacked states before each step, `others` that were saved, and dZ."""
        return (layout.weight_gradient(states[0], d_projected),)


@dataclass(frozen=True)
class Rule:
    """The static part of a recurrence; `truncate`: steps after which the gradient of the carried state is cut."""

    cell: Cell
    layout: StepLayout
    truncate: int | None = None


def _select(mask: jax.Array, new: State, old: State) -> State:
    return tuple(jnp.where(mask, n, o) for n, o in zip(new, old, strict=True))


def _kept(rule: Rule, steps: int) -> jax.Array | None:
    """(time,) whether the gradient of the state entering a step goes on; None: always."""
    if rule.truncate is None or rule.truncate >= steps:
        return None
    step = jnp.arange(steps)
    return (step % rule.truncate != 0) | (step == 0)


def _prepare(layout: StepLayout, weights: Weights) -> Weights:
    return tuple(layout.turn(w if w.ndim == 2 else w[None]) for w in weights)


def unroll(
    rule: Rule,
    projected: jax.Array,
    weights: Weights,
    initial: State,
    mask: jax.Array | None = None,
    delta: jax.Array | None = None,
) -> tuple[jax.Array, State]:
    """The recurrence as a plain loop, differentiable by JAX itself.

    projected: (time, batch, blocks * hidden) in the rule's layout. initial: state, (batch, hidden) each.
    mask: (time, batch, 1) True for valid steps: elsewhere the state stays and the output is zero.
    delta: (time, batch, hidden) added to the hidden state at every step.
    Returns the hidden sequence and the final state.
    """
    step, kept = _step(rule, weights), _kept(rule, projected.shape[0])

    def shown(state: State, inputs: Any) -> tuple[State, jax.Array]:
        state, _, (output, *_) = step(state, *inputs)
        return state, output

    final, outputs = jax.lax.scan(shown, initial, (projected, (mask, kept, delta)))
    return outputs, final


def _step(rule: Rule, weights: Weights) -> Any:
    """(state, projected, inputs) -> the next state, the activations, and (output, state before, what else is saved)."""
    prepared = _prepare(rule.layout, weights)

    def step(state: State, projected: jax.Array, inputs: Any) -> tuple[State, jax.Array, Any]:
        valid, keep, shift = inputs
        before = state if keep is None else _select(keep, state, jax.lax.stop_gradient(state))
        new, (activations, others) = rule.cell.forward(rule.layout, prepared, before, projected)
        new = new if shift is None else (new[0] + shift, *new[1:])
        if valid is None:
            return new, activations, (new[0], state, others)
        return _select(valid, new, state), activations, (jnp.where(valid, new[0], 0), state, others)

    return step


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def recurrence(
    rule: Rule, projected: jax.Array, weights: Weights, initial: State, mask: jax.Array | None
) -> tuple[jax.Array, State]:
    """The hidden sequence (time, batch, hidden) and the final state; see `unroll`, whose gradient it has, faster.

    The forward loop saves its activations, the backward loop yields the gradient dZ of every step's projected input,
    and the weight gradient Σ_t H_{t-1}ᵀ dZ_t is one product after the loop.
    Source: Werbos, Backpropagation through time (1990); Appleyard et al., Optimizing RNNs on GPUs (2016).
    """
    return unroll(rule, projected, weights, initial, mask)


def _forward(rule: Rule, projected: jax.Array, weights: Weights, initial: State, mask: jax.Array | None) -> Any:
    inputs = (mask, _kept(rule, projected.shape[0]), None)  # no shift of the hidden state
    final, activations, (outputs, states, others) = _forwards(_step(rule, weights), initial, projected, inputs)
    return (outputs, final), (weights, mask, states, activations, others)


def _backward(rule: Rule, residuals: Any, cotangents: Any) -> tuple[jax.Array, Weights, State, None]:
    weights, mask, states, activations, others = residuals
    d_outputs, d_final = cotangents
    transposed = _prepare(rule.layout, tuple(w.T for w in weights))

    def step(d_state: State, activations: jax.Array, inputs: Any) -> tuple[State, jax.Array]:
        d_output, state, rest, valid, keep = inputs
        d_new = (d_state[0] + d_output, *d_state[1:])
        # Zeros at padding, so that it adds nothing to the weights' gradients; the state's own passes it by, below.
        if valid is not None:
            d_new = _select(valid, d_new, tuple(map(jnp.zeros_like, d_new)))
        d_z, d_before = rule.cell.backward(rule.layout, transposed, state, (activations, rest), d_new)
        if keep is not None:
            d_before = _select(keep, d_before, tuple(map(jnp.zeros_like, d_before)))
        return d_before if valid is None else _select(valid, d_before, d_state), d_z

    inputs = (d_outputs, states, others, mask, _kept(rule, d_outputs.shape[0]))
    d_initial, d_projected = _backwards(step, d_final, activations, inputs)
    d_weights = rule.cell.weight_gradients(rule.layout, states, others, d_projected)
    return d_projected, d_weights, d_initial, None


def _forwards(step: Any, carry: State, memory: jax.Array, inputs: Any) -> tuple[State, jax.Array, Any]:
    """`lax.scan` whose first results take the place of `memory`, a row of which the step reads: zeros cost a pass.

    step: (carry, row, inputs) -> carry, the row's new values, and others, which are stacked.
    """
    steps = memory.shape[0]
    others = jax.eval_shape(lambda: step(carry, memory[0], _rows(inputs, 0)))[2]
    stacked = jax.tree.map(lambda one: jnp.zeros((steps, *one.shape), one.dtype), others)

    def body(at: jax.Array, loop: Any) -> Any:
        carry, memory, stacked = loop
        carry, row, others = step(carry, _rows(memory, at), _rows(inputs, at))
        return carry, _set(memory, row, at), jax.tree.map(lambda rows, one: _set(rows, one, at), stacked, others)

    return jax.lax.fori_loop(0, steps, body, (carry, memory, stacked))


def _backwards(step: Any, carry: State, memory: jax.Array, inputs: Any) -> tuple[State, jax.Array]:
    """The scan from the end, without `others`.

    The next row is read ahead, after the writing of this one, or the compiler copies the memory at every step.
    """
    last = memory.shape[0] - 1

    def body(done: jax.Array, loop: Any) -> Any:
        carry, row, memory = loop
        at = last - done
        carry, row = step(carry, row, _rows(inputs, at))
        memory = _set(memory, row, at)
        return carry, _rows(memory, jnp.maximum(at - 1, 0)), memory

    carry, _, memory = jax.lax.fori_loop(0, last + 1, body, (carry, memory[last], memory))
    return carry, memory


def _set(sequence: jax.Array, row: jax.Array, at: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(sequence, row, at, 0, allow_negative_indices=False)


def _rows(sequences: Any, at: jax.Array | int) -> Any:
    """One step of every sequence."""
    read = partial(jax.lax.dynamic_index_in_dim, index=at, keepdims=False, allow_negative_indices=False)
    return jax.tree.map(read, sequences)


recurrence.defvjp(_forward, _backward)
