"""What a model is: called with a batch, answers with Outputs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from flax import nnx

from nnrun.datasets.base import Anchor
from nnrun.errors import ConfigError

Batch = dict[str, jax.Array]
UNOPTIMIZED = {"xla_backend_optimization_level": "0"}
"""Options of XLA for programs that run once: compiling them with care costs more than it saves."""


class Number(nnx.Variable):
    """A hyperparameter inside a module: traced, not trained."""


@dataclass(frozen=True)
class OutputSpec:
    """The head that a task needs: `shape` per example, or per example and time step."""

    shape: tuple[int, ...]
    per_step: bool = False

    @property
    def size(self) -> int:
        """Units of the head."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total


class Outputs(NamedTuple):
    """What a model says about a batch.

    prediction: (batch, *shape) or (batch, time, *shape): logits, or values in scaled units.
    latent: (batch, latent) code of an autoencoder.
    terms: per-example (batch,) parts of the loss that the model owns (a VAE's KL divergence, already weighted).
    penalties: the same for the training loss alone (sparsity).
    seen: (batch, *inputs) what the network saw where that is not `inputs` (a denoiser's corrupted images).
    logits: (batch, *inputs) what a sigmoid made `prediction` of, for a cross-entropy that does not overflow.
    """

    prediction: jax.Array
    latent: jax.Array | None = None
    terms: dict[str, jax.Array] = {}
    penalties: dict[str, jax.Array] = {}
    seen: jax.Array | None = None
    logits: jax.Array | None = None


class Model(nnx.Module):
    """Base of every network.

    A subclass is built as `Model(config, data, output, rngs=rngs)` with its config dataclass, the data set's DataSpec
    and the task's OutputSpec, inside a trace: fields made with `schema.number` may be tracers. It is called as
    `model(batch, rngs=None, carry=None) -> (Outputs, carry)`; `rngs` given means training.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of data it accepts, see DataSpec.kind."""
    figures: ClassVar[tuple[str, ...]] = ()
    """Names of modules in nnrun.report that draw this network, or of one's own beside ./conf with a `draw(run)`."""
    split_over_devices: ClassVar[bool] = False
    """Whether one run's batch is worth splitting over CPU devices (measured: recurrent networks only)."""
    light_compilation: ClassVar[bool] = True
    """Whether steps on a CPU are at least as quick at LLVM's level 2 as at XLA's own, 3 (measured: all but cnn)."""

    terms: ClassVar[tuple[str, ...]] = ()
    """Names of the terms of the loss in its Outputs, which are reported as metrics."""
    embeds: ClassVar[bool] = False
    """Whether it learns vectors for `categories`, see DataSpec.categories."""
    anchored: ClassVar[bool] = False
    """Whether it sees and predicts changes where the data has an anchor, see `to_changes` and `from_changes`."""

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """Maps a batch to Outputs and the carried state."""
        raise TypeError(f"{type(self).__name__} does not say what it computes")


def in_one_program(model: Model, function: Callable[..., Any], *arrays: Any) -> Any:
    """`function(model, *arrays)` compiled as a whole: one operation at a time takes a deep network half a minute."""
    return program_of(model, function)(*arrays)


def program_of(model: Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for more than one call: takes the arrays, and is compiled once for their shapes."""
    graph, state = nnx.split(model)

    def whole(state: Any, *arrays: Any) -> Any:
        return function(nnx.merge(graph, state), *arrays)

    return functools.partial(jax.jit(whole, compiler_options=UNOPTIMIZED), state)


def to_changes(anchor: Anchor | None, inputs: jax.Array) -> jax.Array:
    """(batch, time, variables): forecast variables as differences from their newest value, so that no level is seen.

    The same without an anchor, and for forecasts after every step, where the newest value is still to come.
    Source: Zeng, Chen, Zhang & Xu, Are Transformers Effective for Time Series Forecasting? (2023), NLinear.
    """
    if anchor is None or anchor.steps == (0,):
        return inputs
    forecast = np.isin(np.arange(inputs.shape[-1]), anchor.columns)
    return inputs - inputs[:, -1:] * forecast.astype(inputs.dtype)


def from_changes(anchor: Anchor | None, change: jax.Array, inputs: jax.Array) -> jax.Array:
    """The forecast whose change from the anchor is `change` (batch, [time,] horizon, variables); inputs as given.

    Without an anchor the change is the forecast. Inputs and targets of a variable share their scaling.
    """
    if anchor is None:
        return change
    start = inputs[..., list(anchor.columns)]
    start = start[:, :, None] if change.ndim == 4 else start[:, list(anchor.steps)]
    return change + start


def whole_examples(name: str, output: OutputSpec) -> None:
    """Raises ConfigError when the task wants an answer per time step."""
    if output.per_step:
        raise ConfigError(
            f"model={name} answers once per example, but the task wants an answer at every time step. "
            "Set for example model=lstm."
        )
