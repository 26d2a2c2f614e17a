"""Images of simple shapes."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec, ScalingKind
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class ShapesConfig(DatasetConfig):
    """Keys of dataset=shapes."""

    scaling: ScalingKind = setting("none", "fitted on the training part alone")
    examples: int = size(2000, "images in total", least=20, changes="examples")
    image_size: int = size(16, "pixels of each side", least=8)
    classes: int = size(
        4, "the first of circle, square, triangle, cross, ring, diamond", least=2, most=6, changes="question"
    )
    noise: float = setting(0.1, "standard deviation of Gaussian noise on every pixel", least=0.0, changes="examples")


def circle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Disc of radius r."""
    return np.hypot(x, y) - r


def square(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Square with sides of 2 r."""
    return np.maximum(abs(x), abs(y)) - r


def triangle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Equilateral triangle with its corners at distance r, one of them on top."""
    return np.maximum(y, (np.sqrt(3) * abs(x) - y) / 2) - r / 2


def cross(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Two bars, 2 r long and 2/3 r wide."""
    return np.minimum(np.maximum(abs(x) - r / 3, abs(y) - r), np.maximum(abs(x) - r, abs(y) - r / 3))


def ring(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Disc of radius r without its inner half."""
    return abs(np.hypot(x, y) - 0.75 * r) - 0.25 * r


def diamond(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Square that stands on a corner, corners at distance r."""
    return (abs(x) + abs(y) - r) / np.sqrt(2)


SHAPES = (circle, square, triangle, cross, ring, diamond)


class Shapes(Examples):
    """Grey images (size, size, 1) in [0, 1] of one bright shape each, of random size and place.

    A shape is the set where its signed distance d(x, y) in pixels is negative; a pixel is clip(1/2 - d, 0, 1), which
    smooths the edge, plus noise, clipped again. Radii are 20 to 40 % of the side; every shape lies inside its image.
    """

    config: ShapesConfig
    auto_epochs = 20
    input_names = ("grey",)

    def __init__(self, config: ShapesConfig) -> None:
        super().__init__(config)
        self.class_names = tuple(shape.__name__ for shape in SHAPES[: config.classes])

    def spec(self) -> DataSpec:
        """One grey image in, one class for each shape out."""
        side = self.config.image_size
        return DataSpec("image", (side, side, 1), (), "classification", classes=self.config.classes)

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws sizes, places and noise; equally many images of every shape."""
        n, side = self.config.examples, self.config.image_size
        labels = np.arange(n, dtype=np.int32) % self.config.classes
        radius = side * rng.uniform(0.2, 0.4, (n, 1, 1))
        centre_x, centre_y = radius + (side - 2 * radius) * rng.random((2, n, 1, 1))
        pixel = np.arange(side) + 0.5
        x, y = pixel - centre_x, pixel[:, None] - centre_y
        images = np.empty((n, side, side))
        for label, shape in enumerate(SHAPES[: self.config.classes]):
            of = labels == label
            images[of] = np.clip(0.5 - shape(x[of], y[of], radius[of]), 0, 1)
        images = np.clip(images + self.config.noise * rng.standard_normal(images.shape), 0, 1)
        return {"inputs": images[..., None].astype(np.float32), "targets": labels}
