"""The target of a table where it is a class: what the training rows have, and what others have beside it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nnrun.datasets.parts import classes as class_names
from nnrun.datasets.tables.category import in_order, places, places_of
from nnrun.datasets.tables.values import Cells, by_value
from nnrun.errors import ConfigError


@dataclass(frozen=True)
class Label:
    """The class to be told."""

    name: str
    missing: tuple[str, ...]
    classes: tuple[str, ...]

    def encode(self, cells: Cells) -> np.ndarray:
        """The numbers (n,) int32 of the classes. Raises RunError for a class that the network does not know."""
        import polars

        found = places(cells, self.classes).to_numpy() - 1
        if len(found) and found.min() < 0:
            known = f"{len(self.classes)} classes" if len(self.classes) > 10 else ", ".join(self.classes)
            raise cells.first_fault(polars.Series(found < 0), cells.column, f"but the classes are: {known}.")
        return found


@dataclass
class LabelFit:
    """Fits a Label on the rows of the training file, `source`, and counts what the rows of other parts have."""

    name: str
    missing: tuple[str, ...]
    source: str | Path
    spellings: set[str] = field(default_factory=set)
    others: dict[str | Path, Counter[str]] = field(default_factory=dict)

    def update(self, cells: Cells) -> None:
        """Adds training rows."""
        self.spellings |= set(cells.texts.drop_nulls().unique().to_list())

    def count(self, cells: Cells) -> None:
        """Adds rows of another part."""
        counts = cells.texts.drop_nulls().value_counts()
        words, numbers = counts.get_columns()
        found = Counter(dict(zip(words.to_list(), numbers.to_list(), strict=True)))
        self.others.setdefault(cells.place.source, Counter()).update(found)

    def finish(self) -> Label:
        """The classes of the training part. Raises ConfigError when there is only one."""
        classes = by_value(self.spellings)
        if len(classes) < 2:
            raise ConfigError(
                f"{self.source}: the target {self.name} is {''.join(classes)!r} in every training row, so there is "
                "nothing to learn. Name another column: dataset.target=NAME."
            )
        return Label(self.name, self.missing, in_order(classes))

    def check(self, label: Label) -> None:
        """Raises ConfigError where rows of other parts are of classes that the training part does not have."""
        import polars

        for source, counts in self.others.items():
            words = list(counts)
            known = places_of(polars.Series(words, dtype=polars.String), label.classes) > 0
            if lost := {word: counts[word] for word, there in zip(words, known, strict=True) if not there}:
                raise class_names.strange(f"{source}, target {self.name}", lost, label.classes, "rows")
