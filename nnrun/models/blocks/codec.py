"""Encoder and decoder that autoencoders share."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.convolution import Conv
from nnrun.models.layers import Activation, DenseStack, Dropout, activate, flatten, kernel_initializer
from nnrun.schema import number, setting, size


@dataclass(frozen=True)
class CodecConfig:
    """Keys of every autoencoder."""

    encoder: Literal["dense", "convolutional"] = setting("dense", "the decoder mirrors it")
    hidden_sizes: tuple[int, ...] = size((128, 64), "units of the dense encoder's hidden layers; [] is linear")
    filters: tuple[int, ...] = size((16, 32), "channels of the convolutional encoder's blocks, each halves the image")
    kernel_size: int = size(3, "of every convolution")
    latent_size: int = size(8, "units of the code")
    activation: Activation = setting("relu", "after every hidden layer")
    dropout: float = number(0.0, "after every activation", off=0.0, least=0, below=1)
    output_activation: Literal["linear", "sigmoid"] = setting("linear", "sigmoid for data scaled to 0..1")


class DenseEncoder(nnx.Module):
    """code = h W + b with h the last hidden layer over the flattened inputs."""

    def __init__(self, config: CodecConfig, shape: tuple[int, ...], code_size: int, *, rngs: nnx.Rngs) -> None:
        sizes = (math.prod(shape), *config.hidden_sizes)
        self.hidden = DenseStack(sizes[0], sizes[1:], config.activation, dropout=config.dropout, rngs=rngs)
        self.code = nnx.Linear(sizes[-1], code_size, rngs=rngs)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, *shape) -> (batch, code_size)."""
        return self.code(self.hidden(flatten(x), rngs))


class DenseDecoder(nnx.Module):
    """The dense encoder's sizes in reverse."""

    def __init__(self, config: CodecConfig, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        sizes = (config.latent_size, *config.hidden_sizes[::-1])
        self.hidden = DenseStack(sizes[0], sizes[1:], config.activation, dropout=config.dropout, rngs=rngs)
        self.head = nnx.Linear(sizes[-1], math.prod(shape), rngs=rngs)
        self.shape = shape

    def code_norms(self) -> jax.Array:
        """(latent_size,) norm of the weights by which each unit of the code enters."""
        first = (*self.hidden.dense, self.head)[0]
        return jnp.linalg.norm(first.kernel[...], axis=1)

    def __call__(self, code: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, latent_size) -> (batch, *shape)."""
        return self.head(self.hidden(code, rngs)).reshape(-1, *self.shape)


def halvings(shape: tuple[int, ...], blocks: int) -> list[tuple[int, int]]:
    """Height and width before the first block and after each: n -> ceil(n / 2).

    Raises ConfigError when a block would find a single pixel.
    """
    maps = [(shape[0], shape[1])]
    for _ in range(blocks):
        height, width = maps[-1]
        maps.append(((height + 1) // 2, (width + 1) // 2))
    # ⌈log₂ n⌉ halvings, each rounded up, leave one pixel of n.
    most = (max(shape[:2]) - 1).bit_length()
    if blocks > most:
        raise ConfigError(
            f"model.filters must have at most {most} entries for images of {shape[0]}x{shape[1]}, because every block "
            f"halves the image, but got {blocks}. Leave some out."
        )
    return maps


class ConvolutionalEncoder(nnx.Module):
    """Blocks of activation(convolution with stride 2), then one linear layer onto the code."""

    def __init__(self, config: CodecConfig, shape: tuple[int, ...], code_size: int, *, rngs: nnx.Rngs) -> None:
        channels = (shape[-1], *config.filters)
        height, width = halvings(shape, len(config.filters))[-1]
        self.blocks = nnx.List([_convolution(i, o, config, 2, rngs) for i, o in pairwise(channels)])
        self.code = nnx.Linear(height * width * channels[-1], code_size, rngs=rngs)
        self.activation, self.dropout = config.activation, Dropout(config.dropout)

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, height, width, channels) -> (batch, code_size)."""
        for block in self.blocks:
            x = self.dropout(activate(self.activation, block(x)), rngs)
        return self.code(flatten(x))


class ConvolutionalDecoder(nnx.Module):
    """A linear layer onto the encoder's smallest map, then per block: double by repetition, crop to the encoder's map
    of that depth, convolve. Repetition before a convolution avoids the checkerboards of a transposed one
    (Odena, Dumoulin & Olah 2016)."""

    def __init__(self, config: CodecConfig, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        channels = (shape[-1], *config.filters)[::-1]
        self.maps = tuple(halvings(shape, len(config.filters))[::-1])
        units = self.maps[0][0] * self.maps[0][1] * channels[0]
        init = kernel_initializer(config.activation)
        self.expand = nnx.Linear(config.latent_size, units, kernel_init=init, rngs=rngs)
        self.blocks = nnx.List([_convolution(i, o, config, 1, rngs) for i, o in pairwise(channels)])
        self.activation, self.dropout = config.activation, Dropout(config.dropout)

    def code_norms(self) -> jax.Array:
        """(latent_size,) norm of the weights by which each unit of the code enters."""
        return jnp.linalg.norm(self.expand.kernel[...], axis=1)

    def __call__(self, code: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        """(batch, latent_size) -> (batch, height, width, channels)."""
        x = self.expand(code).reshape(code.shape[0], *self.maps[0], -1)
        for block, (height, width) in zip(self.blocks, self.maps[1:], strict=True):
            x = self.dropout(activate(self.activation, x), rngs)
            x = block(double(x)[:, :height, :width])
        return x


def _convolution(inputs: int, filters: int, config: CodecConfig, stride: int, rngs: nnx.Rngs) -> Conv:
    return Conv(inputs, filters, config.kernel_size, stride, "same", rngs=rngs)


def double(x: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> (batch, 2 height, 2 width, channels), every pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def squash(decoded: jax.Array, output_activation: str) -> tuple[jax.Array, jax.Array | None]:
    """The prediction, and the logits under it where it is a sigmoid's."""
    return (jax.nn.sigmoid(decoded), decoded) if output_activation == "sigmoid" else (decoded, None)


def build_codec(
    config: CodecConfig, data: DataSpec, output: OutputSpec, code_size: int, *, rngs: nnx.Rngs
) -> tuple[DenseEncoder | ConvolutionalEncoder, DenseDecoder | ConvolutionalDecoder]:
    """The encoder onto `code_size` units and the decoder back to the shape of the inputs.

    Raises ConfigError when the task wants something else than the inputs, or a convolution has no image.
    """
    if output.shape != data.inputs:
        raise ConfigError(
            f"An autoencoder rebuilds its inputs of shape {data.inputs}, but the task wants {output.shape}. "
            "Set task=reconstruction."
        )
    if config.encoder == "dense":
        return DenseEncoder(config, data.inputs, code_size, rngs=rngs), DenseDecoder(config, data.inputs, rngs=rngs)
    if data.kind != "image":
        raise ConfigError(
            f"model.encoder=convolutional needs images, but the data set is a {data.kind}. Set model.encoder=dense."
        )
    encoder = ConvolutionalEncoder(config, data.inputs, code_size, rngs=rngs)
    return encoder, ConvolutionalDecoder(config, data.inputs, rngs=rngs)
