"""Rows of a new table, read the way the training table was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.reader import Block, Reader, Unseen, lacking
from nnrun.datasets.tables import source as table_source
from nnrun.datasets.tables.category import Category
from nnrun.datasets.tables.date import Date
from nnrun.datasets.tables.label import Label
from nnrun.datasets.tables.mark import Mark
from nnrun.datasets.tables.numeric import Numeric
from nnrun.datasets.tables.source import TableFormat
from nnrun.datasets.tables.values import Cells, Place, Rows

if TYPE_CHECKING:
    import polars

Input = Numeric | Date | Category


@dataclass(frozen=True)
class Target:
    """A column of numbers to be predicted."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class TableReader(Reader):
    """Finds columns by their names; others are ignored, and the targets may be missing.

    columns: all columns of the training table in its order, which is how a file without a header is told. numeric,
    dates, categories: the columns of the inputs, in this order. label: the target where it is a class. targets: the
    targets where they are numbers. left_out: columns that told nothing, and why. anomaly: the column that marks the
    anomalous rows. Rows are labelled `row`, from 1.
    """

    format: TableFormat
    columns: tuple[str, ...]
    numeric: tuple[Numeric, ...]
    dates: tuple[Date, ...]
    categories: tuple[Category, ...]
    label: Label | None
    targets: tuple[Target, ...]
    left_out: dict[str, str]
    anomaly: Mark | None = None

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The columns of the inputs."""
        return (*self.numeric, *self.dates, *self.categories)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the network's inputs, among which embedded columns do not count."""
        return tuple(name for column in self.inputs for name in column.inputs())

    @property
    def _answers(self) -> tuple[Label | Target | Mark, ...]:
        """The columns that a new file may lack."""
        return (self.label,) if self.label else (self.anomaly,) if self.anomaly else self.targets

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns of the targets."""
        return tuple(answer.name for answer in self._answers if answer is not self.anomaly)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many numbers each embedded column may have, 0 for never seen among them."""
        return tuple(column.cardinality for column in self.categories if column.embedded)

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The rows of a csv, tsv or parquet file; `targets` and `anomaly` only where no row lacks one."""
        names = self._check(table_source.column_names(source, self.format), source)

        def read() -> Iterator[Rows]:
            for frame, place in table_source.blocks(source, self.format, size):
                yield self._rows(frame.rename(names), place)

        # One more pass: the first block has targets only where no later row lacks one.
        labelled = all(map(self._is_labelled, read()))
        yield from (self._block(rows, labelled) for rows in read())

    def block(self, values: Any) -> Block:
        """The rows of a data frame (polars, pandas), a dict of columns, or an array of the inputs in file order."""
        inputs = {column.name for column in self.inputs}
        frame = table_source.frame_of(values, tuple(name for name in self.columns if name in inputs))
        frame = frame.rename(self._check(frame.columns, "The table"))
        rows = self._rows(frame, Place("The table", np.arange(frame.height)))
        return self._block(rows, self._is_labelled(rows))

    def example_shape(self) -> tuple[int, ...]:
        """The shape (inputs,) of an example."""
        return (len(self.input_names),)

    def origins(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The inputs, or the embedded number, that each column becomes."""
        found: dict[str, dict[str, tuple[int, ...]]] = {}
        counts = {"inputs": 0, "categories": 0}
        for column in self.inputs:
            embedded = isinstance(column, Category) and column.embedded
            array, many = ("categories", 1) if embedded else ("inputs", len(column.inputs()))
            found[column.name] = {array: tuple(range(counts[array], counts[array] + many))}
            counts[array] += many
        return found

    def unknown(self, source: Path) -> tuple[str, ...]:
        """The columns of a file that are not used, though the training table had none of that name."""
        return tuple(name for name in table_source.column_names(source, self.format) if name not in self.columns)

    def encode(self, cells: Mapping[str, Cells], labelled: bool) -> Part:
        """A part of these rows: `inputs`, `categories` where some are embedded, and the answers where `labelled`."""
        part: Part = self.assembled(np, [column.encode(cells[column.name]) for column in self.inputs])
        if labelled and self.label:
            part["targets"] = self.label.encode(cells[self.label.name])
        elif labelled and self.anomaly:
            part["anomaly"] = self.anomaly.encode(cells[self.anomaly.name])
        elif labelled:
            targets = [cells[target.name].checked_numbers().to_numpy() for target in self.targets]
            part["targets"] = np.stack(targets, -1, dtype=np.float32)
        return part

    def assembled(self, xp: Any, made: list[list[Any]]) -> dict[str, Any]:
        """The inputs of a batch out of what each column gives; `xp` is the module of the arrays, numpy or jax.numpy."""
        inputs: list[Any] = []
        embedded: list[Any] = []
        for column, arrays in zip(self.inputs, made, strict=True):
            (embedded if isinstance(column, Category) and column.embedded else inputs).extend(arrays)
        # An exported function is traced for any number of rows, which no len() could tell.
        rows = made[0][0].shape[0]
        found = {"inputs": xp.stack(inputs, -1, dtype=np.float32) if inputs else xp.zeros((rows, 0), np.float32)}
        return found | ({"categories": xp.stack(embedded, -1)} if embedded else {})

    def check_dates(self, cells: Mapping[str, Cells]) -> None:
        """Refuses, by a RunError, the first text that is no date as its column's are stated to be written."""
        for date in self.dates:
            cells[date.name].checked_moments(date.pattern)

    def unseen(self, cells: Mapping[str, Cells]) -> dict[str, Unseen]:
        """The categories, by column, that the training part never had."""
        found = {column.name: column.unseen(cells[column.name]) for column in self.categories}
        return {name: unseen for name, unseen in found.items() if unseen}

    def _block(self, rows: Rows, labelled: bool) -> Block:
        return Block(self.encode(rows.cells, labelled), {"row": rows.place.rows + 1}, self.unseen(rows.cells))

    def _rows(self, frame: "polars.DataFrame", place: Place) -> Rows:
        """The cells of the columns of inputs and targets that a frame has."""
        columns = [one for one in (*self.inputs, *self._answers) if one.name in frame.columns]
        decimal = self.format.decimal
        return Rows({one.name: Cells(frame[one.name], place, one.missing, decimal) for one in columns}, place)

    def _is_labelled(self, rows: Rows) -> bool:
        names = [answer.name for answer in self._answers]
        return bool(names) and all(n in rows.cells and rows.cells[n].known.null_count() == 0 for n in names)

    def _check(self, given: Sequence[str], source: Path | str) -> dict[str, str]:
        """New names of the columns, for a file without a header. Raises ConfigError where an input is missing."""
        answers = [answer.name for answer in self._answers]
        unlabelled = [name for name in self.columns if name not in answers]
        # Without a header the columns after a target that is not there would count one less.
        names = unlabelled if self.format.header is False and len(given) == len(unlabelled) else given
        if missing := [column.name for column in self.inputs if column.name not in names]:
            extra = [name for name in given if name not in self.columns]
            raise lacking(source, missing, extra, " Add what is missing; fields of it may be empty.")
        return dict(zip(given, names, strict=True))
