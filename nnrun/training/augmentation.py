"""Random changes of training images, inside the compiled step: every strength is a number that may be traced.

Each change is a plain function of images and what was drawn for each of them, so that it can be checked alone.
"""

from typing import Any

import jax
import jax.numpy as jnp

from nnrun.config.run_config import AugmentationConfig
from nnrun.datasets.base import DataSpec
from nnrun.models.base import Batch
from nnrun.models.kernels.randomness import Streams, uniform
from nnrun.schema import is_off

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey of an image (ITU-R BT.601)."""


def augment(config: AugmentationConfig, batch: Batch, streams: Streams, spec: DataSpec) -> Batch:
    """Changes every image of a batch at random; raw values in, raw values out. What is moved in from beyond an edge is
    the edge's own pixel, so that a light picture stays light.

    `inputs` are images (batch, height, width, channels); bytes stay in 0..255. Fields that move with them are mirrored,
    turned and cropped as their image is, but keep their colours. A change whose strength is the Python number 0 leaves
    no trace in the program and draws nothing.
    """
    images, example = batch["inputs"], spec.example
    moving = [name for name, field in example.items() if field.moves_with == "inputs" and name in batch]
    pictures = {"inputs": images} | {name: batch[name].reshape(*images.shape[:3], -1) for name in moving}

    def draw(strength: Any) -> jax.Array:
        """(batch,) uniform in [-strength, strength)."""
        return strength * (2 * uniform(streams.augmentation(), images.shape[:1]) - 1)

    colour = (config.brightness, config.contrast, config.saturation)
    for probability, axis in ((config.flip, 2), (config.flip_vertical, 1)):
        if not is_off(probability):
            chosen = uniform(streams.augmentation(), images.shape[:1]) < probability
            pictures = {name: mirror(values, chosen, axis) for name, values in pictures.items()}
    if not is_off(config.rotation):
        degrees = draw(config.rotation)
        pictures = {
            name: rotate(values, degrees, example[name].outside, nearest=example[name].whole)
            for name, values in pictures.items()
        }
    if not is_off(config.crop):
        moves = jnp.stack([whole_move(config.crop, extent, draw(1.0)) for extent in images.shape[1:3]], -1)
        pictures = {name: crop(values, moves, example[name].outside) for name, values in pictures.items()}
    images = pictures.pop("inputs")
    for strength, change in zip(colour, (brighten, stretch_contrast, saturate), strict=True):
        if not is_off(strength):
            images = change(images.astype(jnp.float32), 1 + draw(strength))
    if batch["inputs"].dtype == jnp.uint8 and not all(map(is_off, colour)):
        images = images.clip(0, 255.0)
    return {**batch, "inputs": images, **{name: values.reshape(batch[name].shape) for name, values in pictures.items()}}


def mirror(images: jax.Array, chosen: jax.Array, axis: int) -> jax.Array:
    """The images with chosen (batch,) true, reversed along an axis."""
    return jnp.where(chosen[:, None, None, None], jnp.flip(images, axis), images)


def whole_move(share: Any, extent: int, position: jax.Array) -> jax.Array:
    """Positions (batch,) in [-1, 1) as whole pixels, -m to m equally likely; m is the share of the extent, rounded."""
    most = jnp.floor(share * extent + 0.5)
    choices = 2 * most + 1
    return (jnp.minimum(jnp.floor((position + 1) / 2 * choices), choices - 1) - most).astype(jnp.int32)


def crop(images: jax.Array, moves: jax.Array, outside: int | None = None) -> jax.Array:
    """out[y, x] = images[y + moves[0], x + moves[1]], a window of the old size in the image with a border of `outside`,
    by default of its edge.

    moves: (batch, 2), at most half a side either way.
    """
    height, width, channels = images.shape[1:]
    rows, columns = -(-height // 2), -(-width // 2)
    padded = _bordered(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), outside)

    def window(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(window)(padded, moves + jnp.array([rows, columns]))


def rotate(images: jax.Array, degrees: jax.Array, outside: int | None = None, nearest: bool = False) -> jax.Array:
    """Images turned about their centre by degrees (batch,), counterclockwise, with `outside` beyond their edges, by
    default the nearest pixel of the edge.

    Between pixels it is bilinear, as float32; or the nearest pixel counts, in the images' own type.
    """
    # On a CPU a gather over the whole batch computes its indices once per channel and neighbour.
    over_batch = jax.lax.map if jax.default_backend() == "cpu" else lambda f, xs: jax.vmap(f)(xs)
    return over_batch(lambda pair: _rotated(pair[0], pair[1], outside, nearest), (images, degrees))


def _rotated(image: jax.Array, degrees: jax.Array, outside: int | None, nearest: bool) -> jax.Array:
    height, width, channels = image.shape
    angle = jnp.deg2rad(degrees)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    y, x = jnp.arange(height)[:, None] - (height - 1) / 2, jnp.arange(width) - (width - 1) / 2
    row = (cosine * y + sine * x + (height - 1) / 2).clip(-1, height)
    column = (cosine * x - sine * y + (width - 1) / 2).clip(-1, width)
    whole = jnp.round if nearest else jnp.floor
    top, left = whole(row), whole(column)
    below, right = (row - top)[..., None], (column - left)[..., None]
    # One before and two behind: all four neighbours of a place within -1..height lie inside, as promised below.
    padded = _bordered(image, ((1, 2), (1, 2), (0, 0)), outside).reshape(-1, channels)
    first = ((top + 1) * (width + 3) + left + 1).astype(jnp.int32)
    if nearest:
        return padded.at[first].get(mode="promise_in_bounds")

    def neighbour(step: int) -> jax.Array:
        return padded.at[first + step].get(mode="promise_in_bounds").astype(jnp.float32)

    upper = neighbour(0) * (1 - right) + neighbour(1) * right
    lower = neighbour(width + 3) * (1 - right) + neighbour(width + 4) * right
    return upper * (1 - below) + lower * below


def _bordered(pixels: jax.Array, widths: tuple[tuple[int, int], ...], outside: int | None) -> jax.Array:
    if outside is None:
        return jnp.pad(pixels, widths, mode="edge")
    return jnp.pad(pixels, widths, constant_values=outside)


def brighten(images: jax.Array, factor: jax.Array) -> jax.Array:
    """All values times factor (batch,)."""
    return images * factor[:, None, None, None]


def stretch_contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance of all values to the image's mean grey times factor (batch,)."""
    mean = _grey(images).mean((1, 2, 3), keepdims=True)
    return mean + (images - mean) * factor[:, None, None, None]


def saturate(images: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance of every colour to its grey times factor (batch,)."""
    grey = _grey(images)
    return grey + (images - grey) * factor[:, None, None, None]


def _grey(images: jax.Array) -> jax.Array:
    """(batch, height, width, 1)"""
    if images.shape[-1] != len(LUMA):
        return images.mean(-1, keepdims=True)
    return (images * jnp.array(LUMA)).sum(-1, keepdims=True)
