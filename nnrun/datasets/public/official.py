"""Image sets that come with an official test part: the rest is divided into training and validation."""

import abc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from nnrun.datasets.arrays.idx_file import read_idx
from nnrun.datasets.base import Data, Dataset, DatasetConfig, DataSpec, ScalingKind
from nnrun.datasets.part import Part, count, take
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import FEWEST, share, stratified_order, streams
from nnrun.datasets.public.download import RemoteFile, dataset_folder, fetch
from nnrun.errors import RunError
from nnrun.schema import setting


@dataclass(frozen=True)
class OfficialConfig(DatasetConfig):
    """Keys of image sets with an official test part."""

    val_fraction: float = setting(0.1, "share of the official training part for validation", above=0.0, below=0.9)
    test_fraction: Literal["official"] = setting("official", "the test part is given")  # type: ignore[assignment]
    scaling: ScalingKind = setting("none", "fitted on the training part alone; none: bytes become 0 to 1")
    root: str | None = setting(None, "folder with the files; null: the user's cache, downloaded if missing")


class OfficialImages(Dataset):
    """Base of image sets: bytes (height, width, channels), kept as uint8, a class each, ten classes.

    The test part is the official one, the validation part a stratified share of the official training part.
    `dataset.limit` keeps a stratified choice of both in their proportion.
    """

    name: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]
    channel_names: ClassVar[tuple[str, ...]] = ("grey",)
    class_names: ClassVar[tuple[str, ...]]

    def __init__(self, config: OfficialConfig) -> None:
        self.config = config
        self.folder = dataset_folder(self.name, config.root)

    @abc.abstractmethod
    def read(self, folder: Path) -> tuple[Part, Part]:
        """The official training and test part: images (n, *shape) uint8 and classes (n,)."""

    def spec(self) -> DataSpec:
        """One image in, a class out."""
        return DataSpec("image", self.shape, (), "classification", classes=len(self.class_names))

    def load(self) -> Data:
        """Reads or downloads the files, splits by `dataset.seed` and fits the scaling on the training part."""
        c, (_, rng) = self.config, streams(self.config.seed)
        rest, test = self.read(self.folder)
        kept, kept_test = share((count(rest), count(test)), c.limit)
        order = stratified_order(rest["targets"], rng)[:kept]
        val = min(max(round(kept * c.val_fraction), FEWEST), kept - FEWEST)
        train = take(rest, order[val:])
        return Data(
            self.spec(),
            train,
            take(rest, order[:val]),
            take(test, np.sort(stratified_order(test["targets"], rng)[:kept_test])),
            fit(train["inputs"], c.scaling),
            input_names=self.channel_names,
            target_names=("class",),
            class_names=self.class_names,
        )

    def check(self, images: np.ndarray, labels: np.ndarray, source: Path) -> Part:
        """The part of the images and labels of a file. Raises RunError when they do not fit the spec or each other."""
        if images.shape[1:] != self.shape or len(images) != len(labels) or len(labels) == 0:
            raise RunError(
                f"{source} must hold images of {self.shape} with a label each, but images of shape {images.shape} came "
                f"with {len(labels)} labels. Check that all files belong to {self.name}."
            )
        if labels.max() >= len(self.class_names):
            raise RunError(
                f"{source} must hold labels from 0 to {len(self.class_names) - 1}, but has {labels.max()}. "
                f"Check that the files belong to {self.name}."
            )
        return {"inputs": images, "targets": labels.astype(np.int32)}


class IdxImages(OfficialImages):
    """Base of the sets in MNIST's four files of 28x28 grey images, each gzipped or not."""

    shape = (28, 28, 1)
    mirrors: ClassVar[tuple[str, ...]]
    sha256: ClassVar[dict[str, str]]

    def read(self, folder: Path) -> tuple[Part, Part]:
        """Reads the four files; missing ones are downloaded into `folder`."""
        missing = [
            RemoteFile(name, sha256, tuple(f"{url}/{name}" for url in self.mirrors))
            for name, sha256 in self.sha256.items()
            if not _plain_or_packed(folder, name).is_file()
        ]
        for position, file in enumerate(missing, 1):
            # Where one cannot be had, the message lists those still missing after it, to be fetched by hand at once.
            fetch(replace(file, others=tuple(missing[position:])), folder)
        return self._pair(folder, "train"), self._pair(folder, "t10k")

    def _pair(self, folder: Path, part: str) -> Part:
        source, labels = (
            _plain_or_packed(folder, f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")
        )
        return self.check(read_idx(source, 3)[..., None], read_idx(labels, 1), source)


def _plain_or_packed(folder: Path, name: str) -> Path:
    """The packed file, or where there is only the plain one that."""
    packed, plain = folder / name, folder / name.removesuffix(".gz")
    return plain if plain.is_file() and not packed.is_file() else packed
