"""IDX files: the format of MNIST.

Two zero bytes, a type (8: unsigned bytes), the number of axes, each axis as a big-endian 32-bit integer, the values.
Source: LeCun, Cortes & Burges, The MNIST database of handwritten digits (1998).
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from nnrun.errors import RunError

UNSIGNED_BYTE = 8


def read_idx(path: Path, axes: int) -> np.ndarray:
    """An array of bytes (uint8) with `axes` axes from an IDX file, gzipped if its name ends in .gz.

    Raises RunError when the file is damaged, cut short, or of another type.
    """
    content = _read(path)
    magic, expected = int.from_bytes(content[:4], "big"), UNSIGNED_BYTE << 8 | axes
    start = 4 + 4 * axes
    if len(content) < start or magic != expected:
        raise _damaged(path, f"must start with the magic number {expected} (IDX), but starts with {magic}")
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    size = start + math.prod(shape)
    if len(content) != size:
        raise _damaged(path, f"must be {size} bytes long as its header says, but has {len(content)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"cannot be read: {error}") from error


def _damaged(path: Path, what: str) -> RunError:
    return RunError(f"{path} {what}. Replace the file, or remove it so that it is downloaded again.")
