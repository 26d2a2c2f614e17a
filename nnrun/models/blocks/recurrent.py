"""Stacks of recurrent layers, in one or two directions, and what is read out of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec
from nnrun.models.kernels.anchor import from_changes, to_changes
from nnrun.models.kernels.layout import StepLayout, reverse, valid_steps
from nnrun.models.kernels.scan import Cell, Rule, State, recurrence, unroll
from nnrun.models.layers import Dropout
from nnrun.schema import number, setting, size

FEATURES_FIRST = 192
"""Units from which the layout with features first is the faster one (measured on 2 cores)."""


@dataclass(frozen=True)
class RecurrentConfig:
    """Keys that every recurrent network has."""

    hidden_size: int = size(64, "units of each layer and direction")
    layers: int = size(1, "stacked on one another", most=64)
    bidirectional: bool = setting(False, "a second network reads each sequence from its end")
    dropout: float = number(0.0, "between layers", off=0.0, least=0, below=1)
    readout: Literal["auto", "last", "mean", "per_step"] = setting(
        "auto",
        "what the output sees: last state, mean over steps, every step; auto: last or per_step, as the task needs",
    )
    truncate: int | None = size(None, "steps after which the gradient through time is cut; null: never")


class Direction(nnx.Module):
    """One layer in one direction: the input's projection, then the recurrence.

    Input kernels are LeCun normal, recurrent kernels orthogonal in every block (Saxe et al. 2014), biases the cell's.
    """

    def __init__(self, inputs: int, units: int, rule: Rule, backwards: bool, *, rngs: nnx.Rngs) -> None:
        cell, orthogonal = rule.cell, nnx.initializers.orthogonal()
        blocks = [orthogonal(rngs.params(), (units, units)) for _ in range(cell.blocks)]
        self.input = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (inputs, cell.blocks * units)))
        self.recurrent = nnx.Param(jnp.concatenate(blocks, 1))
        self.bias = nnx.Param(cell.initial_bias(units))
        self.recurrent_bias = nnx.Param(jnp.zeros(units)) if cell.recurrent_bias else None
        self.rule, self.backwards, self.units = rule, backwards, units

    def __call__(
        self,
        x: jax.Array,
        lengths: jax.Array | None,
        initial: State | None = None,
        delta: jax.Array | None = None,
    ) -> tuple[jax.Array, State]:
        """A sequence in the rule's layout -> hidden sequence and final state; see `unroll` for `delta`."""
        layout, cell = self.rule.layout, self.rule.cell
        if self.backwards:
            x = reverse(layout, x, lengths)
            delta = None if delta is None else reverse(layout, delta, lengths)
        projected = layout.project(x, self.input[...], self.bias[...])
        mask = None if lengths is None else valid_steps(layout, lengths, x.shape[0])
        if initial is None:
            start = (jnp.zeros_like(layout.split(projected[0], cell.blocks)[0]),) * cell.states
        else:
            start = tuple(layout.turn(state).astype(projected.dtype) for state in initial)
        bias = None if self.recurrent_bias is None else self.recurrent_bias[...]
        weights = cell.split_weights(self.recurrent[...], bias)
        if delta is None:
            outputs, final = recurrence(self.rule, projected, weights, start, mask)
        else:
            outputs, final = unroll(self.rule, projected, weights, start, mask, delta)
        return (reverse(layout, outputs, lengths) if self.backwards else outputs), final


class Recurrent(Model):
    """Base of rnn, lstm and gru: layers of one or two directions over (batch, time, channels), and a linear head.

    `batch["lengths"]` (batch,), where present, makes padding invisible: states stay after the last valid step, the
    other direction starts at it, means count valid steps alone, and predictions per step are zero beyond.
    The last state of two directions is that of the last step beside the backward pass's final one, of step 0.
    The carry, one tuple of (batch, hidden) states per layer, continues a sequence where a call left off.
    """

    kinds: ClassVar[tuple[str, ...]] = ("series",)
    anchored: ClassVar[bool] = True
    split_over_devices: ClassVar[bool] = True

    def __init__(
        self, config: RecurrentConfig, data: DataSpec, output: OutputSpec, cell: Cell, *, rngs: nnx.Rngs
    ) -> None:
        self.readout = choose_readout(config.readout, output)
        units, directions = config.hidden_size, 2 if config.bidirectional else 1
        self.layout = StepLayout(units >= FEATURES_FIRST)
        rule = Rule(cell, self.layout, config.truncate)
        inputs = [data.inputs[-1]] + [directions * units] * (config.layers - 1)
        self.layers = nnx.List(
            [nnx.List([Direction(i, units, rule, bool(d), rngs=rngs) for d in range(directions)]) for i in inputs]
        )
        self.dropout = Dropout(config.dropout)
        self.head = nnx.Linear(directions * units, output.size, rngs=rngs)
        self.shape, self.directions, self.anchor = output.shape, directions, data.anchor

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, time, channels) -> prediction, and the carry (None for two directions).

        Raises ConfigError for a carry into a bidirectional network.
        """
        return self._run(batch, rngs, carry)

    def hidden_gradients(self, batch: Batch, loss: Callable[[Outputs, Batch], jax.Array], layer: int = -1) -> jax.Array:
        """(time,) norm ‖∂L/∂h_t‖₂ of a layer's hidden state, through every later step; the mean over the batch.

        loss: (outputs, batch) -> (batch,) loss per example. For two directions h_t is both states of step t.
        Source: Bengio, Simard & Frasconi, Learning long-term dependencies with gradient descent is difficult (1994).
        """
        x, layer = batch["inputs"], layer % len(self.layers)
        zeros = jnp.zeros((*x.shape[:2], self.head.in_features), x.dtype)

        def total(delta: jax.Array) -> jax.Array:
            outputs, _ = self._run(batch, None, None, {layer: self.layout.sequence(delta)})
            return loss(outputs, batch).sum()

        return jnp.linalg.norm(jax.grad(total)(zeros), axis=-1).mean(0)

    def _run(
        self, batch: Batch, rngs: nnx.Rngs | None, carry: Any, deltas: dict[int, jax.Array] | None = None
    ) -> tuple[Outputs, Any]:
        if carry is not None and self.directions == 2:
            raise ConfigError(
                "A carried state needs the past alone, but model.bidirectional is true. Set model.bidirectional=false."
            )
        x, lengths = self.layout.sequence(to_changes(self.anchor, batch["inputs"])), batch.get("lengths")
        finals: list[list[State]] = []
        for index, layer in enumerate(self.layers):
            x = self.dropout(x, rngs) if index else x
            delta = (deltas or {}).get(index)
            parts = [None] * self.directions if delta is None else self.layout.split(delta, self.directions)
            initial = None if carry is None else carry[index]
            ran = [one(x, lengths, initial, part) for one, part in zip(layer, parts, strict=True)]
            x = self.layout.join(*(outputs for outputs, _ in ran))
            finals.append([final for _, final in ran])
        features = self._read(x, finals[-1], lengths)
        logits = self.head(features)
        if features.ndim == 3 and lengths is not None:
            valid = jnp.arange(logits.shape[1]) < lengths[:, None]
            logits = jnp.where(valid[..., None], logits, 0)
        logits = logits.reshape(*features.shape[:-1], *self.shape)
        prediction = from_changes(self.anchor, logits, batch["inputs"])
        if self.directions == 2:
            return Outputs(prediction), None
        return Outputs(prediction), tuple(tuple(map(self.layout.turn, state)) for (state,) in finals)

    def _read(self, x: jax.Array, finals: list[State], lengths: jax.Array | None) -> jax.Array:
        """Hidden sequence and last layer's states -> (batch, features) or (batch, time, features)."""
        if self.readout == "last":
            return self.layout.turn(self.layout.join(*(state[0] for state in finals)))
        if self.readout == "per_step":
            return self.layout.examples(x)
        if lengths is None:
            return self.layout.turn(x.mean(0))
        return self.layout.turn(x.sum(0)) / jnp.maximum(lengths, 1).astype(x.dtype)[:, None]


def choose_readout(readout: str, output: OutputSpec) -> str:
    """`last`, `mean` or `per_step`. Raises ConfigError when it is not what the task needs."""
    if readout == "auto":
        return "per_step" if output.per_step else "last"
    if readout == "per_step" and not output.per_step:
        raise ConfigError(
            "model.readout=per_step needs a task with a target at every time step, but this one has one per sequence. "
            "Set for example model.readout=last."
        )
    if output.per_step and readout != "per_step":
        raise ConfigError(
            f"model.readout must be auto or per_step where targets are given per time step, but got {readout}. "
            "Set model.readout=auto."
        )
    return readout
