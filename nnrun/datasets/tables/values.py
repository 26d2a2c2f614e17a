"""Columns of a mixed table as texts, numbers and moments; what is missing becomes null."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

MISSING = tuple(
    case(mark)
    for mark in ("", "na", "n/a", "#n/a", "nan", "NaN", "null", "none", "?")
    for case in (str, str.upper, str.capitalize)
)
"""What stands for a missing value in every column."""
PLAIN_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
)
"""Of those that read a whole column the first counts; a day before the month only where a month cannot be."""
FORMATS = (
    *PLAIN_FORMATS,
    *(f"{one}{zone}" for one in PLAIN_FORMATS[:2] for zone in ("Z", "%z")),
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y-%m",
)
"""How dates may be written, in the letters of strptime; zones, and other separators, where they must be given."""
BEGINNING = r"^\d+[-/.]\d"
"""Of a date in any of them."""
GROUPED = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$"
"""A number with points between the thousands, as it is written where a comma stands before the decimals."""
POINTED = r"^(-?(?:0|[1-9]\d*))\.0+$"
"""A whole number as it is written where its column has a gap; 007.0 and 1.10 are names of their own."""
LARGEST = float(np.finfo(np.float32).max)
YEARS = (1500, 2500)
"""Other years are taken for a number that looks like a date."""


class Place(NamedTuple):
    """Where some rows come from: `rows` (n,) counts from 0 below the header, blank lines too."""

    source: str | Path
    rows: np.ndarray

    def fault(self, column: str, position: int, got: object, rule: str) -> RunError:
        """An error about one field."""
        row = int(self.rows[position]) + 1
        return RunError(f"{self.source}, row {row}, column {column} is {got!r}, {rule}")


def texts(column: "polars.Series", missing: Sequence[str] = ()) -> "polars.Series":
    """Trimmed texts, null where missing; whole numbers without a point. Raises ConfigError where `unreadable`."""
    import polars

    if column.dtype == polars.String:
        found = column.str.strip_chars()
    elif column.dtype.is_float():
        found = _shortest(column.fill_nan(None))
    elif fault := unreadable(column):
        raise ConfigError(f"Column {column.name} {fault}.")
    else:
        found = column.cast(polars.String)
    nothing = found.is_in([*MISSING, *missing])
    marks = [mark for mark in map(as_number, missing) if mark is not None]
    if marks:
        # A mark that is a number counts however it is written: 0, 0.0.
        nothing = nothing | found.cast(polars.Float64, strict=False).is_in(marks).fill_null(False)
    return found.set(nothing.fill_null(False), None)


def unreadable(column: "polars.Series") -> str | None:
    """What is wrong, and the next move, where it holds lists, structs, bytes, objects, or times without a date."""
    import polars

    if column.dtype.is_nested() or column.dtype in (polars.Binary, polars.Object):
        return f"holds {column.dtype}, which no field of a table is. Leave it out"
    if column.dtype.is_temporal() and not is_moment(column):
        return f"holds {column.dtype}, which is neither a number nor a date. Write it in seconds, or leave it out"
    return None


def is_moment(column: "polars.Series") -> bool:
    """Whether it holds dates, with or without a time of the day."""
    import polars

    return column.dtype in (polars.Date, polars.Datetime)


def one_spelling(words: "polars.Series") -> "polars.Series":
    """By value: true and false in small letters, as not every program writes them, whole numbers without a point."""
    words = words.str.replace(POINTED, "${1}")
    return words.str.replace("(?i)^true$", "true").str.replace("(?i)^false$", "false")


def by_value(spellings: Iterable[str]) -> set[str]:
    """One spelling of each value, since the files of several programs may differ in it."""
    import polars

    ordered = polars.Series(sorted(spellings), dtype=polars.String)
    return set(ordered.filter(one_spelling(ordered).is_first_distinct()).to_list())


def _shortest(column: "polars.Series") -> "polars.Series":
    import polars

    whole = ((column == column.round(0)) & (column.abs() < 2**53)).fill_null(False)
    return column.cast(polars.Int64, strict=False).cast(polars.String).zip_with(whole, column.cast(polars.String))


def numbers(column: "polars.Series", missing: Sequence[str] = (), decimal: str = ".") -> "polars.Series":
    """Float64, null where a value is missing and where a text is no number, or one with points between thousands."""
    return _parsed(column, known(column, missing), decimal)


def known(column: "polars.Series", missing: Sequence[str] = ()) -> "polars.Series":
    """The column with null where a value is missing: numbers as they are where no mark has to be looked for, texts."""
    if not column.dtype.is_numeric() or missing:
        return texts(column, missing)
    return column.fill_nan(None) if column.dtype.is_float() else column


def checked_numbers(
    column: "polars.Series", place: Place, missing: Sequence[str] = (), decimal: str = "."
) -> "polars.Series":
    """Float64, null where a value is missing. Raises RunError for other texts and for what float32 cannot hold."""
    words = known(column, missing)
    found = _parsed(column, words, decimal)
    if found.null_count() > words.null_count():
        position = int((found.is_null() & words.is_not_null()).arg_true()[0])
        rule = "but the column must hold numbers. Correct it, or leave it empty where it is missing."
        raise place.fault(column.name, position, words[position], rule)
    if (fault := infinity(found, place)) is not None:
        raise fault
    return found


def infinity(found: "polars.Series", place: Place) -> RunError | None:
    """An error about the first number that float32 cannot hold, if there is one."""
    large = found.abs() > LARGEST
    if not large.any():
        return None
    position = int(large.arg_true()[0])
    rule = "but numbers must be finite. Correct it, or leave it empty where it is missing."
    return place.fault(found.name, position, found[position], rule)


def _parsed(column: "polars.Series", words: "polars.Series", decimal: str) -> "polars.Series":
    import polars

    if column.dtype.is_numeric():
        found = column.cast(polars.Float64).fill_nan(None)
        return found.set(words.is_null(), None)
    if decimal == ",":
        words = words.set(words.str.contains(GROUPED).fill_null(False), None).str.replace(",", ".", literal=True)
    return words.cast(polars.Float64, strict=False).fill_nan(None)


def moments(column: "polars.Series", pattern: str, missing: Sequence[str] = ()) -> "polars.Series":
    """Seconds since 1970 in Float64, null where a value is missing and where a text is no date of the pattern."""
    import polars

    found = column.cast(polars.Datetime("us")) if is_moment(column) else dates(texts(column, missing), pattern)
    return found.dt.timestamp("us").cast(polars.Float64) / 1e6


def dates(words: "polars.Series", pattern: str) -> "polars.Series":
    """Moments, null where a trimmed text is no date of the pattern."""
    found = words.str.to_datetime(pattern, strict=False, time_unit="us")
    return found.set(~found.dt.year().is_between(*YEARS).fill_null(True), None)


def checked_moments(
    column: "polars.Series", pattern: str, place: Place, missing: Sequence[str] = ()
) -> "polars.Series":
    """Seconds since 1970, null where a value is missing. Raises RunError for a text that is no date."""
    found = moments(column, pattern, missing)
    if not column.dtype.is_temporal() and found.null_count():
        words = texts(column, missing)
        wrong = found.is_null() & words.is_not_null()
        if wrong.any():
            position = int(wrong.arg_true()[0])
            rule = f"but its dates are written as {pattern}. Correct it."
            raise place.fault(column.name, position, words[position], rule)
    return found


def fitting_patterns(words: "polars.Series", among: Sequence[str]) -> tuple[str, ...]:
    """Those of the patterns, out of FORMATS, in which every trimmed text of a column is a date."""
    few = words.drop_nulls().head(20)
    if not few.str.contains(BEGINNING).all():
        return ()
    likely = [pattern for pattern in among if dates(few, pattern).null_count() == 0]
    return tuple(pattern for pattern in likely if dates(words, pattern).null_count() == words.null_count())


def as_number(word: str) -> float | None:
    """The number that a text is, if any."""
    try:
        return float(word)
    except ValueError:
        return None
