from dataclasses import dataclass

import jax
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import Model, Outputs, OutputSpec
from nnrun.models.layers import flatten
from nnrun.schema import size


@dataclass(frozen=True)
class WideConfig:
    width: int = size(256, "units of the one hidden layer")


class Wide(Model):
    """One wide hidden layer."""

    kinds = ("table", "image")

    def __init__(self, config: WideConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(OutputSpec(data.inputs).size, config.width, rngs=rngs)
        self.head = nnx.Linear(config.width, output.size, rngs=rngs)

    def __call__(self, batch, rngs=None, carry=None):
        return Outputs(self.head(jax.nn.relu(self.hidden(flatten(batch["inputs"]))))), carry
