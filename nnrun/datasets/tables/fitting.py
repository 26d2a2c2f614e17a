"""What is fitted on the training rows of a table's columns, gathered block by block."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnrun.datasets.tables.columns import DAY, Category, Date, DatePart, Label, Numeric, weekday
from nnrun.datasets.tables.kinds import Kind
from nnrun.datasets.tables.roles import Roles, hint
from nnrun.datasets.tables.values import Place, as_number, by_value, checked_moments, checked_numbers, texts
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars

MOST_ONE_HOT = 1000
MOST_EMBEDDED = 1_000_000


class Range:
    """Count, mean, standard deviation and bounds of some values, in double precision."""

    def __init__(self) -> None:
        self.count, self._total, self._squares, self.low, self.high = 0, 0.0, 0.0, math.inf, -math.inf

    def update(self, values: np.ndarray) -> None:
        """Adds values (n,), none of which is missing; the squares as Chan et al. (1979) join those of two samples."""
        if len(values):
            apart = float(values.mean(dtype=np.float64)) - (self.mean if self.count else 0.0)
            self._squares += len(values) * float(values.var(dtype=np.float64))
            self._squares += apart**2 * self.count * len(values) / (self.count + len(values))
            self.count, self._total = self.count + len(values), self._total + float(values.sum(dtype=np.float64))
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @property
    def mean(self) -> float:
        """Of all values so far."""
        return self._total / self.count

    @property
    def std(self) -> float:
        """Of all values so far."""
        return math.sqrt(self._squares / self.count)

    @property
    def varies(self) -> bool:
        """Whether two values differ."""
        return self.low < self.high


class NumericFit:
    """Fits a Numeric."""

    def __init__(self, name: str, missing: tuple[str, ...], decimal: str) -> None:
        self.name, self._missing, self._decimal = name, missing, decimal
        self._lacking, self.range = 0, Range()

    def update(self, column: "polars.Series", place: Place) -> None:
        """Adds training rows. Raises RunError for a text that is no number and for infinities."""
        found = checked_numbers(column, place, self._missing, self._decimal)
        self._lacking += found.null_count()
        self.range.update(found.drop_nulls().to_numpy())

    def finish(self) -> Numeric | None:
        """The column, or None where the training part tells nothing by it."""
        if not self.range.count or not (self.range.varies or self._lacking):
            return None
        return Numeric(self.name, self._missing, self._decimal, self.range.mean, self._lacking > 0)


class DateFit:
    """Fits a Date: the parts of the calendar that vary."""

    def __init__(self, name: str, missing: tuple[str, ...], pattern: str) -> None:
        self.name, self._missing, self._pattern = name, missing, pattern
        self._lacking, self._range = 0, Range()
        self._day, self._weekday, self._hour = Range(), Range(), Range()

    def update(self, column: "polars.Series", place: Place) -> None:
        """Adds training rows. Raises RunError for a text that is no date."""
        import polars

        found = checked_moments(column, self._pattern, place, self._missing)
        self._lacking += found.null_count()
        given = found.drop_nulls()
        seconds = given.to_numpy()
        self._range.update(seconds)
        days = (given * 1e6).cast(polars.Int64).cast(polars.Datetime("us")).dt.day()
        self._day.update(days.to_numpy())
        self._weekday.update(weekday(seconds))
        self._hour.update(seconds % DAY)

    def finish(self) -> Date | None:
        """The column, or None where the training part tells nothing by it."""
        if not self._range.count or not (self._range.varies or self._lacking):
            return None
        varying = {
            "years": True,
            "season": self._range.high - self._range.low > 2 * DAY,
            "weekday": self._day.varies and self._weekday.varies,
            "hour": self._hour.varies,
        }
        parts: list[DatePart] = [part for part, varies in varying.items() if varies]  # type: ignore[misc]
        return Date(self.name, self._missing, self._pattern, self._range.mean, self._lacking > 0, tuple(parts))


class CategoryFit:
    """Fits a Category."""

    def __init__(self, name: str, typed: str, missing: tuple[str, ...], embedded: bool, source: str | Path) -> None:
        self.name, self._typed, self._missing, self._embedded, self._source = name, typed, missing, embedded, source
        self._lacking, self._values = 0, set[str]()

    def update(self, column: "polars.Series", place: Place) -> None:
        """Adds training rows. Raises ConfigError for more categories than a network can take."""
        words = texts(column, self._missing)
        self._lacking += words.null_count()
        self._values |= set(words.drop_nulls().unique().to_list())
        most = MOST_EMBEDDED if self._embedded else MOST_ONE_HOT
        if len(self._values) > most:
            learn = "" if self._embedded else f", or learn an embedding, {hint('types', self._typed, 'embedding')}"
            raise ConfigError(
                f"{self._source}: column {self.name} has more than {most:,} categories. Leave it out, "
                f"dataset.drop=[{self._typed}]{learn}."
            )

    def finish(self) -> Category | None:
        """The column, or None where the training part tells nothing by it."""
        if len(self._values) + (self._lacking > 0) < 2 or not self._values:
            return None
        return Category(self.name, self._missing, in_order(self._values), self._lacking > 0, self._embedded)


Fit = NumericFit | DateFit | CategoryFit


def fits(kinds: Mapping[str, Kind], roles: Roles, decimal: str, source: str | Path) -> list[Fit]:
    """What gathers the columns of these kinds."""
    found: list[Fit] = []
    for name, (kind, pattern) in kinds.items():
        marks = roles.missing[name]
        if kind == "numeric":
            found.append(NumericFit(name, marks, decimal))
        elif kind == "date":
            found.append(DateFit(name, marks, pattern))
        else:
            found.append(CategoryFit(name, roles.typed[name], marks, kind == "embedding", source))
    return found


def in_order(values: set[str]) -> tuple[str, ...]:
    """Numbers by size, texts by letter."""
    if all(as_number(value) is not None for value in values):
        return tuple(sorted(values, key=lambda value: (as_number(value), value)))
    return tuple(sorted(values))


def label(name: str, missing: tuple[str, ...], spellings: set[str], source: str | Path) -> Label:
    """The classes of a target. Raises ConfigError when there is only one."""
    classes = by_value(spellings)
    if len(classes) < 2:
        raise ConfigError(
            f"{source}: the target {name} is {''.join(classes)!r} in every row, so there is nothing to learn. "
            "Name another column: dataset.target=NAME."
        )
    return Label(name, missing, in_order(classes))
