"""What training carries from step to step, and what stays with the network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import DataSpec, Scaling
from nnrun.datasets.fields import Field
from nnrun.models.base import Batch
from nnrun.tasks.base import ArrayScaling

Traced = dict[str, Any]
"""A config's numbers that share a program, by key."""


class Fitted(NamedTuple):
    """What was fitted on the training data and is applied inside the step."""

    inputs: ArrayScaling
    targets: ArrayScaling | None
    further: dict[str, ArrayScaling] = {}

    @classmethod
    def of(cls, inputs: Scaling, targets: Scaling | None, further: dict[str, Scaling] | None = None) -> "Fitted":
        """The scaling of a data set as arrays in float32."""
        others = {name: _arrays(scaling) for name, scaling in (further or {}).items()}
        return cls(_arrays(inputs), None if targets is None else _arrays(targets), others)

    def scaled(self, batch: Batch, spec: DataSpec) -> Batch:
        """A batch of raw examples with every scaled field in scaled units, and the others of their own type."""
        scalings = {"inputs": self.inputs, "targets": self.targets, **self.further}

        def applied(field: Field, raw: jax.Array) -> jax.Array:
            if not field.scaled:
                return raw.astype(field.dtype)
            scaling = scalings[field.name]
            if scaling is None:
                return raw
            # Bytes of images are stored as they are, and become numbers only here, a batch at a time.
            raw = raw.astype(jnp.float32)
            return scaling.apply(jnp.log(raw) if spec.log else raw)

        return {**batch, **{n: applied(field, batch[n]) for n, field in spec.example.items() if n in batch}}


def _arrays(scaling: Scaling) -> ArrayScaling:
    return ArrayScaling(np.float32(scaling.offset), np.float32(scaling.scale))


class Weights(NamedTuple):
    """What a trained network consists of: learnt arrays and running statistics."""

    params: Any
    statistics: Any


class EpochSums(NamedTuple):
    """What the steps of the current epoch add up to: data loss, how many examples count; and the last learning rate."""

    loss: Any
    examples: Any
    learning_rate: Any

    @classmethod
    def none(cls) -> "EpochSums":
        """The sums before the first step of an epoch."""
        return cls(jnp.float32(0), jnp.float32(0), jnp.float32(0))


class State(NamedTuple):
    """Everything that training carries; `numbers` are the model's own hyperparameters, `step` counts from 0.

    `carry` is that of a model over streams after the last batch, and its initial one between two epochs; else None.
    """

    weights: Weights
    best: Weights
    numbers: Any
    optimizer: Any
    schedule: Any
    fitted: Fitted
    step: jax.Array
    sums: EpochSums
    carry: Any = None

    def to_judge(self, best: bool = False) -> "State":
        """What judging its weights, or its best ones, needs: the same without the rest."""
        return State(self.best if best else self.weights, (), self.numbers, (), (), self.fitted, (), ())  # type: ignore[arg-type]
