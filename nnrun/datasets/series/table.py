"""A series from a table: its values and times, checked."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nnrun.datasets.series.times import rises, time_labels, times
from nnrun.datasets.tables.file import Table
from nnrun.datasets.tables.values import COMMA, GROUPED, Place, numbers
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

Missing = Literal["refuse", "previous"]


class SeriesTable(NamedTuple):
    """values (rows, variables) float64; times (rows,) datetime64[us], or float64 where they are numbers, or None.

    place: the file, and the numbers of the rows in it.
    """

    values: np.ndarray
    times: np.ndarray | None
    place: Place


def read_series(
    table: Table,
    columns: tuple[str, ...],
    time: str | None,
    missing: Missing,
    positive: bool,
    source: str | Path,
    decimal: str = ".",
    pattern: str | None = None,
) -> SeriesTable:
    """The named columns of a table in order of time.

    missing `previous` fills a gap with the value before it; `positive` refuses what has no logarithm; `pattern` is how
    times are written where it reads all of them.
    Raises RunError for a value that is no number or missing and for a time that is not after the one before, with the
    row, and ConfigError for a number with a comma where that is not the `decimal` mark.
    """
    frame, place = table.frame, Place(source, table.rows)
    values = np.stack([_values(frame[name], decimal, missing, place) for name in columns], axis=1)
    if positive and (values <= 0).any():
        row, column = np.argwhere(values <= 0)[0]
        rule = "which has no logarithm. Set dataset.transform=none."
        raise place.fault(columns[column], row, float(values[row, column]), rule)
    if time is None:
        return SeriesTable(values, None, place)
    found = times(pointed(frame[time], decimal), place, pattern)
    if not rises(found):
        row = int(np.argmin(found[1:] > found[:-1])) + 1
        before, after = time_labels(found[row - 1 : row + 1])
        raise RunError(
            f"{source}, row {table.rows[row] + 1}, column {time}: {after} is not after {before} in the row before. "
            "Sort the file by time and leave one row for each time."
        )
    return SeriesTable(values, found, place)


def series_numbers(column: "polars.Series", decimal: str, place: Place) -> np.ndarray:
    """(n,) float64, nan where a value is missing. Raises RunError for other texts, ConfigError for another decimal."""
    import polars

    is_text = column.dtype == polars.String
    if is_text and decimal == ",":
        # These would be read as other numbers: 1.234 for 1234.
        rule = (
            "but decimals must follow a comma. Take the points between the thousands out of the file, or, where the "
            "point is the decimal mark, set dataset.decimal=."
        )
        _refuse(column, GROUPED, place, rule)
    try:
        return numbers(pointed(column, decimal), place)
    except RunError:
        if is_text and decimal == ".":
            rule = "but decimals must follow a point. Where the comma is the decimal mark, set 'dataset.decimal=\",\"'."
            _refuse(column, COMMA, place, rule)
        raise


def _refuse(column: "polars.Series", pattern: str, place: Place, rule: str) -> None:
    """Raises ConfigError, which ends in the rule, for the first text of the pattern."""
    if rows := column.str.strip_chars().str.contains(pattern).arg_true().to_list():
        raise ConfigError(str(place.fault(column.name, rows[0], column[rows[0]], rule))) from None


def pointed(column: "polars.Series", decimal: str) -> "polars.Series":
    """The column with a point before the decimals of texts, where the mark there is a comma."""
    import polars

    if decimal == "." or column.dtype != polars.String:
        return column
    return column.str.replace(r"^(\s*[-+]?\d*),", "${1}.")


def _values(column: "polars.Series", decimal: str, missing: Missing, place: Place) -> np.ndarray:
    found = series_numbers(column, decimal, place)
    known = ~np.isnan(found)
    if known.all():
        return found
    row = int(np.argmin(known))
    if missing == "refuse" or row == 0:
        instead = "Start the series later." if missing == "previous" else "Fill it, or set dataset.missing=previous."
        raise RunError(f"{place.source}, row {place.rows[row] + 1}, column {column.name} has no value. {instead}")
    # For every row the number of the newest row, up to it, that has a value.
    return found[np.maximum.accumulate(np.where(known, np.arange(len(found)), 0))]


def inside(found: np.ndarray, stretches: Iterable[str]) -> np.ndarray:
    """(n,) int32, 1 for times in one of the stretches `start/end`, both ends included. Raises ConfigError."""
    marks = np.zeros(len(found), np.int32)
    for stretch in stretches:
        ends = stretch.split("/")
        if len(ends) != 2:
            raise ConfigError(
                f"dataset.anomalies must be stretches START/END, but got {stretch}. Set for example "
                "dataset.anomalies=['2024-03-01/2024-03-05 12:00']."
            )
        start, end = (_moment(text.strip(), stretch, found.dtype) for text in ends)
        marks |= (found >= start) & (found <= end)
    return marks


def _moment(text: str, stretch: str, kind: np.dtype) -> np.datetime64 | float:
    try:
        return np.datetime64(text, "us") if kind.kind == "M" else float(text)
    except ValueError:
        raise ConfigError(
            f"dataset.anomalies has {stretch}, of which {text} is no time like those of the series. Write for example "
            "2024-03-01 12:00."
        ) from None
