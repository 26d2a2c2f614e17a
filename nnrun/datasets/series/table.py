"""A series from a table: its values and times, checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nnrun.datasets.series.times import falls, rises, time_labels, times
from nnrun.datasets.tables.file import Table
from nnrun.datasets.tables.values import COMMA, GROUPED, Place, numbers
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

Missing = Literal["refuse", "previous"]


class SeriesTable(NamedTuple):
    """values (rows, variables) float64; times (rows,) datetime64[us], or float64 where they are numbers, or None.

    place: the file, and the numbers of the rows in it. was: how the rows were ordered, where not by time.
    """

    values: np.ndarray
    times: np.ndarray | None
    place: Place
    was: str | None = None


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
    Raises RunError for a value that is no number or missing and for a time that two rows have, and ConfigError for a
    number with a comma where that is not the `decimal` mark.
    """
    frame, place = table.frame, Place(source, table.rows)
    found, was = None, None
    if time is not None:
        found = times(pointed(frame[time], decimal), place, pattern)
        if not rises(found):
            was = "newest first" if falls(found) else "not in order of time"
            order = np.argsort(found, kind="stable")
            found, frame, place = found[order], frame[order], Place(source, table.rows[order])
        if not rises(found):
            raise _repeated(table, found, time, place)
    values = np.stack([_values(frame[name], decimal, missing, place) for name in columns], axis=1)
    if positive and (values <= 0).any():
        row, column = np.argwhere(values <= 0)[0]
        rule = "which has no logarithm. Set dataset.transform=none."
        raise place.fault(columns[column], row, float(values[row, column]), rule)
    return SeriesTable(values, found, place, was)


def _repeated(table: Table, found: np.ndarray, time: str, place: Place) -> RunError:
    """The error for a time that several rows have; a column that tells them apart makes them several series."""
    again = np.flatnonzero(found[1:] == found[:-1])
    first = int(again[0])
    rows = sorted(int(row) + 1 for row in place.rows[first : first + 2])
    series = _apart(table, time)
    if series is not None:
        name, count = series
        move = (
            f"Column {name} tells them apart, so the file holds {count} series of equal times. Make one file of each, "
            "or give each a column of its own beside one column of times."
        )
    else:
        move = "Where they are one series, correct the times; where they are several, make one file of each."
    return RunError(
        f"{place.source}, column {time}: {time_labels(found[first : first + 1])[0]} is the time of rows {rows[0]} and "
        f"{rows[1]}, and {len(again)} of {len(found)} rows have the time of another. {move}"
    )


def _apart(table: Table, time: str) -> tuple[str, int] | None:
    """A column of a few values, with which no time occurs twice, and how many values it has."""
    import polars

    frame = table.frame
    for name in frame.columns:
        count = frame[name].n_unique() if name != time else 0
        if 1 < count <= frame.height // 2 and not frame.select(polars.struct(time, name).is_duplicated().any()).item():
            return name, count
    return None


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
