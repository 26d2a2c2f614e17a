"""The column of a table that marks rows as normal or as anomalous."""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nnrun.datasets.parts.anomalies import KNOWN, counted, is_anomalous
from nnrun.datasets.tables.roles import PLAIN
from nnrun.datasets.tables.values import Cells, as_number
from nnrun.errors import ConfigError

MOST_MARKS = 50
"""Values of a column above which it holds no marks."""


@dataclass(frozen=True)
class Mark:
    """normal: the words that mean a normal row, all others an anomalous one; none: see `anomalies.is_anomalous`."""

    name: str
    missing: tuple[str, ...]
    normal: tuple[str, ...]

    def encode(self, cells: Cells) -> np.ndarray:
        """(n,) int32, 1 for an anomalous row. Raises RunError for a mark that says neither."""
        import polars

        words = cells.texts
        found = {word: is_anomalous(word, self.normal) for word in words.drop_nulls().unique().to_list()}
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
        return words.is_in([word for word in counts if is_anomalous(word, self.mark.normal) is not False]).to_numpy()

    @property
    def anomalous(self) -> dict[str, int]:
        """How many rows each word marks as anomalous."""
        return {word: count for word, count in self.counts.items() if is_anomalous(word, self.mark.normal)}

    def check(self) -> None:
        """Raises ConfigError for words that say neither, for none that is normal, and for normal ones that are none."""
        held = f"column {self.mark.name} of {self.source} holds {counted(self.counts)}"
        if any(is_anomalous(word, self.mark.normal) is None for word in self.counts):
            move = (
                "Name another column."
                if len(self.counts) > MOST_MARKS
                else "If these are marks, say which mean a normal row, and all others mean an anomalous one: "
                f"{self._normal(self.counts)}."
            )
            raise ConfigError(f"dataset.anomaly={self.typed} must mark every row {KNOWN}, but {held}. {move}")
        for word in self.mark.normal:
            if not any(is_anomalous(other, (word,)) is False for other in self.counts):
                raise ConfigError(
                    f"dataset.normal has {word}, but {held}. Name those of them that mean a normal row, for example "
                    f"{self._normal(self.counts)}."
                )
        if len(self.anomalous) == len(self.counts):
            raise ConfigError(
                f"dataset.anomaly={self.typed} marks every row as anomalous: {held}. A network is trained on normal "
                f"rows alone, so say which are: {self._normal(self.counts)}."
            )

    def sentence(self, tested: int, normal: int, reasons: Sequence[str]) -> str:
        """What becomes of the anomalous rows, of which `tested` are in the test part, beside so many `normal` ones.

        reasons: why others may be left out.
        """
        count, total = sum(self.anomalous.values()), self.counts.total()
        which = f" ({counted(self.anomalous)})" if self.mark.normal and count else ""
        said = f"Column {self.mark.name} marks {count or 'none'} of {total} rows as anomalous{which}. "
        if tested:
            said += (
                f"{tested} of them are in the test part, beside {normal} normal ones, none in training or validation."
            )
        else:
            said += (
                "The test part has none to find, so there is no auroc. A file that has some: nnrun evaluate RUN FILE."
            )
        if tested < count:
            said += f" {count - tested} are left out, because {' or '.join(reasons)}."
        if 2 * count > total:
            said += f" Most rows are anomalous: where these are the normal ones, set {self._normal(self.anomalous)}."
        return said

    def _normal(self, among: dict[str, int]) -> str:
        """The key that makes the most frequent word the normal one."""
        word = max(sorted(among), key=among.__getitem__)
        plain = PLAIN.fullmatch(word) or as_number(word) is not None
        return shlex.quote(f"dataset.normal=[{word if plain else json.dumps(word, ensure_ascii=False)}]")
