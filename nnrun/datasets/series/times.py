"""Times of a series: how they are written, what they look like, and whether their steps are equal."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnrun.datasets.tables.dialect import first_line
from nnrun.datasets.tables.values import HOURS, PLAIN_FORMATS, Place, is_moment, moments
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars


PATTERNS = (*PLAIN_FORMATS, *HOURS, "%Y-%m")
LIKELY = 100
"""First times, of which a pattern must read one to be tried on all."""
OFFSET = r"^(?<local>.*\d{2}:\d{2}.*?)\s?(?<offset>Z|[+-]\d{2}(?::?\d{2})?)$"
"""Behind a time: its difference from UTC."""
DAYS = ("%d", "%e", "%j", "%D", "%F", "%x", "%s")
"""What says the day in a pattern; without it a month is meant, and its first day."""


def is_time(column: "polars.Series", pattern: str | None = None) -> bool:
    """Whether the first value is a time and not a number: one of the `pattern`, where one is given."""
    import polars

    if is_moment(column):
        return True
    if not (column.dtype == polars.String or column.dtype.is_numeric()):
        return False
    first = column[:1].cast(polars.String).str.strip_chars()
    if pattern is not None or column.dtype != polars.String:
        return pattern is not None and not column.dtype.is_float() and not _unread(first, pattern)
    return first.cast(polars.Float64, strict=False).null_count() > 0 and bool(_least_unread(first))


def time_pattern(column: "polars.Series", place: Place, known: str | None = None) -> str | None:
    """How the times of a text column are written, told from all of them; None for numbers and for times of a parquet.

    known: what holds wherever it reads all of them. Where the day and the month may come first, times must rise, or
    else fall, or else have equal steps, one way alone. Raises ConfigError where nothing decides, or nothing is a time.
    """
    import polars

    if column.dtype != polars.String:
        return known if column.dtype.is_integer() else None
    words = column.str.strip_chars().drop_nulls()
    if known is not None and not _unread(words, known):
        return known
    if words.cast(polars.Float64, strict=False).null_count() == 0:
        return None
    patterns = _least_unread(words)
    if not patterns:
        rule = (
            "which is no time. Name another dataset.time, or state how times are written, for example "
            "dataset.time_format=%d.%m.%y."
        )
        first = int(column.is_not_null().arg_true()[0])
        raise ConfigError(str(place.fault(column.name, first, column[first], rule)))
    # Of patterns with the day in one place the first stays: in reversed order it is written last.
    by_day = {pattern.find("%d"): pattern for pattern in reversed(patterns)}
    readings = {pattern: _moments(words, pattern).to_numpy() for pattern in by_day.values()}
    for holds in (rises, falls, is_regular):
        readings = {pattern: found for pattern, found in readings.items() if holds(found)} or readings
    if len(readings) > 1 and not _unread(words, patterns[0]):
        raise ConfigError(
            f"{place.source}: the times of column {column.name} may begin with the day or with the month. State it, "
            f"for example {shlex.quote(f'dataset.time_format={min(readings)}')}."
        )
    return next(iter(readings))


def check_pattern(column: "polars.Series", place: Place, pattern: str) -> None:
    """Raises ConfigError for the first time that is not written in the pattern that dataset.time_format states."""
    import polars

    if is_moment(column):
        return
    words = column.cast(polars.String)
    if wrong := (words.is_not_null() & _moments(words, pattern).is_null()).arg_true().to_list():
        rule = (
            f"but dataset.time_format is {pattern}. Correct one of them; %d is a day, %m a month, %b its name, %Y a "
            "year, %H:%M:%S an hour, minute and second."
        )
        raise ConfigError(str(place.fault(column.name, wrong[0], column[wrong[0]], rule)))


def times(column: "polars.Series", place: Place, known: str | None = None) -> np.ndarray:
    """(n,) datetime64[us], or float64 where the column holds numbers.

    Texts are ISO 8601 (`2024-03-01`, `2024-03-01 13:30`, `2024-03`), or the same with slashes, dots or the year last,
    or of the `known` pattern; those with an offset from UTC are brought to UTC. Raises RunError for what is
    no time, with its row, and what `time_pattern` raises.
    """
    import polars

    pattern = time_pattern(column, place, known)
    if pattern is not None:
        found = _moments(column.cast(polars.String), pattern)
    elif is_moment(column):
        if isinstance(column.dtype, polars.Datetime) and column.dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        found = column.cast(polars.Datetime("us"))
    elif column.dtype == polars.String or column.dtype.is_numeric():
        found = (column.str.strip_chars() if column.dtype == polars.String else column).cast(polars.Float64)
    else:
        raise RunError(
            f"{place.source}, column {column.name} holds {column.dtype}, which are no dates. Name another dataset.time."
        )
    if column.null_count():
        row = int(place.rows[int(column.is_null().arg_true()[0])]) + 1
        raise RunError(f"{place.source}, row {row}, column {column.name} has no time. Fill it in or take the row out.")
    if found.null_count():
        position = int(found.is_null().arg_true()[0])
        rule = "which is no time like the others. Correct the value or take the row out."
        raise place.fault(column.name, position, column[position], rule)
    return found.to_numpy()


def _least_unread(words: "polars.Series") -> list[str]:
    """The patterns that read the most of the trimmed texts, in their order; none where that is nothing."""
    likely = [one for one in PATTERNS if _unread(words[:LIKELY], one) < len(words[:LIKELY])]
    unread = {one: _unread(words, one) for one in likely}
    least = min(unread.values(), default=0)
    return [one for one, count in unread.items() if count == least]


def _unread(words: "polars.Series", pattern: str) -> int:
    return _moments(words, pattern).null_count()


def _moments(words: "polars.Series", pattern: str) -> "polars.Series":
    """The times of texts, in UTC where these end in an offset from it; null where a text is no time of the pattern.

    That is also one whose year has two digits, and one without an offset where others have one.
    """
    import polars

    offsets = words.str.strip_chars().str.extract_groups(OFFSET)
    words = offsets.struct.field("local").fill_null(words.str.strip_chars())
    pattern = pattern.removesuffix("%z").strip()
    if not any(sign in pattern for sign in DAYS):
        words, pattern = words + " 01", f"{pattern} %d"
    try:
        found = moments(words, pattern)
    except polars.exceptions.PolarsError as error:
        raise ConfigError(f"dataset.time_format={pattern} cannot be read: {first_line(error)}.") from None
    found = found.set((found.dt.year() < 100).fill_null(True), None)
    ends = offsets.struct.field("offset")
    return found if ends.null_count() == len(ends) else found - _offset(ends)


def _offset(ends: "polars.Series") -> "polars.Series":
    """What `Z`, `+02:00`, `-0330` and `+02` add to UTC; null for null."""
    import polars

    digits = ends.str.replace("Z", "+00").str.replace_all(r"\D", "").str.pad_end(4, "0").cast(polars.Int64)
    minutes = 60 * (digits // 100) + digits % 100
    signs = ends.str.starts_with("-").cast(polars.Int64) * -2 + 1
    return (signs * minutes * 60_000_000).cast(polars.Duration("us"))


def time_labels(found: np.ndarray) -> np.ndarray:
    """Times as people write them: `2024-03-01`, `2024-03-01 13:30:00`, or the numbers as they are."""
    if found.dtype.kind != "M":
        return found
    # The coarsest unit that says all of them: days where every time is midnight.
    unit: Any = next(unit for unit in ("D", "s", "us") if (found == found.astype(f"datetime64[{unit}]")).all())
    return np.char.replace(np.datetime_as_string(found, unit), "T", " ")


def rises(found: np.ndarray) -> bool:
    """Whether each time is after the one before."""
    return bool((found[1:] > found[:-1]).all())


def falls(found: np.ndarray) -> bool:
    """Whether each time is before the one in front of it: the newest comes first."""
    return rises(found[::-1])


def is_regular(found: np.ndarray) -> bool:
    """Whether all steps are equal; those of months, years and business days count as equal."""
    return len(found) < 3 or not len(_steps(found).odd)


class _Steps(NamedTuple):
    """lengths (n,) of all steps in a unit of the calendar, or as they are; odd: positions of those not as most are."""

    lengths: np.ndarray
    odd: np.ndarray
    unit: str | None = None

    @property
    def usual(self) -> np.timedelta64 | np.floating:
        """The length of most."""
        usual: np.timedelta64 = np.median(self.lengths.astype(np.float64)).astype(self.lengths.dtype)
        return usual

    def told(self, step: Any) -> str:
        """A length in words."""
        if self.unit is not None:
            return f"{int(step)} {self.unit}{'s' * (int(step) != 1)}"
        return str(step.astype("timedelta64[us]").item()) if step.dtype.kind == "m" else f"{float(step):g}"


def _steps(found: np.ndarray) -> _Steps:
    """The steps of times, counted in the calendar where that makes more of them equal."""
    steps = np.diff(found)
    lengths = steps.astype(np.float64)
    usual = np.median(lengths)
    # A share, since steps of times that are numbers, such as 0.1, differ by rounding.
    plain = _Steps(steps, np.flatnonzero(np.abs(lengths - usual) > 1e-6 * abs(usual)))
    if not len(plain.odd) or found.dtype.kind != "M":
        return plain
    counted = [_Steps(np.diff(places), _unusual(np.diff(places)), unit) for unit, places in _calendar(found)]
    return min([plain, *counted], key=lambda one: len(one.odd))


def _unusual(steps: np.ndarray) -> np.ndarray:
    return np.flatnonzero(steps != int(np.median(steps)))


def _calendar(found: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The months or the business days that times lie in, counted, where all are equally far into theirs."""
    day = np.timedelta64(1, "D")
    # A day after the end of a month is the first of the next, whatever the length of the months.
    for moved in (found, found + day):
        months = moved.astype("datetime64[M]")
        if len(np.unique(moved - months)) == 1:
            yield "month", months.astype(int)
            return
    days = found.astype("datetime64[D]")
    if len(np.unique(found - days)) == 1 and np.median(np.diff(days).astype(int)) == 1 and np.is_busday(days).all():
        yield "business day", np.busday_count(days[0], days)


def irregular(found: np.ndarray, place: Place) -> str | None:
    """A sentence about steps of unequal length, None where there are none; see `is_regular`."""
    if not len(found) > 1 or not len((steps := _steps(found)).odd):
        return None
    first, longest = int(steps.odd[0]) + 1, int(np.argmax(steps.lengths))
    return (
        f"{place.source}: {len(steps.odd)} of {len(steps.lengths)} steps are not {steps.told(steps.usual)} long, the "
        f"first before row {place.rows[first] + 1} ({time_labels(found[first : first + 1])[0]}), the longest "
        f"{steps.told(steps.lengths[longest])}; windows run across them."
    )
