"""Grey images and labels in IDX files."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.datasets.arrays.idx_file import read_idx, read_shape
from nnrun.datasets.arrays.reader import SUFFIXES, ArrayReader
from nnrun.datasets.base import Data, DatasetConfig, DataSpec, ScalingKind
from nnrun.datasets.part import take
from nnrun.datasets.parts import classes
from nnrun.datasets.parts.given_parts import divide
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import Divided
from nnrun.datasets.reader import Block, Reader
from nnrun.errors import ConfigError, RunError
from nnrun.schema import setting

REPLACE = "Replace the file, or correct its path."


@dataclass(frozen=True)
class IdxConfig(DatasetConfig):
    """Keys of dataset=idx."""

    images: str | None = setting(None, "file of the images, .gz or not", changes="examples")
    labels: str | None = setting(None, "file of their labels", changes="question")
    test_images: str | None = setting(None, "file of the test images; null: test_fraction of the others")
    test_labels: str | None = setting(None, "file of their labels")
    class_names: tuple[str, ...] = setting((), "of the labels from the smallest; []: the numbers")
    scaling: ScalingKind = setting("none", "fitted on the training part alone; none: bytes become 0 to 1")


@dataclass(frozen=True)
class IdxReader(Reader):
    """Reads an IDX file of images, with targets where `...-images-idx3-...` has a `...-labels-idx1-...` beside it.

    labels: the label of each class in such files.
    """

    arrays: ArrayReader
    labels: tuple[int, ...]

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The images of a file in order, their `row` from 1; `.npy`, `.npz` and `.csv` files are read, too."""
        if source.suffix in SUFFIXES:
            yield from self.arrays.blocks(source, size)
            return
        if not source.is_file():
            raise ConfigError(f"There is no file {source}.")
        images, names = read_idx(source, 3, REPLACE), self._names_beside(source)
        block = self.block({"inputs": images} if names is None else {"inputs": images, "targets": names})
        yield from block._replace(labels={"row": block.labels["row"] + 1}).cut(size)

    def block(self, values: Any) -> Block:
        """All images of an array (n, height, width, 1) or (n, height, width)."""
        return self.arrays.block(values)

    def _names_beside(self, images: Path) -> np.ndarray | None:
        """(n,) class names by the file that is called like that of the images; None where there is none."""
        name = images.name.replace("images-idx3", "labels-idx1").removesuffix(".gz")
        found = [path for path in (images.with_name(name), images.with_name(f"{name}.gz")) if path.is_file()]
        if "images-idx3" not in images.name or not found:
            return None
        labels = read_idx(found[0], 1, REPLACE)
        _check_labels(found[0], labels, self.labels)
        return np.array(self.arrays.class_names)[np.searchsorted(self.labels, labels)]


class Idx(Divided):
    """Grey images (height, width, 1) of bytes, a class each: files in the format of MNIST, under any names."""

    config: IdxConfig

    def spec(self) -> DataSpec:
        """Reads the header of the images and the labels. Raises ConfigError."""
        images, labels = self._path("images"), self._path("labels")
        try:
            shape = read_shape(images, 3, REPLACE)[1:]
            names = self._names(np.unique(read_idx(labels, 1, REPLACE)))
        except RunError as error:
            raise ConfigError(str(error)) from None
        return DataSpec("image", (*shape, 1), (), "classification", classes=len(names))

    def load(self) -> Data:
        """Reads all files. Raises RunError when one is damaged or does not fit the others."""
        spec, (images, numbers) = self.spec(), self._pair("images", "labels")
        values = np.unique(numbers)
        names, counts = self._names(values), (len(images), 0, 0)
        if self.config.test_images is not None:
            test, test_numbers = self._pair("test_images", "test_labels")
            if test.shape[1:] != images.shape[1:]:
                raise RunError(
                    f"{self.config.test_images} must hold images of {images.shape[1:]} like {self.config.images}, but "
                    f"they are of {test.shape[1:]}. Name the files of one set."
                )
            _check_labels(self.config.test_labels, test_numbers, values.tolist())
            images, numbers = np.concatenate([images, test]), np.concatenate([numbers, test_numbers])
            counts = (counts[0], 0, len(test))
        labels = np.searchsorted(values, numbers).astype(np.int32)
        parts = divide(counts, labels, self.config, self.config.images)
        train, val, test_part = (take({"inputs": images, "targets": labels}, index) for index in parts)
        arrays = ArrayReader(spec.inputs, targets=(), classes=len(names), class_names=names)
        reader = IdxReader(arrays, tuple(values.tolist()))
        scaling = fit(train["inputs"], self.config.scaling)
        # Indices go on from the first file to that of the test; rows count in the file where the images are.
        rows = {"row": parts.test + 1 - (counts[0] if counts[2] else 0)}
        return Data(spec, train, val, test_part, scaling, None, ("grey",), ("class",), names, None, reader, rows)

    def _pair(self, images: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
        source, beside = self._path(images), self._path(labels)
        pixels, numbers = read_idx(source, 3, REPLACE), read_idx(beside, 1, REPLACE)
        if len(pixels) != len(numbers) or not len(pixels):
            raise RunError(
                f"Every image needs a label, but {source} holds {len(pixels)} images and {beside} {len(numbers)} "
                "labels. Check that the files belong together."
            )
        return pixels[..., None], numbers

    def _names(self, values: np.ndarray) -> tuple[str, ...]:
        names = self.config.class_names
        if names and len(names) != len(values):
            raise ConfigError(
                f"dataset.class_names must be {len(values)} names, one for each label in {self.config.labels}, but got "
                f"{len(names)}. Leave it out to call the classes by their numbers."
            )
        return names or tuple(str(value) for value in values)

    def _path(self, key: str) -> Path:
        given = getattr(self.config, key)
        if given is None:
            raise ConfigError(
                f"dataset=idx needs dataset.{key}, an IDX file. Set for example "
                f"dataset.{key}=train-{key.rpartition('_')[2]}-idx{1 if 'labels' in key else 3}-ubyte.gz."
            )
        path = Path(given).expanduser()
        if not path.is_file():
            raise ConfigError(f"dataset.{key} must be a file, but there is none at {path}. Correct the path.")
        return path


def _check_labels(path: Any, labels: np.ndarray, known: Iterable[int]) -> None:
    """Raises ConfigError for labels that are no class."""
    counts = Counter(map(str, labels.tolist()))
    names = tuple(map(str, known))
    if lost := {label: counts[label] for label in counts if label not in names}:
        raise classes.strange(path, lost, names, "labels")
