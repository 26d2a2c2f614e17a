"""Autoencoder: undercomplete, denoising or sparse."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Number, Outputs, OutputSpec
from nnrun.models.blocks.codec import CodecConfig, build_codec, squash
from nnrun.schema import Change, is_off, number, setting

EVALUATION_NOISE_SEED = 20080705


def _of_noise(config: "AutoencoderConfig") -> Change | None:
    """What noise on the inputs changes: at evaluation, how hard the examples are to rebuild."""
    return "examples" if config.noise_at_evaluation else None


@dataclass(frozen=True)
class AutoencoderConfig(CodecConfig):
    """Keys of model=autoencoder."""

    input_noise: float = number(
        0.0,
        "corrupts the inputs: standard deviation in scaled units, or share masked",
        off=0.0,
        least=0,
        changes=_of_noise,
    )
    noise_kind: Literal["gaussian", "masking"] = setting("gaussian", "masking sets inputs to zero", changes=_of_noise)
    noise_at_evaluation: bool = setting(
        True, "validation and test measure denoising; false: rebuild clean inputs", changes="examples"
    )
    sparsity: float = number(0.0, "weight of the penalty on the code", off=0.0, least=0, changes="loss")
    sparsity_kind: Literal["relu", "l1", "kl"] = setting(
        "relu",
        "relu: |h| of a code that is never negative; l1: of a linear one; kl: sigmoid units of sparsity_target",
        changes="loss",
    )
    sparsity_target: float = number(0.05, "mean activation that kl aims at", above=0, below=1, changes="loss")

    def __post_init__(self) -> None:
        level = self.input_noise
        if self.noise_kind == "masking" and isinstance(level, float) and level >= 1:
            raise ConfigError(
                f"model.input_noise must be < 1 with model.noise_kind=masking, where it is the share of masked inputs, "
                f"but got {level}. Set for example model.input_noise=0.3."
            )


class Corruption(nnx.Module):
    """x̃ = x + level ε with ε ~ N(0, I) (gaussian), or x̃ = x m with m ~ Bernoulli(1 - level) (masking).

    Source: Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders (2008); JMLR 11 (2010).
    """

    def __init__(self, kind: Literal["gaussian", "masking"], level: Any) -> None:
        self.kind = kind
        self.level = Number(jnp.asarray(level, float))

    def __call__(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """(...) -> (...)."""
        level = self.level[...].astype(x.dtype)
        if self.kind == "gaussian":
            return x + level * jax.random.normal(key, x.shape, x.dtype)
        return jnp.where(jax.random.bernoulli(key, 1 - level, x.shape), x, 0)

    def fixed(self, index: jax.Array, x: jax.Array) -> jax.Array:
        """(batch,), (batch, ...) -> (batch, ...): the same noise for the same number, whatever the batch."""
        key = jax.random.key(EVALUATION_NOISE_SEED)
        return jax.vmap(lambda i, example: self(jax.random.fold_in(key, i), example))(index, x)


class Sparsity(nnx.Module):
    """Penalty on the code h: weight Σ_j |h_j| ‖w_j‖ with w_j the weights by which unit j enters the decoder (relu, l1),
    or weight Σ_j KL(ρ ‖ r_j) with r_j the batch's mean of h_j (kl).

    Without ‖w_j‖ a small code with large weights would cost less and be as dense.
    KL(ρ ‖ r) = ρ log(ρ/r) + (1 - ρ) log((1 - ρ)/(1 - r)). Sources: Goodfellow, Bengio & Courville, Deep Learning
    (2016), section 14.2; Ng, Sparse Autoencoder, CS294A lecture notes (2011); for the norms Templeton et al., Scaling
    Monosemanticity (2024).
    """

    def __init__(self, kind: Literal["relu", "l1", "kl"], weight: Any, target: Any) -> None:
        self.kind = kind
        self.weight = Number(jnp.asarray(weight, float))
        self.target = Number(jnp.asarray(target, float))

    def shape(self, code: jax.Array) -> jax.Array:
        """(batch, latent) -> the same, in the range of the units of this kind."""
        return {"relu": jax.nn.relu, "l1": lambda h: h, "kl": jax.nn.sigmoid}[self.kind](code)

    def __call__(self, code: jax.Array, norms: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """(batch, latent), (latent,) norms of the decoder -> (batch,); the kl of the batch is every example's."""
        weight, target = self.weight[...].astype(code.dtype), self.target[...].astype(code.dtype)
        if self.kind != "kl":
            return weight * (jnp.abs(code) * norms).sum(-1)
        # A unit that is always off or on would have an infinite divergence.
        tiny = jnp.finfo(code.dtype).eps
        mean = jnp.average(code, 0, None if mask is None else mask.astype(code.dtype)).clip(tiny, 1 - tiny)
        kl = target * jnp.log(target / mean) + (1 - target) * jnp.log((1 - target) / (1 - mean))
        return jnp.broadcast_to(weight * kl.sum(), code.shape[:1])


class Autoencoder(Model):
    """h = encoder(x), x̂ = decoder(h), trained so that x̂ rebuilds x.

    inputs x (batch, ...) -> code h (batch, latent_size) -> prediction x̂ (batch, ...) of the inputs' shape. The dense
    encoder flattens x: h_0 = x, h_i = φ(h_{i-1} W_i + b_i) over `hidden_sizes`, h = h_L W + b; the convolutional one
    takes images (batch, height, width, channels). The decoder mirrors the encoder's sizes with weights of its own.
    With `input_noise` the encoder sees a corrupted x̃ and x̂ still has to rebuild x: fresh noise while training; at
    evaluation, where examples are numbered by `index`, noise that is fixed per number. With `sparsity` the code is
    penalised. Source: Goodfellow, Bengio & Courville, Deep Learning (2016), chapter 14.
    """

    kinds: ClassVar[tuple[str, ...]] = ("table", "image", "series")

    def __init__(self, config: AutoencoderConfig, data: DataSpec, output: OutputSpec, *, rngs: nnx.Rngs) -> None:
        self.encoder, self.decoder = build_codec(config, data, output, config.latent_size, rngs=rngs)
        self.output_activation = config.output_activation
        self.noise_at_evaluation = config.noise_at_evaluation
        noise, sparsity = config.input_noise, config.sparsity
        self.corruption = None if is_off(noise) else Corruption(config.noise_kind, noise)
        self.sparsity = None if is_off(sparsity) else Sparsity(config.sparsity_kind, sparsity, config.sparsity_target)

    def decoded(self, code: jax.Array, rngs: nnx.Rngs | None = None) -> tuple[jax.Array, jax.Array | None]:
        """(batch, latent_size) -> prediction (batch, *inputs), and the logits under it where it is a sigmoid's."""
        return squash(self.decoder(code, rngs), self.output_activation)

    def __call__(self, batch: Batch, rngs: nnx.Rngs | None = None, carry: Any = None) -> tuple[Outputs, Any]:
        """inputs (batch, *inputs) -> prediction (batch, *inputs), latent (batch, latent_size)."""
        seen = None
        if self.corruption is not None and rngs is not None:
            seen = self.corruption(rngs.noise(), batch["inputs"])
        elif self.corruption is not None and self.noise_at_evaluation and "index" in batch:
            seen = self.corruption.fixed(batch["index"], batch["inputs"])
        code = self.encoder(batch["inputs"] if seen is None else seen, rngs)
        penalties = {}
        if self.sparsity is not None:
            code = self.sparsity.shape(code)
            penalties["sparsity"] = self.sparsity(code, self.decoder.code_norms(), batch.get("mask"))
        prediction, logits = self.decoded(code, rngs)
        return Outputs(prediction, code, {}, penalties, seen, logits), carry
