"""IDX files: the format of MNIST.

Two zero bytes, a type (8: unsigned bytes), the number of axes, each axis as a big-endian 32-bit integer, the values.
Source: LeCun, Cortes & Burges, The MNIST database of handwritten digits (1998).
"""

import contextlib
import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from nnrun.datasets.arrays.file import check_claim
from nnrun.errors import RunError

UNSIGNED_BYTE = 8
NEXT_MOVE = "Replace the file, or remove it so that it is downloaded again."


def read_idx(path: Path, axes: int, next_move: str = NEXT_MOVE) -> np.ndarray:
    """An array of bytes (uint8) with `axes` axes from an IDX file, gzipped if its name ends in .gz.

    Raises RunError, which ends in `next_move`, when the file is damaged, cut short, or of another type, or claims more
    than it can hold; nothing is allocated for a claim.
    """
    with _opened(path, next_move) as stream:
        shape = _shape(path, stream, axes, next_move)
        size = math.prod(shape)
        check_claim(path, size)
        content = stream.read(size)
        # The length of what is packed is only known once it is unpacked: one byte more tells that it is too long.
        rest = len(stream.read(1)) if path.suffix == ".gz" else path.stat().st_size - 4 - 4 * axes - size
    expected = 4 + 4 * axes + size
    if len(content) != size or rest > 0:
        length = 4 + 4 * axes + len(content) + max(rest, 0)
        raise RunError(f"{path} must be {expected} bytes long as its header says, but has {length}. {next_move}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_shape(path: Path, axes: int, next_move: str = NEXT_MOVE) -> tuple[int, ...]:
    """The shape that the header gives, nothing else being read. Raises RunError like `read_idx`."""
    with _opened(path, next_move) as stream:
        return _shape(path, stream, axes, next_move)


@contextlib.contextmanager
def _opened(path: Path, next_move: str) -> Iterator[IO[bytes]]:
    """The content, unpacked. Raises RunError for whatever a damaged file makes its reader raise."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield stream  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path} cannot be read: {error}. {next_move}") from error


def _shape(path: Path, stream: IO[bytes], axes: int, next_move: str) -> tuple[int, ...]:
    header, expected = stream.read(4 + 4 * axes), UNSIGNED_BYTE << 8 | axes
    magic = int.from_bytes(header[:4], "big")
    if len(header) < 4 + 4 * axes or magic != expected:
        raise RunError(
            f"{path} must start with the magic number {expected} (IDX), but starts with {magic}. {next_move}"
        )
    # Whole numbers of Python: products of those of NumPy may wrap around.
    return tuple(int(n) for n in np.frombuffer(header[4:], ">u4"))
