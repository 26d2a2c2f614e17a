"""A column of a few texts: what is fitted on the training rows, and the inputs that it gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nnrun.datasets.reader import Unseen
from nnrun.datasets.tables import gaps
from nnrun.datasets.tables.roles import hint
from nnrun.datasets.tables.values import Cells, Given, as_number, first, one_spelling
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars

MOST_ONE_HOT = 1000
MOST_EMBEDDED = 1_000_000


@dataclass(frozen=True)
class Category:
    """Texts of a few kinds: an input of 0 or 1 per category, or its number for a learned embedding.

    A category that the training part never had is all zeros, or the number 0. A missing value counts as a category of
    its own where the training part had some, else as never seen.
    """

    given: ClassVar = Given(
        "codes", "int32", (), "the place in the column's categories, from 1; -1 where missing, 0 for any other"
    )
    name: str
    missing: tuple[str, ...]
    categories: tuple[str, ...]
    indicator: bool
    embedded: bool

    def inputs(self) -> dict[str, bool]:
        """The names of the inputs, none of which is measured in a unit; an embedding has no inputs."""
        own = {f"{self.name}={one}": False for one in self.categories}
        return {} if self.embedded else own | gaps.inputs(self.name, self.indicator)

    @property
    def cardinality(self) -> int:
        """How many numbers an embedded value may have: never seen, the categories, and missing where that counts."""
        return 1 + len(self.categories) + self.indicator

    def encode(self, cells: Cells) -> list[np.ndarray]:
        """An array (n,) for every input, or the numbers (n,) of an embedding."""
        return self.traced(np, places(cells, self.categories).set(cells.texts.is_null(), -1).to_numpy())

    def traced(self, xp: Any, codes: Any) -> list[Any]:
        """The inputs, or the numbers of an embedding, made of places (n,) in the categories.

        Places count from 1, -1 is a missing value, 0 any other. `xp` is the module of the arrays, numpy or jax.numpy.
        """
        known = xp.where((codes > 0) & (codes <= len(self.categories)), codes, 0)
        numbers = xp.where((codes == -1) & self.indicator, self.cardinality - 1, known)
        # A missing value counts as the category after the last, where the training part had some.
        return [numbers] if self.embedded else [numbers == one for one in range(1, self.cardinality)]

    def unseen(self, cells: Cells) -> Unseen | None:
        """The values, other than missing ones, that are no known category."""
        wrong = cells.texts.is_not_null() & (places(cells, self.categories) == 0)
        if not wrong.any():
            return None
        position = first(wrong)
        return Unseen(int(wrong.sum()), int(cells.place.rows[position]) + 1, cells.texts[position])

    def made_up(self, random: np.random.Generator, inputs: np.ndarray) -> np.ndarray:
        """Any codes (n,), one for each row of `inputs`."""
        return random.integers(-1, len(self.categories) + 1, len(inputs))


@dataclass
class CategoryFit:
    """Fits a Category; `typed` is how the column's name is written in a command, `source` the training file."""

    name: str
    missing: tuple[str, ...]
    embedded: bool
    typed: str
    source: str | Path
    values: set[str] = field(default_factory=set)
    lacking: int = 0

    def update(self, cells: Cells) -> None:
        """Adds training rows. Raises ConfigError for more categories than a network can take."""
        self.lacking += cells.texts.null_count()
        self.values |= set(cells.texts.drop_nulls().unique().to_list())
        most = MOST_EMBEDDED if self.embedded else MOST_ONE_HOT
        if len(self.values) > most:
            learn = "" if self.embedded else f", or learn an embedding, {hint('types', self.typed, 'embedding')}"
            raise ConfigError(
                f"{self.source}: column {self.name} has more than {most:,} categories. Leave it out, "
                f"dataset.drop=[{self.typed}]{learn}."
            )

    def finish(self) -> Category | None:
        """The fitted column, or None where the training part tells nothing by it."""
        if len(self.values) + (self.lacking > 0) < 2 or not self.values:
            return None
        return Category(self.name, self.missing, in_order(self.values), self.lacking > 0, self.embedded)


def in_order(values: set[str]) -> tuple[str, ...]:
    """The values sorted: numbers by size, texts by letter."""
    if all(as_number(value) is not None for value in values):
        return tuple(sorted(values, key=lambda value: (as_number(value), value)))
    return tuple(sorted(values))


def places(cells: Cells, categories: tuple[str, ...]) -> "polars.Series":
    """The place (n,) int32 of each text among the categories, from 1; 0 where it is none of them, or missing.

    A text is taken as it is, or else by its value where only one category has it.
    """
    return cells.form("places", lambda cells: places_of(cells.texts, categories))


def places_of(words: "polars.Series", categories: tuple[str, ...]) -> "polars.Series":
    """The same of trimmed texts."""
    import polars

    known = polars.Series(categories, dtype=polars.String)
    numbers = polars.Series(range(1, 1 + len(known)), dtype=polars.Int32)
    found = words.replace_strict(known, numbers, default=0, return_dtype=polars.Int32)
    # Nearly always every text is written as in training, and the slower comparison by value is not needed.
    if (found > 0).all():
        return found
    values = one_spelling(known)
    # Two categories of one value, 1 and 1.0, cannot be told apart by it.
    alone = values.is_unique()
    by_value = one_spelling(words).replace_strict(
        values.filter(alone), numbers.filter(alone), default=0, return_dtype=polars.Int32
    )
    return found.zip_with(found > 0, by_value)
