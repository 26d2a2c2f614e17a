"""Multilayer perceptron."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch, Model, Outputs, OutputSpec, whole_examples
from nnrun.models.blocks.embedding import Embeddings
from nnrun.models.kernels.anchor import from_changes, to_changes
from nnrun.models.layers import Activation, DenseStack, Normalization, flatten
from nnrun.schema import number, setting, size


@dataclass(frozen=True)
class MLPConfig:
    """Keys of model=mlp."""

    hidden_sizes: tuple[int, ...] = size((64, 64), "units of each hidden layer; [] is a linear model")
    activation: Activation = setting("relu", "after every hidden layer")
    normalization: Normalization = setting("none", "before every activation")
    dropout: float = number(0.0, "after every activation", off=0.0, least=0, below=1)


class MLP(Model):
    """Feed-forward network: h_0 = x, h_i = φ(h_{i-1} W_i + b_i), y = h_L W + b.

    inputs (batch, ...) are flattened to (batch, features), to which learned vectors of categories (batch, columns) are
    joined; prediction is (batch, *output.shape).
    Source: Goodfellow, Bengio & Courville, Deep Learning (2016), chapter 6.
    """

    kinds: ClassVar[tuple[str, ...]] = ("table", "image", "series")
    embeds: ClassVar[bool] = True
    anchored: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("through_training", "layer_gradients")

    def __init__(self, config: MLPConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        whole_examples("mlp", output)
        features = OutputSpec(data.inputs).size + Embeddings.features(data)
        sizes = config.hidden_sizes
        self.hidden = DenseStack(features, sizes, config.activation, config.normalization, config.dropout, rngs=rngs)
        self.head = nnx.Linear((features, *sizes)[-1], output.size, rngs=rngs)
        self.embeddings = Embeddings(data, rngs=rngs) if data.categories else None
        self.shape, self.anchor = output.shape, data.anchor

    def features(self, batch: Batch) -> jax.Array:
        """inputs (batch, ...), categories (batch, columns) -> (batch, features) that the first layer sees."""
        x = flatten(to_changes(self.anchor, batch["inputs"]))
        if self.embeddings is None:
            return x
        return jnp.concatenate([x, self.embeddings(batch["categories"]).astype(x.dtype)], axis=-1)

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, ...) -> prediction (batch, *output.shape)."""
        logits = self.head(self.hidden(self.features(batch), rngs))
        prediction = from_changes(self.anchor, logits.reshape(-1, *self.shape), batch["inputs"])
        return Outputs(prediction), carry
