"""What the columns of a table hold: numbers, categories, dates; told from all their values unless it is stated."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from nnrun.datasets.tables import faults
from nnrun.datasets.tables.faults import Found
from nnrun.datasets.tables.notation import NOTATIONS, POINTS, Notation, first_no_date, fitting_notations
from nnrun.datasets.tables.values import (
    FORMATS,
    NOTHING,
    PADDED,
    Cells,
    by_value,
    first,
    fitting_patterns,
    texts,
    unreadable,
)
from nnrun.errors import ConfigError, RunError
from nnrun.schema import nearest

Stated = Literal["numeric", "categorical", "one_hot", "embedding", "date"]
MOST_CLASSES = 1000
FEW_NUMBERS = 10
"""A target of at most so many different whole numbers, each five times on average, is taken for classes."""
MANY_DIFFERENT = 20
"""Texts of more kinds than this, most of them different, are no categories."""

DENSE = 2
"""Unique whole numbers that leave out at most every second one count something."""
CODE = r"[A-Za-z]{1,8}[-_ ]?\d+"
"""How things are numbered: P001, sensor-17."""
NAME = (
    r"(^|[ _.-])(ids?|uuid|patient|subject|participant|person|user|customer|client)([ _.-]?(ids?|nr|no|number|code))?$"
)
"""What columns of identifiers are called."""


class Kind(NamedTuple):
    """What a column holds: numeric, one_hot, embedding, date, or empty; `pattern` is how its dates are written."""

    kind: str
    pattern: str = ""


class Profile:
    """Gathers what the values of one column can be, block by block.

    typed: how its name is written in a command. source: the file that is named where no value is to blame.
    """

    def __init__(self, name: str, typed: str, decimal: str, source: Path) -> None:
        self.name, self._typed, self._source = name, typed, source
        self._rows, self._missing_rows, self.numbers = Counter[str | Path](), Counter[str | Path](), 0
        self.whole, self.temporal, self.numeric = True, False, False
        self.values: set[str] | None = set()
        self.other: Found | None = None
        self._lacking: Found | None = None
        self.gaps = Counter[str]()
        # Whether every block has no number twice, and the bounds of all.
        self._is_unique, self._bounds = True, (np.inf, -np.inf)
        self.padded: Found | None = None
        self._padded_rows = 0
        self._infinity: RunError | None = None
        self._starts: set[float] = set()
        self._patterns: tuple[str, ...] = FORMATS
        self._notations: tuple[Notation, ...] = (POINTS, *NOTATIONS) if decimal == "," else NOTATIONS
        self._no_date: Found | None = None

    def update(self, cells: Cells) -> None:
        """Looks at the next rows. Raises ConfigError for lists, bytes, and times without a date."""
        import polars

        file = cells.place.source
        if fault := unreadable(cells.column):
            raise ConfigError(f"{file}: column {self.name} {fault}: dataset.drop=[{self._typed}].")
        words, numbers, wrong = cells.known, cells.numbers, cells.wrong
        given, wrong_ones = words.drop_nulls(), int(wrong.sum())
        self.temporal, self.numeric = cells.dtype.is_temporal(), cells.dtype.is_numeric()
        if words.null_count():
            gaps = cells.column.filter(words.is_null())
            marks = gaps.drop_nulls().str.strip_chars() if cells.dtype == polars.String else gaps[:0]
            self.gaps.update(marks.to_list())
            self.gaps[""] += len(gaps) - len(marks)
            if self._lacking is None:
                self._lacking = Found.at(cells, first(words.is_null()), self._typed)._replace(word=gaps[0])
        if cells.dtype == polars.String and (padded := words.str.contains(PADDED).fill_null(False)).any():
            self._padded_rows += int(padded.sum())
            self.padded = self.padded or Found.at(cells, first(padded), self._typed)
        if self.other is None and wrong_ones:
            self.other = Found.at(cells, first(wrong), self._typed)
        if self.other is None and len(self._starts) < 2 and len(given):
            # Two different leads over the rows of the file tell that it does not number them.
            lead = numbers - np.arange(self._rows[file], self._rows[file] + len(words))
            self._starts |= {lead.min(), lead.max()}  # type: ignore[arg-type]
        self._rows[file] += len(words)
        self._missing_rows[file] += len(words) - len(given)
        self.numbers += len(given) - wrong_ones
        self.whole = self.whole and bool((numbers == numbers.round(0)).all())
        self._infinity = self._infinity or cells.infinity()
        if self.whole and self.other is None and len(given):
            self._is_unique = self._is_unique and numbers.drop_nulls().is_unique().all()
            self._bounds = min(self._bounds[0], numbers.min()), max(self._bounds[1], numbers.max())  # type: ignore
        if self.values is not None:
            more = given.unique()
            if len(more) <= MOST_CLASSES:
                self.values |= set(texts(more, NOTHING).to_list())
            # Beyond MOST_CLASSES none are kept: a column may have as many values as rows.
            if max(len(more), len(self.values)) > MOST_CLASSES:
                self.values = None
        if self._notations and wrong_ones:
            self._notations = () if self.temporal else fitting_notations(words.filter(wrong), self._notations)
        if self._patterns and not self.temporal and len(given):
            before = self._patterns
            self._patterns = () if self.numeric else fitting_patterns(words, before)
            if not self.numeric and not self._patterns and (no_date := first_no_date(words, before)) is not None:
                self._no_date = Found.at(cells, no_date, self._typed)

    @property
    def rows(self) -> int:
        """How many rows all files have."""
        return self._rows.total()

    @property
    def filled(self) -> int:
        """The number of rows of all files in which it is not missing."""
        return self.rows - self._missing_rows.total()

    @property
    def identifier(self) -> str | None:
        """What is said of a column that looks like names of things: whole numbers of their own, or by its name."""
        low, high = self._bounds
        is_counting = self.is_numeric and self.whole and self._is_unique and self.filled > MANY_DIFFERENT
        if is_counting and self.filled <= high - low + 1 <= DENSE * self.filled:
            return faults.counter(self.name, self._typed, self.filled)
        repeats = self.different >= MANY_DIFFERENT and 2 * self.different <= self.filled
        values = [] if self.values is None else sorted(self.values)
        coded = not self.is_numeric and len(values) > 0 and all(re.fullmatch(CODE, value) for value in values)
        named = re.search(NAME, self.name, re.IGNORECASE) is not None and (self.whole or not self.is_numeric)
        if self.temporal or self._patterns or not repeats or not (coded or named):
            return None
        return faults.identifier(self.name, self._typed, self.different, MOST_CLASSES, next(iter(values), ""))

    @property
    def codes(self) -> str | None:
        """What is said of numbers with zeros in front, if there are any."""
        return faults.codes(self.padded, self._padded_rows) if self.padded and self.is_numeric else None

    @property
    def lacking(self) -> str | None:
        """What is said of a target that is missing, in the first file in which it is."""
        if self._lacking is None:
            return None
        missing, rows = (count[self._lacking.source] for count in (self._missing_rows, self._rows))
        return faults.lacking(self._lacking, missing, rows)

    @property
    def different(self) -> int:
        """How many different values there are, MOST_CLASSES + 1 for more than MOST_CLASSES."""
        return MOST_CLASSES + 1 if self.values is None else len(by_value(self.values))

    @property
    def is_numeric(self) -> bool:
        """Whether every value that is there is a number."""
        return self.other is None and self.filled > 0 and not self.temporal

    @property
    def counts_rows(self) -> bool:
        """Whether it numbers the rows from 0 or 1, except for empty ones."""
        return self.is_numeric and self.rows > 1 and 2 * self.filled > self.rows and self._starts in ({0.0}, {1.0})

    def input_kind(self, stated: str | None, most: int, categorical: str) -> Kind:
        """What it is as a column of inputs: as `stated`, or told from the values.

        Raises ConfigError for texts of more than `most` kinds.
        """
        if stated is not None:
            return self._stated(stated, categorical)
        if self.filled == 0:
            return Kind("empty")
        if self.is_numeric:
            return self._number()
        if self.temporal or self._patterns:
            return Kind("date", self._pattern())
        # Where half of the values are numbers, the texts are mistakes rather than categories.
        if 2 * self.numbers >= self.filled:
            raise ConfigError(self._mixed())
        if self._no_date is not None:
            return Kind("date", self._pattern())
        if self._notation:
            raise ConfigError(faults.written(self._odd, self._notation))
        if self._is_text(most):
            raise ConfigError(faults.text(self._odd, _about(self.different), self.filled))
        return Kind(categorical)

    def _stated(self, stated: str, categorical: str = "one_hot") -> Kind:
        if "%" in stated:
            return Kind("date", stated)
        if stated == "numeric":
            if self.other is not None:
                raise ConfigError(self._mixed())
            return self._number()
        if stated == "date":
            return Kind("date", self._pattern())
        return Kind(categorical if stated == "categorical" else stated)

    def time_kind(self, stated: str | None) -> Kind:
        """What it is as the column that rows are ordered by. Raises ConfigError unless it holds dates or numbers."""
        if stated is not None and stated != "numeric":
            return self._stated(stated)
        if self.is_numeric:
            return self._number()
        if self.temporal or self._patterns or self._no_date is not None:
            return Kind("date", self._pattern())
        raise ConfigError(faults.no_times(self._odd))

    def is_label(self, stated: str | None) -> bool:
        """Whether the column as a target means classes; else numbers. Raises ConfigError where it means neither."""
        if stated == "numeric":
            self._stated(stated)
            return False
        if stated is None and self._notation:
            raise ConfigError(faults.written(self._odd, self._notation))
        if stated is not None or not self.is_numeric:
            if 0 < self.numbers < self.filled and 2 * self.numbers >= self.filled:
                raise ConfigError(self._mixed())
            if self._is_text(MOST_CLASSES):
                raise ConfigError(faults.no_classes(self._odd, _about(self.different), self.filled))
            return True
        if self.whole and self.different <= FEW_NUMBERS and self.filled >= 5 * self.different:
            return True
        self._number()
        return False

    def _number(self) -> Kind:
        """The kind of a number. Raises RunError for an infinity."""
        if self._infinity is not None:
            raise self._infinity
        return Kind("numeric")

    def _is_text(self, most: int) -> bool:
        """Whether it holds more than `most` different values, or many that are hardly ever repeated."""
        return self.different > most or (self.different > MANY_DIFFERENT and 2 * self.different > self.filled)

    def _pattern(self) -> str:
        """How its dates are written. Raises ConfigError where that is not clear, or where one value is no date."""
        if self.temporal:
            return ""
        if self._no_date is not None:
            raise ConfigError(faults.odd(self._no_date, "holds dates, but"))
        if not self._patterns:
            raise ConfigError(faults.no_pattern(self._odd))
        # Patterns with the day in two places are left where no value had a number above 12 there.
        days = {pattern.index("%d") for pattern in self._patterns if "%d" in pattern}
        if len(days) > 1:
            raise ConfigError(faults.day_or_month(self._odd, self._patterns[0]))
        return self._patterns[0]

    @property
    def _odd(self) -> Found:
        """The first value that is no number; an empty one in row 1 where there is none."""
        return self.other or Found(self.name, self._typed, self._source, 1, "")

    def _mixed(self) -> str:
        if self._notation:
            return faults.written(self._odd, self._notation)
        return faults.odd(self._odd, "mixes numbers and texts:")

    @property
    def _notation(self) -> Notation | None:
        """How all texts are written, if they are numbers."""
        return self._notations[0] if self.other and self._notations else None


def check_stated(types: Mapping[str, str]) -> None:
    """Refuses, by a ConfigError, a type that does not exist and a pattern that no date can be written in."""
    for name, kind in types.items():
        if kind not in get_args(Stated) and "%" not in str(kind):
            raise ConfigError(
                f"dataset.types has {name}: {kind}, but a type is one of {', '.join(get_args(Stated))}, or how dates "
                f"are written, such as %d.%m.%Y. {nearest(str(kind), get_args(Stated))}"
            )


def _about(count: int) -> str:
    return f"more than {MOST_CLASSES:,}" if count > MOST_CLASSES else f"{count:,}"
