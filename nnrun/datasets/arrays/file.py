"""Arrays in files, some rows at a time: `.npy`, `.npz`, and a `.csv` of numbers. Nothing is unpickled."""

import contextlib
import csv
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from nnrun.errors import ConfigError, RunError

Arrays = dict[str, np.ndarray]
Headers = dict[str, tuple[tuple[int, ...], np.dtype]]
"""Name -> shape and type of what a file says that it holds."""
MOST_HEADER = 2**20
MOST_PACKED = 1032
"""Bytes that deflate makes of one, at best."""
# zipfile raises RuntimeError for an encrypted member, NotImplementedError for a compression that it does not know.
DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@contextlib.contextmanager
def told(source: Path) -> Iterator[None]:
    """Turns what damaged files make libraries raise into a RunError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise ConfigError(f"There is no file {source}.") from None
    except DAMAGE as error:
        raise RunError(f"{source} is damaged: {' '.join(str(error).split())}.") from None


def npy_blocks(source: Path, size: int, check: Callable[[Headers], None]) -> Iterator[Arrays]:
    """The rows of the one array, mapped, not loaded, as `inputs`; `check` sees the layout first."""
    with told(source):
        values = np.load(source, mmap_mode="r", allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it holds several arrays; name it .npz")
    check({"inputs": (values.shape, values.dtype)})
    for start in range(0, len(values), size):
        yield {"inputs": np.asarray(values[start : start + size])}


def npz_blocks(source: Path, size: int, names: tuple[str, ...], check: Callable[[Headers], None]) -> Iterator[Arrays]:
    """The rows of those arrays of `names` that the archive holds, unpacked as they are needed."""
    with contextlib.ExitStack() as stack:
        with told(source):
            archive = stack.enter_context(zipfile.ZipFile(source))
            held = [name for name in names if f"{name}.npy" in archive.namelist()]
            columns = {name: _Column(stack.enter_context(archive.open(f"{name}.npy"))) for name in held}
        check({name: (column.shape, column.dtype) for name, column in columns.items()})
        total = next(iter(columns.values())).shape[0]
        for start in range(0, total, size):
            with told(source):
                block = {name: column.rows(min(size, total - start)) for name, column in columns.items()}
            yield block


def npz_layout(source: Path) -> Headers:
    """What the archive says that it holds, by name."""
    with told(source), zipfile.ZipFile(source) as archive:
        found: Headers = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as stream:
                    held = _Column(stream)
                found[member.removesuffix(".npy")] = held.shape, held.dtype
        return found


class _Column:
    """An array of an archive, read row by row."""

    def __init__(self, stream: IO[bytes]) -> None:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, by_columns, self.dtype = read(stream)
        self._stream, self._by_columns, self._read = stream, by_columns and len(self.shape) > 1, 0
        self._whole: np.ndarray | None = None

    def rows(self, count: int) -> np.ndarray:
        """The next rows; of an array that is stored column by column all are read at once."""
        if not self._by_columns:
            return self._next((count, *self.shape[1:]))
        if self._whole is None:
            self._whole = self._next(self.shape[::-1]).T
        self._read += count
        return self._whole[self._read - count : self._read]

    def _next(self, shape: tuple[int, ...]) -> np.ndarray:
        wanted = math.prod(shape) * self.dtype.itemsize
        content = self._stream.read(wanted)
        if len(content) < wanted:
            raise ValueError(f"it ends early, it should hold {self.shape[0]} rows")
        return np.frombuffer(content, self.dtype).reshape(shape)


def check_claim(path: Path, size: int) -> None:
    """Raises RunError when a file, packed or not, cannot hold `size` bytes, or the machine's memory cannot."""
    if size > MOST_PACKED * path.stat().st_size + 1024:
        raise RunError(f"{path} says that it holds {size:,} bytes, which no file of its length does. Replace the file.")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise RunError(
            f"{path} holds {size / 1e9:.1f} GB of values, but this machine has {memory / 1e9:.1f} GB of memory. Give "
            "fewer examples, or the images as files: dataset=image_folder reads any number of them."
        )


def csv_header(source: Path) -> list[str]:
    """The names in the first line. Raises ConfigError when two are the same."""
    with told(source), source.open("rb") as file:
        header = [name.strip().strip('"') for name in file.readline(MOST_HEADER).decode("utf-8-sig").split(",")]
    if repeated := [name for name in header if header.count(name) > 1]:
        raise ConfigError(f"{source} has two columns named {repeated[0]}. Rename one.")
    return header


def csv_blocks(source: Path, size: int, choose: Callable[[list[str]], list[str]]) -> Iterator[tuple[int, Any]]:
    """Frames of text columns, each with the number of its first line; `choose` names the columns, given the header."""
    import polars

    # Line 1 is the header.
    header, line = csv_header(source), 2
    wanted = choose(header)
    with source.open("rb") as file:
        file.readline()
        while lines := list(islice(file, size)):
            try:
                frame = polars.read_csv(b"".join(lines), has_header=False, new_columns=header, infer_schema=False)
            except polars.exceptions.PolarsError as error:
                raise RunError(f"{source}, {_damage(lines, line, len(header), error)}.") from None
            yield line, frame.select(wanted)
            line += len(lines)


def _damage(lines: list[bytes], first: int, width: int, error: Exception) -> str:
    """The first line with another number of fields than the header, or what polars says."""
    for number, line in enumerate(lines, first):
        fields = next(csv.reader([line.decode(errors="replace")]), [])
        if len(fields) not in (0, width):
            return f"line {number} has {len(fields)} fields, but the header has {width}"
    return f"lines {first} to {first + len(lines) - 1}: {str(error).strip().splitlines()[0].rstrip('.')}"
