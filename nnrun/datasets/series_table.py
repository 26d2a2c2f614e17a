"""A series from a table: its values and times, checked, and what is remarkable about them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nnrun.datasets.columns import numbers, times
from nnrun.datasets.table_values import GROUPED
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

Missing = Literal["refuse", "previous"]


class SeriesTable(NamedTuple):
    """values (rows, variables) float64; times (rows,) datetime64[us], or float64 where they are numbers, or None."""

    values: np.ndarray
    times: np.ndarray | None


def read_series(
    frame: "polars.DataFrame",
    columns: tuple[str, ...],
    time: str | None,
    missing: Missing,
    positive: bool,
    source: str | Path,
    decimal: str = ".",
) -> SeriesTable:
    """The named columns of a table in order of time.

    missing `previous` fills a gap with the value before it; `positive` refuses what has no logarithm. Raises RunError
    for a value that is no number or missing and for a time that is not after the one before, with the row from 1, and
    ConfigError for a number with a comma where that is not the `decimal` mark.
    """
    values = np.stack([_values(frame[name], decimal, missing, source) for name in columns], axis=1)
    if positive and (values <= 0).any():
        row, column = np.argwhere(values <= 0)[0]
        raise RunError(
            f"{source}, row {row + 1}, column {columns[column]} is {values[row, column]:g}, which has no logarithm. "
            "Set dataset.transform=none."
        )
    if time is None:
        return SeriesTable(values, None)
    return SeriesTable(values, _ascending(times(_pointed(frame[time], decimal), source), time, source))


def series_numbers(column: "polars.Series", decimal: str, source: str | Path) -> np.ndarray:
    """(n,) float64, nan where a value is missing. Raises RunError for other texts, ConfigError for another decimal."""
    if (fault := _grouped(column, decimal, source)) is not None:
        raise fault
    try:
        return numbers(_pointed(column, decimal), source)
    except RunError as error:
        raise _comma(column, decimal, source) or error from None


def _pointed(column: "polars.Series", decimal: str) -> "polars.Series":
    import polars

    if decimal == "." or column.dtype != polars.String:
        return column
    return column.str.replace(r"^(\s*[-+]?\d*),", "${1}.")


def _comma(column: "polars.Series", decimal: str, source: str | Path) -> ConfigError | None:
    import polars

    if decimal == "," or column.dtype != polars.String:
        return None
    rows = column.str.contains(r"^\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*$").arg_true()
    if not len(rows):
        return None
    return ConfigError(
        f"{source}, row {rows[0] + 1}, column {column.name} is {column[rows[0]]!r}, but decimals must follow a point. "
        "Where the comma is the decimal mark, set 'dataset.decimal=\",\"'."
    )


def _grouped(column: "polars.Series", decimal: str, source: str | Path) -> ConfigError | None:
    import polars

    if decimal == "." or column.dtype != polars.String:
        return None
    rows = column.str.strip_chars().str.contains(GROUPED).arg_true()
    if not len(rows):
        return None
    return ConfigError(
        f"{source}, row {rows[0] + 1}, column {column.name} is {column[rows[0]]!r}, but decimals must follow a comma. "
        "Take the points between the thousands out of the file, or, where the point is the decimal mark, set "
        "dataset.decimal=."
    )


def _values(column: "polars.Series", decimal: str, missing: Missing, source: str | Path) -> np.ndarray:
    found = series_numbers(column, decimal, source)
    known = ~np.isnan(found)
    if known.all():
        return found
    row = int(np.argmin(known))
    if missing == "refuse" or row == 0:
        instead = "Start the series later." if missing == "previous" else "Fill it, or set dataset.missing=previous."
        raise RunError(f"{source}, row {row + 1}, column {column.name} has no value. {instead}")
    return found[np.maximum.accumulate(np.where(known, np.arange(len(found)), 0))]


def _ascending(found: np.ndarray, column: str, source: str | Path) -> np.ndarray:
    behind = np.flatnonzero(found[1:] <= found[:-1])
    if len(behind):
        row = int(behind[0]) + 1
        labels = time_labels(found[row - 1 : row + 1])
        raise RunError(
            f"{source}, row {row + 1}, column {column}: {labels[1]} is not after {labels[0]} in the row before. Sort "
            "the file by time and leave one row for each time."
        )
    return found


def time_labels(found: np.ndarray) -> np.ndarray:
    """Times as people write them: `2024-03-01`, `2024-03-01 13:30:00`, or the numbers as they are."""
    if found.dtype.kind != "M":
        return found
    moments: np.ndarray = found.astype("datetime64[us]")
    midnight = bool((moments == moments.astype("datetime64[D]")).all())
    whole = bool((moments == moments.astype("datetime64[s]")).all())
    texts = np.datetime_as_string(moments.astype(np.dtype("M8[us]")), "D" if midnight else "s" if whole else "us")
    return np.char.replace(texts, "T", " ")


def irregular(found: np.ndarray, source: str | Path) -> str | None:
    """A sentence about steps of unequal length, None where there are none; months and years count as equal."""
    steps = np.diff(found)
    usual = np.median(steps.astype(np.float64)).astype(steps.dtype)
    odd = np.flatnonzero(np.abs((steps - usual).astype(np.float64)) > 1e-6 * float(usual.astype(np.float64)))
    if not len(odd) or _calendar(found):
        return None
    row = int(odd[0]) + 1
    longest = int(np.argmax(steps))
    return (
        f"{source}: {len(odd)} of {len(steps)} steps are not {_duration(usual)} long, the first before row {row + 1} "
        f"({time_labels(found[row : row + 1])[0]}), the longest {_duration(steps[longest])}; windows run across them."
    )


def _calendar(found: np.ndarray) -> bool:
    if found.dtype.kind != "M":
        return False
    months = found.astype("datetime64[M]")
    return len(np.unique(found - months)) == 1 and len(np.unique(np.diff(months))) == 1


def _duration(step: np.timedelta64 | np.floating) -> str:
    return str(step.astype("timedelta64[us]").item()) if step.dtype.kind == "m" else f"{float(step):g}"


def inside(found: np.ndarray, stretches: Iterable[str]) -> np.ndarray:
    """(n,) int32, 1 for times in one of the stretches `start/end`, both ends included. Raises ConfigError."""
    marks = np.zeros(len(found), np.int32)
    for stretch in stretches:
        start, end = (_moment(text.strip(), stretch, found.dtype) for text in _ends(stretch))
        marks |= (found >= start) & (found <= end)
    return marks


def _ends(stretch: str) -> list[str]:
    ends = stretch.split("/")
    if len(ends) != 2:
        raise ConfigError(
            f"dataset.anomalies must be stretches START/END, but got {stretch}. Set for example "
            "dataset.anomalies=['2024-03-01/2024-03-05 12:00']."
        )
    return ends


def _moment(text: str, stretch: str, kind: np.dtype) -> np.datetime64 | float:
    try:
        return np.datetime64(text, "us") if kind.kind == "M" else float(text)
    except ValueError:
        raise ConfigError(
            f"dataset.anomalies has {stretch}, of which {text} is no time like those of the series. Write for example "
            "2024-03-01 12:00."
        ) from None
