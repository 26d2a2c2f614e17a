"""Columns as a network takes them: what was fitted on the training part, and how values become inputs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnrun.datasets.reader import Unseen
from nnrun.datasets.tables.values import Place, checked_moments, checked_numbers, one_spelling, texts

if TYPE_CHECKING:
    import polars

DAY, YEAR = 86_400.0, 365.2425 * 86_400.0
"""Seconds."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DatePart = Literal["years", "season", "weekday", "hour"]


@dataclass(frozen=True)
class Numeric:
    """Numbers. A missing value becomes the training mean `fill`; where the training part had some, a second input is 1.

    missing: texts that stand for a missing value here, beside the usual ones.
    """

    name: str
    missing: tuple[str, ...]
    decimal: str
    fill: float
    indicator: bool

    def names(self) -> tuple[str, ...]:
        """One per input."""
        return (self.name, *_indicator(self))

    def scaled(self) -> tuple[bool, ...]:
        """Which inputs are measured in a unit; the others are 0 or 1, or lie between -1 and 1."""
        return (True, *[False] * self.indicator)

    def encode(self, column: "polars.Series", place: Place) -> list[np.ndarray]:
        """One array (n,) per input. Raises RunError for a text that is no number."""
        found = checked_numbers(column, place, self.missing, self.decimal)
        return [found.fill_null(self.fill).to_numpy(), *_marks(self, found)]


@dataclass(frozen=True)
class Date:
    """Moments as calendar features.

    years since the training mean `fill`; season: sine and cosine of the position in the year; weekday: seven inputs;
    hour: sine and cosine of the position in the day. A missing date becomes `fill`.
    """

    name: str
    missing: tuple[str, ...]
    pattern: str
    fill: float
    indicator: bool
    parts: tuple[DatePart, ...]

    def names(self) -> tuple[str, ...]:
        """One per input."""
        endings = {
            "years": ["years"],
            "season": ["season_sin", "season_cos"],
            "weekday": WEEKDAYS,
            "hour": ["hour_sin", "hour_cos"],
        }
        return (*(f"{self.name}_{ending}" for part in self.parts for ending in endings[part]), *_indicator(self))

    def scaled(self) -> tuple[bool, ...]:
        """Only the years have a unit."""
        return tuple(name == f"{self.name}_years" for name in self.names())

    def encode(self, column: "polars.Series", place: Place) -> list[np.ndarray]:
        """One array (n,) per input. Raises RunError for a text that is no date."""
        found = checked_moments(column, self.pattern, place, self.missing)
        seconds = found.fill_null(self.fill).to_numpy()
        return [*(array for part in self.parts for array in self._part(part, seconds)), *_marks(self, found)]

    def _part(self, part: DatePart, seconds: np.ndarray) -> list[np.ndarray]:
        if part == "years":
            return [(seconds - self.fill) / YEAR]
        if part == "weekday":
            return [(weekday(seconds) == day).astype(np.float32) for day in range(7)]
        angle = 2 * np.pi * seconds / (YEAR if part == "season" else DAY)
        return [np.sin(angle), np.cos(angle)]


@dataclass(frozen=True)
class Category:
    """Texts of a few kinds: an input of 0 or 1 per category, or its number for a learned embedding.

    A category that the training part never had is all zeros, or the number 0. A missing value counts as a category of
    its own where the training part had some, else as never seen.
    """

    name: str
    missing: tuple[str, ...]
    categories: tuple[str, ...]
    indicator: bool
    embedded: bool

    def names(self) -> tuple[str, ...]:
        """One per input, none for an embedding."""
        return () if self.embedded else (*(f"{self.name}={one}" for one in self.categories), *_indicator(self))

    def scaled(self) -> tuple[bool, ...]:
        """None has a unit."""
        return (False,) * len(self.names())

    @property
    def cardinality(self) -> int:
        """Numbers that `codes` may give."""
        return 1 + len(self.categories) + self.indicator

    def codes(self, column: "polars.Series") -> np.ndarray:
        """(n,) int32: 0 never seen, 1... the categories, last the missing values."""
        words = texts(column, self.missing)
        found = self._places(words)
        return found.set(words.is_null(), self.cardinality - 1 if self.indicator else 0).to_numpy()

    def unseen(self, column: "polars.Series", place: Place) -> Unseen | None:
        """The values, other than missing ones, that are no known category."""
        words = texts(column, self.missing)
        wrong = words.is_not_null() & (self._places(words) == 0)
        if not wrong.any():
            return None
        position = int(wrong.arg_true()[0])
        return Unseen(int(wrong.sum()), int(place.rows[position]) + 1, words[position])

    def _places(self, words: "polars.Series") -> "polars.Series":
        """Of each word among the categories, from 1: as it is, or else by its value where only one category has it."""
        import polars

        known = polars.Series(self.categories, dtype=polars.String)
        places = polars.Series(range(1, 1 + len(known)), dtype=polars.Int32)
        found = words.replace_strict(known, places, default=0, return_dtype=polars.Int32)
        if (found > 0).all():
            return found
        values = one_spelling(known)
        alone = values.is_unique()
        others = one_spelling(words).replace_strict(
            values.filter(alone), places.filter(alone), default=0, return_dtype=polars.Int32
        )
        return found.zip_with(found > 0, others)

    def encode(self, column: "polars.Series", place: Place) -> list[np.ndarray]:
        """One array (n,) per input."""
        if self.embedded:
            return []
        codes = self.codes(column)
        return [(codes == code).astype(np.float32) for code in range(1, self.cardinality)]


@dataclass(frozen=True)
class Label:
    """The class to be told."""

    name: str
    missing: tuple[str, ...]
    classes: tuple[str, ...]

    def encode(self, column: "polars.Series", place: Place) -> np.ndarray:
        """(n,) int32 numbers of the classes. Raises RunError for a class the network does not know."""
        found = Category(self.name, self.missing, self.classes, False, True).codes(column) - 1
        if len(found) and found.min() < 0:
            position = int(np.argmin(found))
            known = f"{len(self.classes)} classes" if len(self.classes) > 10 else ", ".join(self.classes)
            raise place.fault(self.name, position, column[position], f"but the classes are: {known}.")
        return found


Input = Numeric | Date | Category


def weekday(seconds: np.ndarray) -> np.ndarray:
    """0 for Monday; 1 January 1970 was a Thursday."""
    return (np.floor(seconds / DAY) + 3) % 7


def _indicator(column: Input) -> list[str]:
    return [f"{column.name}_missing"] if column.indicator else []


def _marks(column: Input, found: "polars.Series") -> list[np.ndarray]:
    return [found.is_null().to_numpy().astype(np.float32)] if column.indicator else []
