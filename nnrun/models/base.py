"""What a model is: called with a batch, answers with Outputs."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
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
        return math.prod(self.shape)


class Outputs(NamedTuple):
    """What a model says about a batch.

    prediction: (batch, *shape) or (batch, time, *shape): logits, or values in scaled units.
    latent: (batch, latent) code of an autoencoder.
    terms: per-example (batch,) parts of the loss that the model owns (a VAE's KL divergence, already weighted).
    penalties: the same for the training loss alone (sparsity).
    seen: (batch, *inputs) what the network saw where that is not `inputs` (a denoiser's corrupted images).
    logits: (batch, *inputs) what a sigmoid made `prediction` of, for a cross-entropy that does not overflow.
    kept: further arrays (batch, ...) by name, which a task that condenses or generates keeps beside `prediction`.
    """

    prediction: jax.Array
    latent: jax.Array | None = None
    terms: dict[str, jax.Array] = {}
    penalties: dict[str, jax.Array] = {}
    seen: jax.Array | None = None
    logits: jax.Array | None = None
    kept: dict[str, jax.Array] = {}


class Model(nnx.Module):
    """Base of every network.

    A subclass is built as `Model(config, data, output, rngs=rngs)` with its config dataclass, the data set's DataSpec
    and the task's OutputSpec, inside a trace: fields made with `schema.number` may be tracers. It is called as
    `model(batch, rngs=None, carry=None) -> (Outputs, carry)`; `rngs` given means training. The carry is what a network
    over streams takes from one batch to the next; None stands for the start of a stream.
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
    """Whether it sees and predicts changes where the data has an anchor, see models/kernels/anchor.py."""

    @classmethod
    def streams(cls, config: Any, data: DataSpec) -> bool:
        """Whether the examples of this data are pieces of one stream, which the network reads in order with a carry.

        A part of n examples is then cut into as many streams as a batch has rows, each of ⌈n / rows⌉ examples that
        follow one another: row r of step s is example r ⌈n / rows⌉ + s. Nothing is shuffled, and every row of a batch
        goes on from the carry of the same row in the batch before.
        """
        return False

    def initial_carry(self, rows: int) -> Any:
        """The carry of so many streams at their start, in float32 with the rows as leading axis; None without one."""
        return None

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """Maps a batch to Outputs and the carried state."""
        raise TypeError(f"{type(self).__name__} does not say what it computes")


def in_one_program(model: Model, function: Callable[..., Any], *arrays: Any) -> Any:
    """`function(model, *arrays)` compiled as a whole: one operation at a time takes a deep network half a minute."""
    return program_of(model, function)(*arrays)


def program_of(model: Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """`in_one_program` for more than one call: takes the arrays, and is compiled once for their shapes."""
    graph, state = nnx.split(model)

    def whole(state: Any, *arrays: Any) -> Any:
        return function(nnx.merge(graph, state), *arrays)

    return functools.partial(jax.jit(whole, compiler_options=UNOPTIMIZED), state)


def of_each(models: Sequence[Model], function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """`function(model, *arrays)` of networks that differ in their weights alone, compiled once."""
    graph, _ = nnx.split(models[0])

    def whole(state: Any, *arrays: Any) -> Any:
        return function(nnx.merge(graph, state), *arrays)

    compiled = jax.jit(whole, compiler_options=UNOPTIMIZED)
    return [compiled(nnx.split(model)[1], *arrays) for model in models]


def whole_examples(name: str, output: OutputSpec) -> None:
    """Raises ConfigError when the task wants an answer per time step."""
    if output.per_step:
        raise ConfigError(
            f"model={name} answers once per example, but the task wants an answer at every time step. "
            "Set for example model=lstm."
        )
