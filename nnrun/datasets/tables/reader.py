"""Rows of a new table, read the way the training table was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.reader import Block, Reader, Unseen, listed
from nnrun.datasets.tables import source as table_source
from nnrun.datasets.tables.columns import Category, Date, Input, Label, Numeric
from nnrun.datasets.tables.source import TableFormat
from nnrun.datasets.tables.values import Place, checked_numbers, known
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class Target:
    """A number to be predicted."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class TableReader(Reader):
    """Finds columns by their names; others are ignored, and the targets may be missing.

    columns: all columns of the training table in its order, which is how a file without a header is told. numeric,
    dates, categories: the columns of the inputs, in this order. label: the target where it is a class. targets: the
    targets where they are numbers. left_out: columns that told nothing, and why. Rows are labelled `row`, from 1.
    """

    format: TableFormat
    columns: tuple[str, ...]
    numeric: tuple[Numeric, ...]
    dates: tuple[Date, ...]
    categories: tuple[Category, ...]
    label: Label | None
    targets: tuple[Target, ...]
    left_out: dict[str, str]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The columns of the inputs."""
        return (*self.numeric, *self.dates, *self.categories)

    @property
    def input_names(self) -> tuple[str, ...]:
        """One per input of the network, embedded columns not counted."""
        return tuple(name for column in self.inputs for name in column.names())

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns of the targets."""
        return (self.label.name,) if self.label else tuple(target.name for target in self.targets)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Numbers that each embedded column may have, 0 for never seen among them."""
        return tuple(column.cardinality for column in self.categories if column.embedded)

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The rows of a csv, tsv or parquet file; `targets` only where no row lacks one."""
        names = self._check(table_source.column_names(source, self.format), source)
        labelled = self._labelled(source, names)
        for frame, place in table_source.blocks(source, self.format, size):
            yield self._block(frame.rename(names), place, labelled)

    def block(self, values: Any) -> Block:
        """The rows of a data frame (polars, pandas), a dict of columns, or an array of the inputs in file order."""
        inputs = {column.name for column in self.inputs}
        frame = table_source.frame_of(values, tuple(name for name in self.columns if name in inputs))
        names = self._check(frame.columns, "The table")
        place = Place("The table", np.arange(frame.height))
        return self._block(frame.rename(names), place, self._has_targets(frame.rename(names)))

    def example_shape(self) -> tuple[int, ...]:
        """(inputs,)."""
        return (len(self.input_names),)

    def origins(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The inputs, or the embedded number, that each column becomes."""
        found: dict[str, dict[str, tuple[int, ...]]] = {}
        inputs, embedded = 0, 0
        for column in self.inputs:
            if isinstance(column, Category) and column.embedded:
                found[column.name] = {"categories": (embedded,)}
                embedded += 1
            else:
                found[column.name] = {"inputs": tuple(range(inputs, inputs + len(column.names())))}
                inputs += len(column.names())
        return found

    def unknown(self, source: Path) -> tuple[str, ...]:
        """Columns of a file that are not used, though the training table had none of that name."""
        return tuple(name for name in table_source.column_names(source, self.format) if name not in self.columns)

    def encode(self, frame: "polars.DataFrame", place: Place, labelled: bool) -> Part:
        """A part of these rows: `inputs`, `categories` where some are embedded, and `targets` where `labelled`."""
        part = {"inputs": _matrix([a for one in self.inputs for a in one.encode(frame[one.name], place)], frame.height)}
        embedded = [column.codes(frame[column.name]) for column in self.categories if column.embedded]
        if embedded:
            part["categories"] = np.stack(embedded, axis=1)
        if labelled and self.label:
            part["targets"] = self.label.encode(frame[self.label.name], place)
        elif labelled:
            part["targets"] = _matrix([self._numbers(frame, target, place) for target in self.targets], frame.height)
        return part

    def unseen(self, frame: "polars.DataFrame", place: Place, part: Part) -> dict[str, Unseen]:
        """By column the categories that the training part never had; `part` is what `encode` made of these rows."""
        found, origins = {}, self.origins()
        for column in self.categories:
            ((array, at),) = origins[column.name].items()
            blank = np.all(part[array][:, list(at)] == 0, axis=1)
            rows = Place(place.source, place.rows[blank])
            found[column.name] = column.unseen(frame[column.name].filter(blank), rows) if blank.any() else None
        return {name: unseen for name, unseen in found.items() if unseen is not None}

    def _numbers(self, frame: "polars.DataFrame", target: Target, place: Place) -> np.ndarray:
        return checked_numbers(frame[target.name], place, target.missing, self.format.decimal).to_numpy()

    def _block(self, frame: "polars.DataFrame", place: Place, labelled: bool) -> Block:
        part = self.encode(frame, place, labelled)
        return Block(part, {"row": place.rows + 1}, self.unseen(frame, place, part))

    def _check(self, given: Sequence[str], source: Path | str) -> dict[str, str]:
        """New names of the columns, for a file without a header. Raises ConfigError where an input is missing."""
        names = dict(zip(given, given, strict=True))
        if self.format.header is False and len(given) == len(self.columns) - len(self.target_names):
            names = dict(zip(given, [name for name in self.columns if name not in self.target_names], strict=True))
        missing = [column.name for column in self.inputs if column.name not in names.values()]
        if missing:
            extra = [name for name in given if name not in self.columns]
            raise ConfigError(
                f"{source} lacks {listed(missing)}, which the network was trained on"
                f"{f', and has {listed(extra)}, unknown to it' if extra else ''}. Add what is missing; fields of it "
                "may be empty."
            )
        return names

    def _labelled(self, source: Path, names: dict[str, str]) -> bool:
        found = table_source.blocks(source, self.format)
        return bool(self.target_names) and all(self._has_targets(frame.rename(names)) for frame, _ in found)

    def _has_targets(self, frame: "polars.DataFrame") -> bool:
        targets = [self.label] if self.label else self.targets
        return bool(targets) and all(
            target.name in frame.columns and known(frame[target.name], target.missing).null_count() == 0
            for target in targets
        )


def _matrix(arrays: list[np.ndarray], rows: int) -> np.ndarray:
    """(rows, arrays) float32."""
    found = np.empty((rows, len(arrays)), np.float32)
    for i, array in enumerate(arrays):
        found[:, i] = array
    return found
