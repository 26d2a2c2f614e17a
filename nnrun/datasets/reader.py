"""How new examples are read the way the training data were: what `predict` and `evaluate` need of a data set."""

import abc
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnrun.datasets.part import Part, count, take
from nnrun.errors import ConfigError


class Unseen(NamedTuple):
    """Categories of one column that the training part never had: how many, and the first, with its row from 1."""

    values: int
    row: int
    value: str


class Block(NamedTuple):
    """Some examples of a source, in its order.

    part: arrays (n, ...) as a part of `Data` has them; `targets` only where the source has them all.
    labels: columns (n,) that tell the examples apart in what is written: a row's number, a file's name, a time.
    unseen: by column, where there are any.
    """

    part: Part
    labels: dict[str, np.ndarray]
    unseen: dict[str, Unseen] = {}

    def cut(self, size: int) -> "Iterator[Block]":
        """The examples, at most `size` at a time."""
        for start in range(0, count(self.part), size):
            rows = slice(start, start + size)
            yield Block(take(self.part, rows), take(self.labels, rows))


class UnseenNotes:
    """Gathers what was never seen, block by block, into a sentence per column."""

    def __init__(self) -> None:
        self._rows, self._found = 0, dict[str, Unseen]()

    def add(self, rows: int, unseen: dict[str, Unseen]) -> None:
        """Counts the next rows of a source."""
        self._rows += rows
        for column, more in unseen.items():
            # The first block that has some tells which value and row are shown.
            first = self._found.get(column, more._replace(values=0))
            self._found[column] = first._replace(values=first.values + more.values)

    def over(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks as they come, each counted."""
        for block in blocks:
            self.add(count(block.part), block.unseen)
            yield block

    def sentences(self, source: str = "") -> list[str]:
        """One per column; `source` names the file where that is not plain."""
        return [
            f"{column}: {count} of {self._rows} values{source and f' of {source}'} were never seen in training "
            f"(first in row {row}: {value[:40]!r})."
            for column, (count, row, value) in self._found.items()
        ]


class Reader(abc.ABC):
    """Base of readers: frozen dataclasses whose fields were fitted on the training data and become JSON as they are.

    Fields are numbers, strings, booleans, None, NumPy arrays of floats, or tuples, dicts and frozen dataclasses of
    these. preprocessing.json names ours by their keys in `nnrun.folders.preprocessing.READERS`; a user's own needs
    arrays of float32, a class at the top of a Python file beside ./conf, and --trust where it is to be found again.
    """

    @abc.abstractmethod
    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The examples of a file or folder, at most `size` at a time, so that any size fits into memory.

        Raises ConfigError for what the schema decides (a missing column, another shape), RunError for damaged content.
        """

    @abc.abstractmethod
    def block(self, values: Any) -> Block:
        """The examples of an array or data frame in memory. Raises ConfigError where it does not fit."""

    def unknown(self, source: Path) -> tuple[str, ...]:
        """Columns of a file that are not used, though the training data had none of that name."""
        return ()

    def origins(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Column of a source -> which columns (of the last axis) of which arrays of a part are made of it.

        Empty where every input stands for itself.
        """
        return {}

    def example_shape(self) -> tuple[int, ...] | None:
        """Shape of an example's inputs as the fields have it; None where only the source tells."""
        return None


def lacking(source: str | Path, missing: Sequence[str], extra: Sequence[str], move: str = "") -> ConfigError:
    """The error for columns that a source lacks; `extra` are those that it has and the training did not."""
    unknown = f", and has {listed(extra)}, unknown to it" if extra else ""
    return ConfigError(f"{source} lacks {listed(missing)}, which the network was trained on{unknown}.{move}")


def listed(names: Sequence[str]) -> str:
    """`column a`, or `columns a, b and 9 more`."""
    few = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"column{'s' if len(names) > 1 else ''} {few}"
