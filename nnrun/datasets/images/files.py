"""Image files: found in folders of classes, and decoded to bytes of one shape."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnrun.errors import ConfigError, NnrunError, RunError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
LARGEST_PIXELS = 2**26
"""Most pixels of one image; a small file can claim any number."""
Resize = Literal["stretch", "crop"]


@dataclass(frozen=True)
class Form:
    """What every image becomes: shape (height, width, channels).

    resize: how one of another size gets there, None refuses it. `stretch` keeps all of it, `crop` its proportions.
    levels: which values of 16 bits become 0 and 255; None: 0 and 65,535.
    """

    shape: tuple[int, int, int]
    resize: Resize | None = None
    levels: tuple[int, int] | None = None


def find(folder: Path) -> list[Path]:
    """The image files of a folder and of those below it, sorted; hidden ones and other kinds of files are left out."""
    found = []
    for parent, folders, names in os.walk(folder):
        # os.walk goes down into what stays in its list, in this order.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images = [name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        found += [Path(parent, name) for name in sorted(images)]
    return found


def class_folders(folder: Path) -> dict[str, Path]:
    """Name -> path of the folders inside a folder, sorted."""
    entries = sorted(folder.iterdir())
    return {path.name: path for path in entries if path.is_dir() and not path.name.startswith(".")}


def inspect(path: Path) -> tuple[int, int, int]:
    """Height, width and channels (1 or 3) of an image, from its header. Raises ConfigError for what is no image."""
    try:
        with _opened(path) as image:
            width, height = image.size
            # EXIF orientations 5 to 8 lie on their side: width and height change places.
            turned = image.getexif().get(0x0112, 1) > 4
            grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    except RunError as error:
        raise ConfigError(str(error)) from None
    sides = (width, height) if turned else (height, width)
    return (*sides, 1 if grey else 3)


def is_deep(path: Path) -> bool:
    """Whether an image has more than 8 bits, which its header tells."""
    with _opened(path) as image:
        return image.mode.startswith("I")


def levels(files: Sequence[Path]) -> tuple[int, int] | None:
    """The smallest and the largest value of the images of more than 8 bits; None where there are none such."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [one for one in pool.map(_levels, files) if one is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _levels(path: Path) -> tuple[int, int] | None:
    with _opened(path) as image:
        if not image.mode.startswith("I"):
            return None
        values = np.asarray(image)
        return int(values.min()), int(values.max())


def decode(path: Path, form: Form) -> np.ndarray:
    """The image as bytes of the form's shape, the right way up; 16 bits become 8, transparency is dropped.

    Raises RunError for a file that is damaged or no image, and for one of another size where that is refused.
    """
    with _opened(path) as image:
        return _fitted(path, image, form)


def decoded(files: Sequence[Path], form: Form, size: int) -> Iterator[np.ndarray]:
    """The images in order, at most `size` at a time (n, height, width, channels), decoded on all cores."""
    # Pillow lets go of Python's lock while it decodes, so threads suffice.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), size):
            running = [pool.submit(decode, path, form) for path in files[start : start + size]]
            try:
                yield np.stack([one.result() for one in running])
            except BaseException:
                # An interruption or a damaged file ends at once, not after all that is waiting.
                pool.shutdown(cancel_futures=True)
                raise


@contextlib.contextmanager
def _opened(path: Path) -> "Iterator[Image]":
    """The image, of which nothing but the header is read so far. Raises RunError for one that is damaged or too large.

    Raises ConfigError where there is no file.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > LARGEST_PIXELS or not width * height:
                raise RunError(
                    f"{path} says that it has {width} x {height} pixels; images of at most {LARGEST_PIXELS:,} are "
                    "read. Make it smaller, or move it elsewhere."
                )
            yield image
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}.") from None
    except NnrunError:
        raise
    except Exception as error:
        # The decoders raise whatever a damaged file makes them meet.
        said = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify" in said:
            said = f"its content is none of {', '.join(FORMATS)}"
        raise RunError(f"{path} is damaged or no image ({said[:200]}). Replace it, or move it elsewhere.") from None


def _fitted(path: Path, image: "Image", form: Form) -> np.ndarray:
    from PIL import Image, ImageOps

    height, width, channels = form.shape
    mode = "L" if channels == 1 else "RGB"
    if form.resize is not None:
        # A JPEG decodes faster at a half, a quarter or an eighth, here still twice as large as needed.
        image.draft(mode, (2 * max(height, width),) * 2)
    if image.mode.startswith("I"):
        # Of 16 bits convert() would clip all above 255; 65,535 / 257 is 255.
        low, high = form.levels or (0, 65_535)
        values = (np.asarray(image).astype(np.float32) - low) / (max(1, high - low) / 255)
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    ImageOps.exif_transpose(image, in_place=True)
    image = image.convert(mode)
    if image.size != (width, height):
        if form.resize is None:
            raise RunError(
                f"{path} has {image.size[0]} x {image.size[1]} pixels, but the first training image has {width} x "
                f"{height}. Resize that file, or train with a size that all are brought to, for example "
                f"dataset.size={min(height, width)}."
            )
        change = ImageOps.fit if form.resize == "crop" else Image.Image.resize
        image = change(image, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(form.shape)
