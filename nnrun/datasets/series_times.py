"""Times of a series: how they are written, what they look like, and whether their steps are equal."""

from typing import TYPE_CHECKING

import numpy as np

from nnrun.datasets.table_values import PLAIN_FORMATS, Place
from nnrun.errors import RunError

if TYPE_CHECKING:
    import polars


def is_time(column: "polars.Series") -> bool:
    """Whether the first value is a time that `times` reads and not a number."""
    import polars

    return column.dtype.is_temporal() or (column.dtype == polars.String and _format(column[:1]) is not None)


def times(column: "polars.Series", place: Place) -> np.ndarray:
    """(n,) datetime64[us], or float64 where the column holds numbers.

    Texts are ISO 8601 (`2024-03-01`, `2024-03-01 13:30`, `2024-03`), or the same with slashes, dots or the year last.
    Raises RunError for what is no time, with its row.
    """
    import polars

    if column.dtype.is_numeric():
        return _whole(column.cast(polars.Float64), column, place).to_numpy()
    if column.dtype.is_temporal():
        return _whole(_plain(column), column, place).to_numpy()
    values = _months(column.str.strip_chars())
    if values.cast(polars.Float64, strict=False).null_count() == 0:
        return values.cast(polars.Float64).to_numpy()
    pattern = _format(values[:100]) or _format(values[:1])
    if pattern is None:
        rule = "which is no time. Write for example 2024-03-01 13:30, or name another dataset.time."
        raise place.fault(column.name, 0, column[0], rule)
    return _whole(_parsed(values, pattern), column, place).to_numpy()


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


def _whole(found: "polars.Series", column: "polars.Series", place: Place) -> "polars.Series":
    if column.null_count():
        row = int(place.rows[int(column.is_null().arg_true()[0])]) + 1
        raise RunError(f"{place.source}, row {row}, column {column.name} has no time. Fill it in or take the row out.")
    if found.null_count():
        position = int(found.is_null().arg_true()[0])
        rule = "which is no time like the others. Correct the value or take the row out."
        raise place.fault(column.name, position, column[position], rule)
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


def irregular(found: np.ndarray, place: Place) -> str | None:
    """A sentence about steps of unequal length, None where there are none; months and years count as equal."""
    steps = np.diff(found)
    usual = np.median(steps.astype(np.float64)).astype(steps.dtype)
    odd = np.flatnonzero(np.abs((steps - usual).astype(np.float64)) > 1e-6 * float(usual.astype(np.float64)))
    if not len(odd) or _calendar(found):
        return None
    first, longest = int(odd[0]) + 1, int(np.argmax(steps))
    return (
        f"{place.source}: {len(odd)} of {len(steps)} steps are not {_duration(usual)} long, the first before row "
        f"{place.rows[first] + 1} ({time_labels(found[first : first + 1])[0]}), the longest "
        f"{_duration(steps[longest])}; windows run across them."
    )


def _calendar(found: np.ndarray) -> bool:
    if found.dtype.kind != "M":
        return False
    months = found.astype("datetime64[M]")
    return len(np.unique(found - months)) == 1 and len(np.unique(np.diff(months))) == 1


def _duration(step: np.timedelta64 | np.floating) -> str:
    return str(step.astype("timedelta64[us]").item()) if step.dtype.kind == "m" else f"{float(step):g}"
