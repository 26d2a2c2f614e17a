"""Images from files, read as those that a network was trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnrun.datasets.arrays.reader import SUFFIXES, ArrayReader
from nnrun.datasets.images import files as image_files
from nnrun.datasets.images.files import Form
from nnrun.datasets.part import Part
from nnrun.datasets.parts import classes as class_names
from nnrun.datasets.reader import Block, Reader
from nnrun.errors import ConfigError


class Listing(NamedTuple):
    """Files, and the class number of each (n,) int32 where it is known."""

    files: list[Path]
    labels: np.ndarray | None


@dataclass(frozen=True)
class ImageReader(Reader):
    """Reads one image, a folder of images, or a folder of class folders (then with targets), as bytes (uint8).

    An array in memory or in a `.npy` or `.npz` file is taken as it is: (n, height, width, channels).
    """

    form: Form
    class_names: tuple[str, ...]

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The images in the order of their names; `file` is the path below the source."""
        if source.suffix in SUFFIXES and not source.is_dir():
            yield from self._arrays().blocks(source, size)
            return
        root = source if source.is_dir() else source.parent
        yield from self.read(self.listing(source), root, size)

    def block(self, values: Any) -> Block:
        """All images of an array (n, height, width, channels)."""
        return self._arrays().block(values)

    def example_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.form.shape

    def read(self, listing: Listing, root: Path, size: int) -> Iterator[Block]:
        """The images of a listing, `size` at a time. Raises RunError for a damaged file."""
        start = 0
        for images in image_files.decoded(listing.files, self.form, size):
            taken = slice(start, start + len(images))
            part: Part = {"inputs": images}
            if listing.labels is not None:
                part["targets"] = listing.labels[taken]
            yield Block(part, {"file": names(listing.files[taken], root)})
            start += len(images)

    def listing(self, source: Path) -> Listing:
        """The files of a source. Raises ConfigError where there are none, or folders that are no classes."""
        if source.is_file():
            return Listing([source], None)
        if not source.is_dir():
            raise ConfigError(f"There is no image and no folder {source}. Check the path.")
        below = image_files.class_folders(source)
        if any(name in self.class_names for name in below):
            return labelled(below, self.class_names, source)
        if files := image_files.find(source):
            return Listing(files, None)
        raise ConfigError(f"{source} holds no image that ends in {', '.join(image_files.SUFFIXES)}.")

    def _arrays(self) -> ArrayReader:
        classes = len(self.class_names)
        return ArrayReader(self.form.shape, targets=(), classes=classes, class_names=self.class_names)


def labelled(folders: dict[str, Path], classes: tuple[str, ...], root: Path) -> Listing:
    """All images of class folders, which need not be all classes. Raises ConfigError for a folder that is no class."""
    files = {name: image_files.find(folder) for name, folder in folders.items()}
    if not folders and (loose := image_files.find(root)):
        raise ConfigError(
            f"{root} holds {len(loose)} images in no folder of a class, so their classes are unknown. Put each into "
            "the folder of its class, or move the whole folder elsewhere and let the trained network tell: nnrun "
            f"predict RUN {root.name}"
        )
    if lost := {name: len(found) for name, found in files.items() if name not in classes}:
        raise class_names.strange(root, lost, classes, "images")
    labels = [np.full(len(found), classes.index(name), np.int32) for name, found in files.items()]
    everything = [path for found in files.values() for path in found]
    if not everything:
        raise ConfigError(f"{root} holds no image that ends in {', '.join(image_files.SUFFIXES)}.")
    return Listing(everything, np.concatenate(labels))


def names(files: list[Path], root: Path) -> np.ndarray:
    """(n,) paths below a folder."""
    return np.array([path.relative_to(root).as_posix() for path in files])
