"""The values of a table's columns as texts, numbers and moments; what is missing becomes null."""

import copy
from collections.abc import Callable, Iterable, Sequence
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
"""What stands for a missing value, unless marks are stated that begin with the empty text."""
NOTHING = ("",)
"""Marks by which an empty field alone is missing."""
PADDED = r"^0\d+$"
"""A whole number with zeros in front, as codes are written."""
CLOCKS = (" %H:%M:%S%.f", " %H:%M", "")
PLAIN_FORMATS = (
    *(f"%Y-%m-%d{clock}" for clock in (" %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M", "T%H:%M", "")),
    *(f"{day}{clock}" for day in ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y") for clock in CLOCKS),
)
"""The first of them that reads a whole column counts; a day before the month only where a month cannot be."""
HOURS = ("%Y-%m-%dT%H", "%Y-%m-%d %H")
FORMATS = (
    *PLAIN_FORMATS,
    *(f"{one}{zone}" for one in PLAIN_FORMATS[:2] for zone in ("Z", "%z")),
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y-%m",
    *HOURS,
)
"""How dates may be written, in the letters of strptime; zones, and other separators, where they must be given."""
BEGINNING = r"^\d+[-/.]\d"
"""How a date in any of them begins."""
GROUPED = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?$"
"""A number with points between the thousands, as it is written where a comma stands before the decimals."""
COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
"""A number with a comma before its decimals."""
POINTED = r"^(-?(?:0|[1-9]\d*))\.0+$"
"""A whole number as it is written where its column has a gap; 007.0 and 1.10 are names of their own."""
LARGEST = float(np.finfo(np.float32).max)
YEARS = (1500, 2500)
"""Other years are taken for a number that looks like a date."""


class Place(NamedTuple):
    """The origin of some rows: `rows` (n,) counts from 0 below the header, blank lines too."""

    source: str | Path
    rows: np.ndarray

    def fault(self, column: str, position: int, got: object, rule: str) -> RunError:
        """An error about one field."""
        row = int(self.rows[position]) + 1
        return RunError(f"{self.source}, row {row}, column {column} is {got!r}, {rule}")


class Given(NamedTuple):
    """What an exported network takes for the columns of a kind: the array's name and type, the shape of one value.

    about: how values are written.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    about: str


class Cells:
    """The values of a column in some rows; each way to read them is worked out once, however often it is asked for.

    missing: texts that stand for a missing value here, see `texts`. decimal: the mark before the decimals.
    """

    def __init__(self, column: "polars.Series", place: Place, missing: Sequence[str] = (), decimal: str = ".") -> None:
        self.name, self.dtype, self.place = column.name, column.dtype, place
        self._missing, self._decimal, self._forms = missing, decimal, {"column": column}
        self._whole: tuple[Cells, polars.Series] | None = None

    def filter(self, kept: "polars.Series", place: Place) -> "Cells":
        """The cells of those rows, at `place`, for which `kept` is true."""
        found = copy.copy(self)
        found.place, found._forms, found._whole = place, {}, (self, kept)
        return found

    def form(self, name: str, read: Callable[["Cells"], "polars.Series"]) -> "polars.Series":
        """What `read` makes of the cells, remembered by a name; of some of the rows by reading all of them once."""
        if name not in self._forms:
            if self._whole is None:
                self._forms[name] = read(self)
            else:
                # Asking the whole leaves the form there, for the next selection of its rows.
                whole, kept = self._whole
                self._forms[name] = whole.form(name, read).filter(kept)
        return self._forms[name]

    def settle(self) -> None:
        """Forgets the texts of numbers and the numbers of texts, so that less memory is held until all is read."""
        # What is forgotten is read again should it be asked for: a class that is written as a number is.
        if "wrong" in self._forms:
            self._forms.pop("numbers" if self.wrong.any() else "texts", None)

    @property
    def column(self) -> "polars.Series":
        """The values as they came."""
        return self.form("column", lambda cells: cells.column)

    @property
    def texts(self) -> "polars.Series":
        """The values as trimmed texts, null where missing; see `texts`."""
        return self.form("texts", lambda cells: texts(cells.column, cells._missing))

    @property
    def known(self) -> "polars.Series":
        """The values, null where missing: numbers as they are where no mark has to be looked for, else texts."""
        # Texts of numbers take longer to make than all that is done with the numbers.
        if not self.dtype.is_numeric() or self._missing:
            return self.texts
        return self.column.fill_nan(None) if self.dtype.is_float() else self.column

    @property
    def numbers(self) -> "polars.Series":
        """The values in Float64, null where missing or no number, or one with points between the thousands."""
        return self.form("numbers", Cells._numbers)

    def _numbers(self) -> "polars.Series":
        import polars

        words = self.known
        if self.dtype.is_numeric():
            # Where marks mean a missing number, `words` are texts, null for these.
            found = self.column.cast(polars.Float64).fill_nan(None)
            return found.set(words.is_null(), None)
        if self._decimal == ",":
            words = words.set(words.str.contains(GROUPED).fill_null(False), None).str.replace(",", ".", literal=True)
        return words.cast(polars.Float64, strict=False).fill_nan(None)

    @property
    def wrong(self) -> "polars.Series":
        """Which values are there and no numbers."""
        return self.form("wrong", lambda cells: cells.numbers.is_null() & cells.known.is_not_null())

    def checked_numbers(self) -> "polars.Series":
        """The numbers. Raises RunError for a value that is none and for what float32 cannot hold."""
        if self.wrong.any():
            rule = "but the column must hold numbers. Correct it, or leave it empty where it is missing."
            raise self.first_fault(self.wrong, self.known, rule)
        if (fault := self.infinity()) is not None:
            raise fault
        return self.numbers

    def infinity(self) -> RunError | None:
        """An error about the first number that float32 cannot hold, if there is one."""
        large = self.numbers.abs() > LARGEST
        rule = "but numbers must be finite. Correct it, or leave it empty where it is missing."
        return self.first_fault(large, self.numbers, rule) if large.any() else None

    def moments(self, pattern: str) -> "polars.Series":
        """The values in seconds since 1970 in Float64, null where missing or no date of the pattern."""
        return self.form(f"moments {pattern}", lambda cells: cells._moments(pattern))

    def _moments(self, pattern: str) -> "polars.Series":
        import polars

        found = self.column.cast(polars.Datetime("us")) if is_moment(self.column) else dates(self.texts, pattern)
        return found.dt.timestamp("us").cast(polars.Float64) / 1e6

    def checked_moments(self, pattern: str) -> "polars.Series":
        """The moments. Raises RunError for a value that is no date of the pattern."""
        found = self.moments(pattern)
        if not self.dtype.is_temporal() and found.null_count():
            wrong = found.is_null() & self.texts.is_not_null()
            if wrong.any():
                raise self.first_fault(wrong, self.texts, f"but its dates are written as {pattern}. Correct it.")
        return found

    def first_fault(self, wrong: "polars.Series", values: "polars.Series", rule: str) -> RunError:
        """An error about the first value that is `wrong`, shown as `values` have it."""
        position = first(wrong)
        return self.place.fault(self.name, position, values[position], rule)


class Rows(NamedTuple):
    """Some rows of a table: the cells of its columns by name, and where the rows come from."""

    cells: dict[str, Cells]
    place: Place

    def filter(self, kept: np.ndarray) -> "Rows":
        """The rows for which `kept` (n,) is true."""
        import polars

        if kept.all():
            return self
        mask, place = polars.Series(kept), Place(self.place.source, self.place.rows[kept])
        return Rows({name: cells.filter(mask, place) for name, cells in self.cells.items()}, place)


def first(mask: "polars.Series") -> int:
    """The first position at which a mask is true."""
    return int(mask.arg_true()[0])


def numbers(column: "polars.Series", place: Place) -> np.ndarray:
    """The numbers (n,) float64 of a column, nan where missing. Raises RunError for a text or an infinity."""
    import polars

    if column.dtype == polars.Boolean:
        column = column.cast(polars.Int8)
    elif not (column.dtype == polars.String or column.dtype.is_numeric()):
        raise RunError(
            f"{place.source}, column {column.name} holds {column.dtype}, which are no numbers. Leave it out."
        )
    return Cells(column, place).checked_numbers().to_numpy()


def texts(column: "polars.Series", missing: Sequence[str] = ()) -> "polars.Series":
    """The trimmed texts of a column, null where missing; whole numbers have no point.

    missing: marks of a missing value; those of MISSING count, too, unless the first mark is the empty text.
    Raises ConfigError for a column that is `unreadable`.
    """
    import polars

    if column.dtype == polars.String:
        found = column.str.strip_chars()
    elif column.dtype.is_float():
        found = _shortest(column.fill_nan(None))
    elif fault := unreadable(column):
        raise ConfigError(f"Column {column.name} {fault}.")
    else:
        found = column.cast(polars.String)
    nothing = found.is_in([*(() if tuple(missing[:1]) == NOTHING else MISSING), *missing])
    marks = [mark for mark in map(as_number, missing) if mark is not None]
    if marks:
        # A mark that is a number counts however it is written: 0, 0.0.
        nothing = nothing | found.cast(polars.Float64, strict=False).is_in(marks).fill_null(False)
    return found.set(nothing.fill_null(False), None)


def unreadable(column: "polars.Series") -> str | None:
    """What is wrong with a column of lists, structs, bytes, objects, or times without a date, and the next move."""
    import polars

    if column.dtype.is_nested() or column.dtype in (polars.Binary, polars.Object):
        return f"holds {column.dtype}, which no field of a table is. Leave it out"
    if column.dtype.is_temporal() and not is_moment(column):
        return f"holds {column.dtype}, which is neither a number nor a date. Write it in seconds, or leave it out"
    return None


def is_moment(column: "polars.Series") -> bool:
    """Whether a column holds dates, with or without a time of the day."""
    import polars

    return column.dtype in (polars.Date, polars.Datetime)


def one_spelling(words: "polars.Series") -> "polars.Series":
    """One word for one value: true and false in small letters, whole numbers without a point."""
    words = words.str.replace(POINTED, "${1}")
    return words.str.replace("(?i)^true$", "true").str.replace("(?i)^false$", "false")


def by_value(spellings: Iterable[str]) -> set[str]:
    """One spelling of each value, since the files of several programs may differ in it."""
    import polars

    # Sorted, so that which spelling stays does not hang on the order of a set, another one in every process.
    ordered = polars.Series(sorted(spellings), dtype=polars.String)
    return set(ordered.filter(one_spelling(ordered).is_first_distinct()).to_list())


def _shortest(column: "polars.Series") -> "polars.Series":
    import polars

    # From 2**53 on not every whole number is a float64: Int64 would show digits that nobody wrote.
    whole = ((column == column.round(0)) & (column.abs() < 2**53)).fill_null(False)
    return column.cast(polars.Int64, strict=False).cast(polars.String).zip_with(whole, column.cast(polars.String))


def dates(words: "polars.Series", pattern: str) -> "polars.Series":
    """The moments of trimmed texts, null where one is no date of the pattern."""
    found = moments(words, pattern)
    return found.set(~found.dt.year().is_between(*YEARS).fill_null(True), None)


def moments(words: "polars.Series", pattern: str) -> "polars.Series":
    """The moments of texts in a pattern, an hour without minutes too; null where one has another form."""
    if "%H" in pattern and "%M" not in pattern:
        # No time is read without its minutes.
        words, pattern = words + " 00", f"{pattern} %M"
    return words.str.to_datetime(pattern, strict=False, time_unit="us")


def fitting_patterns(words: "polars.Series", among: Sequence[str]) -> tuple[str, ...]:
    """The patterns among those given, out of FORMATS, in which every trimmed text of a column is a date."""
    # Reading a whole column with every pattern is slow, and nearly all fail at the first texts.
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
