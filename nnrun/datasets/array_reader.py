"""Arrays of raw inputs, for data sets without a file format of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nnrun.datasets.reader import Block, Reader
from nnrun.errors import ConfigError, RunError

SUFFIXES = (".npy", ".npz", ".csv")


@dataclass(frozen=True)
class ArrayReader(Reader):
    """Reads `.npy`, the array `inputs` of an `.npz`, or a `.csv` of numbers with a header: raw inputs (n, *shape)."""

    name: ClassVar[str] = "arrays"
    shape: tuple[int, ...]

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The rows of the file's array; a `.npy` is mapped, not loaded."""
        values = self._read(source)
        for start in range(0, len(values), size):
            yield self._numbered(values[start : start + size], start)

    def block(self, values: Any) -> Block:
        """All rows of an array (n, *shape)."""
        return self._numbered(self._fitting(np.asarray(values), "The array"), 0)

    def _numbered(self, values: np.ndarray, start: int) -> Block:
        return Block({"inputs": np.asarray(values)}, {"row": np.arange(start, start + len(values))})

    def _read(self, source: Path) -> np.ndarray:
        if source.suffix not in SUFFIXES:
            raise ConfigError(f"{source} must end in one of {', '.join(SUFFIXES)} and hold raw inputs of {self.shape}.")
        try:
            return self._fitting(_values(source), str(source))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise RunError(f"{source} cannot be read: {' '.join(str(error).split())}.") from None

    def _fitting(self, values: np.ndarray, what: str) -> np.ndarray:
        if values.ndim == 2 and len(self.shape) != 1 and values.shape[1] == np.prod(self.shape):
            values = values.reshape(-1, *self.shape)
        if values.shape[1:] != self.shape or values.dtype.kind not in "fiub":
            raise ConfigError(
                f"{what} must hold numbers of shape (n, {', '.join(map(str, self.shape))}), but got {values.dtype} of "
                f"shape {values.shape}. Save the raw inputs, one example per row."
            )
        return values


def _values(source: Path) -> np.ndarray:
    if source.suffix == ".csv":
        return np.loadtxt(source, delimiter=",", skiprows=1, ndmin=2, dtype=np.float32)
    loaded = np.load(source, allow_pickle=False, mmap_mode="r" if source.suffix == ".npy" else None)
    return loaded if isinstance(loaded, np.ndarray) else loaded["inputs"]
