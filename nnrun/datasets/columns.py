"""Columns of a table as numbers and times, with errors that name file, row and column."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnrun.datasets.table_values import PLAIN_FORMATS, Place, checked_numbers, is_moment
from nnrun.errors import RunError

if TYPE_CHECKING:
    import polars


def numbers(column: "polars.Series", source: str | Path) -> np.ndarray:
    """(n,) float64, nan where a value is missing. Raises RunError for a text or an infinity, with its row from 1."""
    import polars

    if column.dtype == polars.Boolean:
        column = column.cast(polars.Int8)
    elif not (column.dtype == polars.String or column.dtype.is_numeric()):
        raise RunError(f"{source}, column {column.name} holds {column.dtype}, which are no numbers. Leave it out.")
    found = checked_numbers(column, Place(source, np.arange(len(column))))
    return found.fill_null(float("nan")).to_numpy()


def is_time(column: "polars.Series") -> bool:
    """Whether the first value is a time that `times` reads and not a number."""
    import polars

    return is_moment(column) or (column.dtype == polars.String and _format(column[:1]) is not None)


def times(column: "polars.Series", source: str | Path) -> np.ndarray:
    """(n,) datetime64[us], or float64 where the column holds numbers.

    Texts are ISO 8601 (`2024-03-01`, `2024-03-01 13:30`, `2024-03`), or the same with slashes, dots or the year last.
    Raises RunError for what is no time, with its row from 1.
    """
    import polars

    if column.dtype.is_numeric():
        return _whole(column.cast(polars.Float64), column, source).to_numpy()
    if is_moment(column):
        return _whole(_plain(column), column, source).to_numpy()
    if column.dtype != polars.String:
        raise RunError(
            f"{source}, column {column.name} holds {column.dtype}, which are no dates. Name another dataset.time."
        )
    values = _months(column.str.strip_chars())
    if values.cast(polars.Float64, strict=False).null_count() == 0:
        return values.cast(polars.Float64).to_numpy()
    pattern = _format(values[:100]) or _format(values[:1])
    if pattern is None:
        raise RunError(
            f"{source}, row 1, column {column.name} is {_shown(column[0])}, which is no time. Write for example "
            "2024-03-01 13:30, or name another dataset.time."
        )
    return _whole(_parsed(values, pattern), column, source).to_numpy()


def _months(values: "polars.Series") -> "polars.Series":
    """`2024-03` becomes `2024-03-01`, and an offset from UTC is left out."""
    return values.str.replace(r"^(\d{4}-\d{2})$", "${1}-01").str.replace(r"(\d{2}:\d{2}.*)(Z|[+-]\d{2}:?\d{2})$", "$1")


def _format(values: "polars.Series") -> str | None:
    values = _months(values.str.strip_chars()).drop_nulls()
    fitting = (pattern for pattern in PLAIN_FORMATS if len(values) and _parsed(values, pattern).null_count() == 0)
    return next(fitting, None)


def _parsed(values: "polars.Series", pattern: str) -> "polars.Series":
    import polars

    if "%H" not in pattern:
        return values.str.to_date(pattern, strict=False).cast(polars.Datetime("us"))
    return values.str.to_datetime(pattern, strict=False, time_unit="us")


def _plain(column: "polars.Series") -> "polars.Series":
    """Dates and times of any unit and zone as microseconds without a zone."""
    import polars

    if isinstance(column.dtype, polars.Datetime):
        column = column.dt.replace_time_zone(None)
    return column.cast(polars.Datetime("us"))


def _whole(found: "polars.Series", column: "polars.Series", source: str | Path) -> "polars.Series":
    if found.null_count():
        row = int(found.is_null().arg_true()[0])
        raise RunError(
            f"{source}, row {row + 1}, column {column.name} is {_shown(column[row])}, which is no time like the "
            "others. Correct the value or take the row out."
        )
    return found


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)
