"""Windows over a series of a table, for training and for newer series alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.reader import Block, Reader, lacking
from nnrun.datasets.series.stretches import inside
from nnrun.datasets.series.table import Missing, SeriesTable, read_series
from nnrun.datasets.series.times import time_labels
from nnrun.datasets.series.windows import count_windows, cut_windows
from nnrun.datasets.tables.dialect import Header, Separator
from nnrun.datasets.tables.file import Table, read_table
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class TimeseriesReader(Reader):
    """Every window of a series, in order of time, told apart by the `time` (or `row` from 1) of its last step.

    columns: the inputs; targets: which of them are forecast; others: what else the training table had;
    time_format: how its times are written, which those of a newer series need not be. The newest
    windows, whose future is not in the file, come last and have no `targets`, so the last example is the forecast of
    what comes next.
    """

    columns: tuple[str, ...]
    targets: tuple[int, ...]
    time: str | None
    window: int
    horizon: int
    stride: int
    per_step: bool
    missing: Missing
    positive: bool
    anomalies: tuple[str, ...] = ()
    separator: Separator = "auto"
    encoding: str = "utf-8"
    header: Header = "auto"
    decimal: str = "."
    others: tuple[str, ...] = ()
    time_format: str | None = None

    def table(self, found: Table, source: str | Path) -> SeriesTable:
        """The series in a table. Raises ConfigError for a missing column, RunError for damaged content."""
        if missing := [name for name in self._used() if name not in found.frame.columns]:
            raise lacking(source, missing, self._unknown(found.frame), " Add what is missing.")
        kept = self.missing, self.positive
        return read_series(found, self.columns, self.time, *kept, source, self.decimal, self.time_format)

    def unknown(self, source: Path) -> tuple[str, ...]:
        """Columns of a file that are not used, though the training table had none of that name."""
        return self._unknown(read_table(source, self.separator, self.encoding, self.header).frame)

    def example_shape(self) -> tuple[int, ...]:
        """(window, columns)."""
        return (self.window, len(self.columns))

    def windows(self, table: SeriesTable, start: int, stop: int) -> Block:
        """The windows inside rows [start, stop), with all that they forecast: views of the values."""
        values = table.values[start:stop]
        inputs, targets = cut_windows(values, self.window, self.horizon, self.stride, self.per_step)
        part: Part = {"inputs": inputs}
        if self.horizon:
            part["targets"] = targets[..., list(self.targets)]
        last = start + self.window - 1 + self.stride * np.arange(len(inputs))
        return self._block(part, table, last)

    def newest(self, table: SeriesTable) -> Block:
        """The windows that `windows` over the whole series leaves out: their future is not known, or not whole.

        They go on in steps of `stride`; the last one ends with the series.
        """
        steps = len(table.values)
        first = count_windows(steps, self.window, self.horizon, self.stride) * self.stride
        starts = np.unique([*range(first, steps - self.window + 1, self.stride), steps - self.window])
        # The window that ends with the series may be the last one that `windows` gives.
        index = starts[starts > first - self.stride, None] + np.arange(self.window)
        return self._block({"inputs": table.values[index].astype(np.float32)}, table, index[:, -1])

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The windows of a newer series, first those with targets. Raises ConfigError when it is shorter than one."""
        table = self.table(read_table(source, self.separator, self.encoding, self.header), source)
        self._check_length(len(table.values), source)
        yield from self.windows(table, 0, len(table.values)).cut(size)
        yield from self.newest(table).cut(size)

    def block(self, values: Any) -> Block:
        """Every window of a data frame, or of an array (time, variables), without targets."""
        table = self._in_memory(values)
        every = [self.windows(table, 0, len(table.values)), self.newest(table)]
        labels = {name: np.concatenate([block.labels[name] for block in every]) for name in every[0].labels}
        return Block({"inputs": np.concatenate([block.part["inputs"] for block in every])}, labels)

    def _used(self) -> tuple[str, ...]:
        return (*self.columns, *(() if self.time is None else (self.time,)))

    def _unknown(self, frame: "polars.DataFrame") -> tuple[str, ...]:
        return tuple(name for name in frame.columns if name not in (*self._used(), *self.others))

    def _in_memory(self, values: Any) -> SeriesTable:
        import polars

        if hasattr(values, "columns"):
            columns = {str(name): np.asarray(values[name]) for name in values.columns}
            frame = polars.DataFrame({name: list(v) if v.dtype == object else v for name, v in columns.items()})
            # Texts of no rows have no type, which could not be read.
            self._check_length(frame.height, "The series")
            return self.table(Table(frame, np.arange(frame.height)), "The data frame")
        array = np.asarray(values, np.float64)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != len(self.columns):
            raise ConfigError(
                f"The array must hold a series of shape (time, {len(self.columns)}), the columns "
                f"{', '.join(self.columns)}, but got {array.shape}. Give one row for each step of time."
            )
        self._check_length(len(array), "The series")
        found = Table(polars.DataFrame(array, list(self.columns)), np.arange(len(array)))
        return read_series(found, self.columns, None, self.missing, self.positive, "The array")

    def _check_length(self, rows: int, source: str | Path) -> None:
        if rows < self.window:
            raise ConfigError(
                f"{source} must have at least {self.window} rows, one window, but has {rows}. Give more of the series' "
                "past."
            )

    def _block(self, part: Part, table: SeriesTable, last: np.ndarray) -> Block:
        if table.times is None:
            return Block(part, {"row": table.place.rows[last] + 1})
        if self.anomalies:
            part["anomaly"] = inside(table.times[last], self.anomalies)
        return Block(part, {"time": time_labels(table.times)[last]})
