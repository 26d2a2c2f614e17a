"""training_rows.bin: by which a later file is told to hold examples that the network was trained on."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nnrun.datasets.base import Data, DataSpec
from nnrun.datasets.part import count
from nnrun.datasets.parts import fingerprints
from nnrun.datasets.reader import Block
from nnrun.host import disk

NAME = "training_rows.bin"
MOST = 2**17
"""How many fingerprints are kept, half a megabyte: of more examples the smallest ones, which are a random choice."""


def write(folder: Path, data: Data) -> None:
    """The upper halves of the fingerprints of the training part, sorted, four bytes each; none of very large parts."""
    found = fingerprints.of(data.spec, data.train)
    if found is not None:
        disk.write(folder / NAME, np.unique(_short(found))[:MOST].astype("<u4").tobytes())


class TrainedOn:
    """Counts examples that were trained on, block by block; folders of earlier runs do not tell."""

    def __init__(self, folder: Path, spec: DataSpec) -> None:
        path, self._spec = folder / NAME, spec
        whole = path.is_file() and path.stat().st_size <= 4 * MOST and path.stat().st_size % 4 == 0
        self._kept = np.frombuffer(path.read_bytes() if whole else b"", "<u4")
        self._rows = self._compared = self._equal = 0

    def over(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks as they come, each counted."""
        for block in blocks:
            self.add(block)
            yield block

    def add(self, block: Block) -> None:
        """Counts some examples."""
        found = fingerprints.of(self._spec, block.part) if len(self._kept) else None
        if found is None:
            return
        short = _short(found)
        # Of a choice it is only known whether fingerprints up to its largest were trained on.
        known = short[short <= self._kept.max()] if len(self._kept) == MOST else short
        self._rows += count(block.part)
        self._compared += len(known)
        self._equal += int(np.isin(known, self._kept).sum())

    def sentences(self, source: object) -> list[str]:
        """What is to be said of a source, if anything."""
        if not self._equal:
            return []
        rows = round(self._rows * self._equal / self._compared)
        return [
            f"Warning: {rows} of the {self._rows} examples of {source} have the inputs of examples that the network "
            "was trained on, so this shows what it remembers rather than how good it is on new ones."
        ]


def _short(found: np.ndarray) -> np.ndarray:
    return (found >> np.uint64(32)).astype(np.uint32)
