"""Variational autoencoder."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch, Model, Number, Outputs, OutputSpec
from nnrun.models.blocks.codec import CodecConfig, build_codec, squash
from nnrun.schema import number


@dataclass(frozen=True)
class VAEConfig(CodecConfig):
    """Keys of model=vae."""

    beta: float = number(1.0, "weight of the KL divergence; 1 is the ELBO", least=0, changes="loss")


def gaussian_kl(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ_j (μ_j² + σ_j² - 1 - log σ_j²): (..., latent) twice -> (...)."""
    return 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum(-1)


class VAE(Model):
    """q(z|x) = N(μ(x), diag σ²(x)), x̂ = decoder(z); z = μ + σ ε with ε ~ N(0, I) while training, z = μ otherwise.

    inputs x (batch, ...) -> μ, log σ² and z (batch, latent_size) -> prediction x̂ (batch, ...) of the inputs' shape.
    μ and log σ² are the halves of the encoder's output (batch, 2 latent_size): dense over the flattened x, or
    convolutional over images (batch, height, width, channels). The decoder mirrors the encoder's sizes.
    terms["kl"] = β KL(q(z|x) ‖ N(0, I)) / D with D the elements of x, because the reconstruction loss is a mean over
    elements. So loss + kl is the negative ELBO per element: of a Bernoulli likelihood for
    output_activation=sigmoid with task.loss=binary_cross_entropy, of a Gaussian one with variance β/2 (up to
    factor and constant) for task.loss=mse. latent is μ.
    Sources: Kingma & Welling, Auto-Encoding Variational Bayes (2014); Higgins et al., beta-VAE (2017).
    """

    kinds: ClassVar[tuple[str, ...]] = ("table", "image", "series")
    figures: ClassVar[tuple[str, ...]] = ("samples", "traversal")
    terms: ClassVar[tuple[str, ...]] = ("kl",)

    def __init__(self, config: VAEConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        self.encoder, self.decoder = build_codec(config, data, output, 2 * config.latent_size, rngs=rngs)
        self.latent_size = config.latent_size
        self.elements = math.prod(data.inputs)
        self.output_activation = config.output_activation
        self.beta = Number(jnp.asarray(config.beta, float))

    def decoded(self, code: jax.Array, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, jax.Array | None]:
        """(batch, latent_size) -> prediction (batch, *inputs), and the logits under it where it is a sigmoid's."""
        return squash(self.decoder(code, rngs), self.output_activation)

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, *inputs) -> prediction (batch, *inputs), latent (batch, latent_size), terms kl (batch,)."""
        mean, log_variance = jnp.split(self.encoder(batch["inputs"], rngs), 2, axis=-1)
        code = mean
        if rngs is not None:
            code = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(rngs.sample(), mean.shape, mean.dtype)
        kl = self.beta[...].astype(mean.dtype) * gaussian_kl(mean, log_variance) / self.elements
        prediction, logits = self.decoded(code, rngs)
        return Outputs(prediction, mean, {"kl": kl}, logits=logits), carry

    def sample(self, key: jax.Array, n: int) -> jax.Array:
        """Decodes n codes z ~ N(0, I): (n, *inputs) in scaled units."""
        return self.decoded(jax.random.normal(key, (n, self.latent_size)))[0]
