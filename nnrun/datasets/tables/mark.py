"""The column of a table that marks rows as normal or as anomalous."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nnrun.datasets.parts.anomalies import counted, sentence
from nnrun.datasets.tables.roles import PLAIN
from nnrun.datasets.tables.values import Cells, as_number
from nnrun.errors import ConfigError

NORMAL = ("0", "false", "no", "normal", "inlier")
ANOMALOUS = ("1", "true", "yes", "anomaly", "anomalous", "abnormal", "outlier")
KNOWN = f"as normal ({', '.join(NORMAL)}) or as anomalous ({', '.join(ANOMALOUS)})"
"""What a mark must tell, in whatever case it is written."""
NAME = r"(is[ _.-]?)?(anomal(y|ies|ous)|outliers?|abnormal|fraud|faulty?|attack|novelty)([ _.-]?(label|flag|class))?"
"""What columns of marks are called."""
MOST_MARKS = 1000
"""A column of more different values holds no marks."""


@dataclass(frozen=True)
class Mark:
    """normal: the words that mean a normal row, all others an anomalous one; none: see KNOWN."""

    name: str
    missing: tuple[str, ...]
    normal: tuple[str, ...]

    def means(self, word: str) -> bool | None:
        """Whether a word marks its row as anomalous; None for a word that says neither."""
        if _is_among(word, self.normal or NORMAL):
            return False
        return True if self.normal or _is_among(word, ANOMALOUS) else None

    def encode(self, cells: Cells) -> np.ndarray:
        """(n,) int32, 1 for an anomalous row. Raises RunError for a mark that says neither."""
        import polars

        words = cells.texts
        found = {word: self.means(word) for word in words.drop_nulls().unique().to_list()}
        strange = [word for word, meaning in found.items() if meaning is None]
        if strange:
            rule = f"but must mark the row {KNOWN}. Correct it."
            raise cells.first_fault(words.is_in(strange).fill_null(False), words, rule)
        return words.replace_strict(found, return_dtype=polars.Int32).to_numpy()


@dataclass
class MarkFit:
    """Reads the marks of the files' rows, and counts what is written there.

    typed: how the column is written in a command; source: the file that is named.
    """

    mark: Mark
    typed: str
    source: Path
    counts: Counter[str] = field(default_factory=Counter)

    def update(self, cells: Cells) -> np.ndarray:
        """(n,) which of the next rows are anomalous, or strange. Raises RunError for a row without a mark."""
        words = cells.texts
        if words.null_count():
            rule = "but every row must be marked as normal or as anomalous. Fill it in."
            raise cells.first_fault(words.is_null(), words.fill_null(""), rule)
        counts = dict(zip(*(column.to_list() for column in words.value_counts().get_columns()), strict=True))
        self.counts.update(counts)
        if len(self.counts) > MOST_MARKS:
            # Of a column of measurements there are as many as rows.
            self.check()
        return words.is_in([word for word in counts if self.mark.means(word) is not False]).to_numpy()

    @property
    def anomalous(self) -> dict[str, int]:
        """How many rows each word marks as anomalous."""
        return {word: count for word, count in self.counts.items() if self.mark.means(word)}

    def check(self) -> None:
        """Raises ConfigError for words that say neither, for none that is normal, and for normal ones that are none."""
        held = f"column {self.mark.name} of {self.source} holds {counted(self.counts)}"
        if len(self.counts) > MOST_MARKS or None in map(self.mark.means, self.counts):
            raise ConfigError(
                f"dataset.anomaly={self.typed} must mark every row {KNOWN}, but {held}. Name another column, or, if "
                "these are marks, say which mean a normal row, and all others mean an anomalous one: "
                f"{self._normal(self.counts)}."
            )
        for word in self.mark.normal:
            if not _is_among(word, self.counts):
                raise ConfigError(
                    f"dataset.normal has {word}, but {held}. Name those of them that mean a normal row, for example "
                    f"{self._normal(self.counts)}."
                )
        if len(self.anomalous) == len(self.counts):
            raise ConfigError(
                f"dataset.anomaly={self.typed} marks every row as anomalous: {held}. A network is trained on normal "
                f"rows alone, so say which are: {self._normal(self.counts)}."
            )

    def sentence(self, tested: int, normal: int, reasons: Mapping[str, bool]) -> str:
        """What becomes of the anomalous rows; see `anomalies.sentence`."""
        marks, total = self.anomalous, self.counts.total()
        count = sum(marks.values())
        kinds = f" ({counted(marks)})" if self.mark.normal and marks else ""
        marked = f"Column {self.mark.name} marks {count or 'none'} of {total} rows as anomalous{kinds}"
        said = sentence(marked, count, tested, normal, reasons)
        if 2 * count > total:
            said += f" Most rows are anomalous: where these are the normal ones, set {self._normal(marks)}."
        return said

    def _normal(self, among: dict[str, int]) -> str:
        """The key that makes the most frequent word the normal one."""
        word = max(sorted(among), key=among.__getitem__)
        plain = PLAIN.fullmatch(word) or as_number(word) is not None
        return shlex.quote(f"dataset.normal=[{word if plain else json.dumps(word, ensure_ascii=False)}]")


def looks_like_marks(name: str, typed: str, values: Collection[str] | None) -> str | None:
    """A sentence about an input whose name and values are those of a column of marks; None for others."""
    if not re.fullmatch(NAME, name, re.IGNORECASE) or not values:
        return None
    mark = Mark(name, (), ())
    if {mark.means(word) for word in values} != {False, True}:
        return None
    return f"Column {name} is an input like any other. If it marks anomalous rows, set dataset.anomaly={typed}."


def _is_among(word: str, words: Collection[str]) -> bool:
    return _value(word) in map(_value, words)


def _value(word: str) -> float | str:
    """What is equal for two spellings of a mark."""
    number = as_number(word)
    return word.casefold() if number is None else number
