"""What the columns of a table hold: numbers, categories, dates; told from all their values unless it is stated."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from nnrun.datasets.tables import faults
from nnrun.datasets.tables.faults import Found
from nnrun.datasets.tables.notation import Notation, first_no_date, fitting_notations, notations
from nnrun.datasets.tables.values import (
    FORMATS,
    Place,
    by_value,
    fitting_patterns,
    infinity,
    known,
    numbers,
    texts,
    unreadable,
)
from nnrun.errors import ConfigError, RunError
from nnrun.schema import nearest

if TYPE_CHECKING:
    import polars

Stated = Literal["numeric", "categorical", "one_hot", "embedding", "date"]
MOST_CLASSES = 1000
FEW_NUMBERS = 10
"""A target of at most so many different whole numbers, each five times on average, is taken for classes."""
MANY_DIFFERENT = 20
"""Texts of more kinds than this, most of them different, are no categories."""


class Kind(NamedTuple):
    """What a column holds; `pattern` is how its dates are written. `empty`: nothing, in any row."""

    kind: Literal["numeric", "categorical", "one_hot", "embedding", "date", "empty"]
    pattern: str = ""


class Profile:
    """Gathers what the values of one column can be, block by block; `typed` is how its name is written in a command."""

    def __init__(self, name: str, typed: str, missing: Sequence[str], decimal: str) -> None:
        self.name, self._typed, self._missing, self._decimal = name, typed, missing, decimal
        self._rows, self._missing_rows, self.numbers = Counter[str | Path](), Counter[str | Path](), 0
        self.whole, self.temporal, self.numeric = True, False, False
        self.values: set[str] | None = set()
        self.other: Found | None = None
        self._lacking: Found | None = None
        self._infinity: RunError | None = None
        self._starts: set[float] = set()
        self._count, self._last = 0, -1
        self._patterns: tuple[str, ...] = FORMATS
        self._notations = notations(decimal)
        self._no_date: Found | None = None

    def update(self, column: "polars.Series", place: Place) -> None:
        """Looks at the next rows. Raises ConfigError for lists, bytes, and times without a date."""
        if fault := unreadable(column):
            raise ConfigError(f"{place.source}: column {self.name} {fault}: dataset.drop=[{self._typed}].")
        words = known(column, self._missing)
        found = numbers(words, (), self._decimal)
        given = words.drop_nulls()
        self._rows[place.source] += len(column)
        self._missing_rows[place.source] += len(column) - len(given)
        self.numbers += len(found) - found.null_count()
        self.temporal, self.numeric = column.dtype.is_temporal(), column.dtype.is_numeric()
        self.whole = self.whole and bool((found.drop_nulls() == found.drop_nulls().round(0)).all())
        if self.values is not None:
            self.values = _collected(self.values, given.unique())
        if self._lacking is None and words.null_count():
            self._lacking = self._at(place, words, int(words.is_null().arg_true()[0]))
        self._count_rows(found, place)
        self._infinity = self._infinity or infinity(found, place)
        wrong = found.is_null() & words.is_not_null()
        if self.other is None and wrong.any():
            self.other = self._at(place, words, int(wrong.arg_true()[0]))
        if self._notations and wrong.any():
            self._notations = () if self.temporal else fitting_notations(words.filter(wrong), self._notations)
        if self._patterns and not self.temporal and len(given):
            self._narrow(words, place)

    def _narrow(self, words: "polars.Series", place: Place) -> None:
        before = self._patterns
        self._patterns = () if self.numeric else fitting_patterns(words, before)
        if not self.numeric and not self._patterns:
            position = first_no_date(words, before)
            self._no_date = None if position is None else self._at(place, words, position)

    def _at(self, place: Place, words: "polars.Series", position: int) -> Found:
        return Found.at(place, position, self.name, self._typed, words[position])

    def _count_rows(self, found: "polars.Series", place: Place) -> None:
        """What the numbers lead by over the rows of their file, counted without blank lines."""
        self._count = 0 if place.rows[0] <= self._last else self._count
        if len(self._starts) < 2:
            lead = (found - np.arange(self._count, self._count + len(found))).drop_nulls()
            self._starts |= set(lead.unique().head(2).to_list())
        self._count, self._last = self._count + len(found), int(place.rows[-1])

    @property
    def rows(self) -> int:
        """Of all files."""
        return self._rows.total()

    @property
    def filled(self) -> int:
        """Rows of all files in which it is not missing."""
        return self.rows - self._missing_rows.total()

    @property
    def lacking(self) -> str | None:
        """Says of a target where it is missing, in the first file in which it is."""
        if self._lacking is None:
            return None
        missing, rows = (count[self._lacking.source] for count in (self._missing_rows, self._rows))
        return faults.lacking(self._lacking, missing, rows)

    @property
    def different(self) -> int:
        """Different values, MOST_CLASSES + 1 for more than MOST_CLASSES."""
        return MOST_CLASSES + 1 if self.values is None else len(by_value(self.values))

    @property
    def is_numeric(self) -> bool:
        """Whether every value that is there is a number."""
        return self.other is None and self.filled > 0 and not self.temporal

    @property
    def counts_rows(self) -> bool:
        """Whether it numbers the rows from 0 or 1, except for empty ones."""
        return self.is_numeric and self.rows > 1 and 2 * self.filled > self.rows and self._starts in ({0.0}, {1.0})

    def input_kind(self, source: str | Path, stated: str | None, most: int, categorical: str) -> Kind:
        """As a column of inputs: as `stated`, or told from the values; texts of more than `most` kinds are refused."""
        if stated is not None:
            return self._stated(source, stated, categorical)
        if self.filled == 0:
            return Kind("empty")
        if self.is_numeric:
            return self._number()
        if self.temporal or self._patterns:
            return Kind("date", self._pattern(source))
        if 2 * self.numbers >= self.filled:
            raise ConfigError(self._mixed(source))
        if self._no_date is not None:
            raise ConfigError(faults.nearly_dates(self._no_date))
        if self._notation:
            raise ConfigError(faults.written(self._odd(source), self._notation))
        if self.different > most or (self.different > MANY_DIFFERENT and 2 * self.different > self.filled):
            raise ConfigError(faults.text(self._odd(source), _about(self.different), self.filled))
        return Kind("embedding" if categorical == "embedding" else "one_hot")

    def _stated(self, source: str | Path, stated: str, categorical: str) -> Kind:
        if "%" in stated:
            return Kind("date", stated)
        if stated == "numeric":
            if self.other is not None:
                raise ConfigError(self._mixed(source))
            return self._number()
        if stated == "date":
            return Kind("date", self._pattern(source))
        if stated == "categorical":
            return Kind("embedding" if categorical == "embedding" else "one_hot")
        kind: Kind = Kind(stated)  # type: ignore[arg-type]
        return kind

    def time_kind(self, source: str | Path, stated: str | None) -> Kind:
        """As the column that rows are ordered by. Raises ConfigError unless it holds dates or numbers."""
        if stated is not None and stated != "numeric":
            return self._stated(source, stated, "")
        if self.is_numeric:
            return self._number()
        if self.temporal or self._patterns:
            return Kind("date", self._pattern(source))
        if self._no_date is not None:
            raise ConfigError(faults.nearly_dates(self._no_date))
        raise ConfigError(faults.no_times(self._odd(source)))

    def is_label(self, source: str | Path, stated: str | None) -> bool:
        """Whether the column as a target means classes; else numbers. Raises ConfigError where it means neither."""
        if stated == "numeric":
            self._stated(source, stated, "")
            return False
        if stated is None and self._notation:
            raise ConfigError(faults.written(self._odd(source), self._notation))
        if stated is not None or not self.is_numeric:
            self._check_classes(source)
            return True
        if self.whole and self.different <= FEW_NUMBERS and self.filled >= 5 * self.different:
            return True
        self._number()
        return False

    def _number(self) -> Kind:
        """Raises RunError for an infinity."""
        if self._infinity is not None:
            raise self._infinity
        return Kind("numeric")

    def _check_classes(self, source: str | Path) -> None:
        if 0 < self.numbers < self.filled and 2 * self.numbers >= self.filled:
            raise ConfigError(self._mixed(source))
        if self.different > MOST_CLASSES or (self.different > MANY_DIFFERENT and 2 * self.different > self.filled):
            raise ConfigError(faults.no_classes(self._odd(source), _about(self.different), self.filled))

    def _pattern(self, source: str | Path) -> str:
        if self.temporal:
            return ""
        if self._no_date is not None:
            raise ConfigError(faults.nearly_dates(self._no_date))
        if not self._patterns:
            raise ConfigError(faults.no_pattern(self._odd(source)))
        days = {pattern.index("%d") for pattern in self._patterns if "%d" in pattern}
        if len(days) > 1:
            raise ConfigError(faults.day_or_month(self._odd(source), self._patterns[0]))
        return self._patterns[0]

    def _odd(self, source: str | Path) -> Found:
        """The first value that is no number; an empty one in row 1 where there is none."""
        return self.other or Found(self.name, self._typed, source, 1, "")

    def _mixed(self, source: str | Path) -> str:
        odd = self._odd(source)
        return faults.written(odd, self._notation) if self._notation else faults.mixed(odd)

    @property
    def _notation(self) -> Notation | None:
        """How all texts are written, if they are numbers."""
        return self._notations[0] if self.other and self._notations else None


def check_stated(types: Mapping[str, str]) -> None:
    """Raises ConfigError for a type that does not exist and for a pattern that no date can be written in."""
    for name, kind in types.items():
        if kind not in get_args(Stated) and "%" not in str(kind):
            raise ConfigError(
                f"dataset.types has {name}: {kind}, but a type is one of {', '.join(get_args(Stated))}, or how dates "
                f"are written, such as %d.%m.%Y. {nearest(str(kind), get_args(Stated))}"
            )


def _collected(values: set[str], more: "polars.Series") -> set[str] | None:
    """With more of them, None once there are more than MOST_CLASSES."""
    together = None if len(more) > MOST_CLASSES else values | set(texts(more).to_list())
    return None if together is None or len(together) > MOST_CLASSES else together


def _about(count: int) -> str:
    return f"more than {MOST_CLASSES:,}" if count > MOST_CLASSES else f"{count:,}"
