"""Images in folders, one for each class."""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from nnrun.datasets.arrays import cache as array_cache
from nnrun.datasets.arrays.cache import ArrayCache, Caching
from nnrun.datasets.base import Data, DatasetConfig, DataSpec, Scaling, ScalingKind
from nnrun.datasets.images import files as image_files
from nnrun.datasets.images.files import Form, Resize
from nnrun.datasets.images.reader import ImageReader, Listing, labelled, names
from nnrun.datasets.parts.given_parts import divide
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import Divided
from nnrun.errors import ConfigError
from nnrun.schema import setting, size

PARTS = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing"))
"""Names of the folders above the classes, in any case, where parts have folders of their own."""
BLOCK_BYTES = 2**24
"""Bytes of decoded images that are held at a time while a cache is filled."""
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class ImageFolderConfig(DatasetConfig):
    """Keys of dataset=image_folder."""

    path: str | None = setting(
        None, "folder with a folder of images per class, or with train, val and test above them", changes="examples"
    )
    resize: Resize = setting("stretch", "where size is given: stretch keeps the whole image, crop its proportions")
    channels: Literal["auto", "grey", "rgb"] = setting("auto", "auto: as the first image")
    cache: Caching = setting("auto", "map decoded images from the cache folder; auto: from 1 GiB of them")
    scaling: ScalingKind = setting("standard", "fitted on the training part alone; none: bytes become 0 to 1")
    size: int | tuple[int, ...] | None = size(
        None, "pixels of each side, or [height,width], that all images are brought to; null: all have the same"
    )


class Tree(NamedTuple):
    """The files of every part, those of a part that was not given empty."""

    classes: tuple[str, ...]
    parts: list[Listing]


class ImageFolder(Divided):
    """Images in `PATH/<class>/`, or in `PATH/train/<class>/`, `PATH/test/<class>/` and `PATH/val/<class>/`.

    Parts may be called Train, training, valid, validation, dev, Test or testing, too; other images beside them are
    refused. A part without a folder is cut from the training part, classes in equal proportions. JPEG, PNG, BMP and
    WebP are read, the right way up by their EXIF tag, as bytes; many images are decoded once into a memory-mapped
    cache.
    """

    config: ImageFolderConfig

    def spec(self) -> DataSpec:
        """Looks at the names of all files and the header of the first. Raises ConfigError."""
        return DataSpec("image", self._form().shape, (), "classification", classes=len(self._tree().classes))

    def load(self) -> Data:
        """Decodes all images, or maps them. Raises RunError that names a damaged file or one of another size."""
        tree, reader = self._tree(), ImageReader(self._form(), self._tree().classes)
        files = [path for part in tree.parts for path in part.files]
        labels = np.concatenate([part.labels for part in tree.parts if part.labels is not None])
        parts = divide([len(part.files) for part in tree.parts], labels, self.config, self._path())
        deep = image_files.is_deep(files[0])
        levels = image_files.levels([files[i] for i in parts.train]) if deep else None
        reader = dataclasses.replace(reader, form=dataclasses.replace(reader.form, levels=levels))
        labels = labels[parts.order]
        chosen = Listing([files[i] for i in parts.order], labels)
        size = int(np.prod(reader.form.shape)) * len(chosen.files)
        is_cached = array_cache.is_wanted(self.config.cache, size)
        # The place of the decoded images in the cache; None where they are kept in memory.
        key = array_cache.key(chosen.files, _options(reader.form)) if is_cached else None
        images, targets = parts.cut(_images(reader, chosen, self._path(), key)), parts.cut(labels)
        train, val, test = ({"inputs": i, "targets": t} for i, t in zip(images, targets, strict=True))
        return Data(
            self.spec(),
            train,
            val,
            test,
            _scaling(train["inputs"], self.config.scaling, key),
            input_names=CHANNELS[reader.form.shape[2]],
            target_names=("class",),
            class_names=tree.classes,
            reader=reader,
            labels={"file": names(chosen.files[-len(parts.test) :], self._path())},
            notes=_notes(levels),
        )

    def _form(self) -> Form:
        c, first = self.config, self._tree().parts[0].files[0]
        if isinstance(c.size, tuple) and len(c.size) != 2:
            raise ConfigError(
                f"dataset.size must be one number or [height,width], but got {len(c.size)} numbers. Set for example "
                "dataset.size=64."
            )
        height, width, channels = image_files.inspect(first)
        if c.size is not None:
            height, width = (c.size, c.size) if isinstance(c.size, int) else c.size
        channels = {"auto": channels, "grey": 1, "rgb": 3}[c.channels]
        return Form((height, width, channels), None if c.size is None else c.resize)

    def _path(self) -> Path:
        if self.config.path is None:
            raise ConfigError(
                "dataset=image_folder needs dataset.path, a folder with a folder of images for each class. Set for "
                "example dataset.path=photos."
            )
        folder = Path(self.config.path).expanduser()
        if not folder.is_dir():
            raise ConfigError(f"dataset.path must be a folder, but {folder} is none. Correct the path.")
        return folder

    def _tree(self) -> Tree:
        return _tree(self._path(), _stamp(self._path()))


def _options(form: Form) -> list[object]:
    """What decides beside the files how decoded images look."""
    return ["images", form.shape, form.resize, *([] if form.levels is None else [form.levels])]


def _notes(levels: tuple[int, int] | None) -> tuple[str, ...]:
    if levels is None:
        return ()
    low, high = levels
    fine = "" if high - low < 256 else f", so that {(high - low) / 255:.3g} neighbouring values become one"
    return (f"Images of 16 bits are read in 8: the values {low} to {high} of the training part become 0 to 255{fine}.",)


def _images(reader: ImageReader, chosen: Listing, root: Path, key: str | None) -> np.ndarray:
    """(n, *shape) uint8 in the order of the listing."""
    one, count = int(np.prod(reader.form.shape)), len(chosen.files)
    rows = max(1, BLOCK_BYTES // one)
    blocks = (block.part["inputs"] for block in reader.read(chosen, root, rows))
    if key is not None:
        cache = ArrayCache(key)
        return (cache.open() or cache.fill(({"inputs": images} for images in blocks), one * count))["inputs"]
    found = np.empty((count, *reader.form.shape), np.uint8)
    for start, images in zip(range(0, count, rows), blocks, strict=True):
        found[start : start + rows] = images
    return found


def _scaling(train: np.ndarray, kind: ScalingKind, key: str | None) -> Scaling:
    """Fitted on the training images; beside cached ones it is kept, so that they are not read whole at every start."""
    if key is None:
        return fit(train, kind)

    cache = ArrayCache(f"{key}_{kind}_{len(train)}")
    kept = cache.open()
    if kept is None:
        found = fit(train, kind)
        # The cache holds rows: these are arrays of a single one.
        kept = cache.fill([{"offset": found.offset[None], "scale": found.scale[None]}])
    return Scaling(np.array(kept["offset"][0]), np.array(kept["scale"][0]))


def _stamp(folder: Path) -> tuple[int, ...]:
    """What changes when a file is added, renamed or removed."""
    # The time of a folder changes with its entries, so that no file has to be looked at.
    below = [folder, *folder.iterdir(), *folder.glob("*/*")] if _part_folders(folder) else [folder, *folder.iterdir()]
    return tuple(path.stat().st_mtime_ns for path in sorted(below) if path.is_dir())


def _part_folders(folder: Path) -> dict[int, Path]:
    """Position in PARTS -> folder, empty where the classes lie directly in the path. Raises ConfigError."""
    below = image_files.class_folders(folder)
    found = {i: [path for name, path in below.items() if name.lower() in known] for i, known in enumerate(PARTS)}
    if not any(image_files.class_folders(path) for path in found[0]):
        return {}
    for paths in found.values():
        if len(paths) > 1:
            raise ConfigError(f"{paths[0]} and {paths[1]} are names of the same part. Keep one, or join their images.")
    parts = {i: paths[0] for i, paths in found.items() if paths}
    for path in below.values():
        if path not in parts.values() and image_files.find(path):
            raise ConfigError(
                f"{path} holds images beside {parts[0].name}, but is no part: those are called train, val and test. "
                "Rename the folder, or move it elsewhere."
            )
    return parts


@lru_cache(maxsize=4)
def _tree(folder: Path, stamp: tuple[int, ...]) -> Tree:
    folders = _part_folders(folder) or {0: folder}
    below = image_files.class_folders(folders[0])
    if not below:
        raise ConfigError(
            f"{folders[0]} has no folders, but dataset=image_folder takes the class of an image from its folder. Move "
            f"the images into one folder per class, for example {folders[0] / 'cats'}."
        )
    classes = tuple(below)
    for path in below.values():
        if not image_files.find(path):
            raise ConfigError(
                f"Every class needs images, but the folder {path} holds none that ends in "
                f"{', '.join(image_files.SUFFIXES)}. Add images, or move the folder elsewhere."
            )
    nothing = Listing([], np.empty(0, np.int32))
    parts = [
        labelled(image_files.class_folders(folders[i]), classes, folders[i]) if i in folders else nothing
        for i in range(len(PARTS))
    ]
    return Tree(classes, parts)
