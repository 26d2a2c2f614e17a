"""Dividing a table's rows by what its columns say: classes, groups, times."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnrun.datasets.parts import anomalies
from nnrun.datasets.parts.split import FEWEST, share, streams
from nnrun.datasets.tables import split
from nnrun.datasets.tables.files import Files
from nnrun.datasets.tables.kinds import Profile
from nnrun.datasets.tables.roles import Roles
from nnrun.datasets.tables.split import TEST, TRAIN, UNUSED, VAL, Fractions
from nnrun.datasets.tables.values import Cells, one_spelling
from nnrun.errors import ConfigError


class TableDivision:
    """Divides the rows of a data set's files by what their columns say.

    usable: by file which rows have their targets and are not anomalous; anomalous: which are, where rows are marked.
    """

    def __init__(
        self,
        config: Any,
        files: Files,
        roles: Roles,
        profiles: dict[str, Profile],
        usable: dict[int, np.ndarray],
        anomalous: dict[int, np.ndarray],
    ) -> None:
        self.config, self.files, self.roles, self.profiles, self.usable = config, files, roles, profiles, usable
        self.anomalous = anomalous

    def parts(self, label: str | None) -> dict[int, np.ndarray]:
        """The part (rows,) of every row by file; blank lines, those without a target and over the limit are UNUSED.

        Anomalous rows are tested, but are UNUSED in a file that is not for that, and where their group is trained on.
        label: the target where it is a class.
        """
        given, config = self.files.paths, self.config
        counts = tuple(int(self.usable[part].sum()) for part in given)
        wanted = [part for part in (VAL, TEST) if part not in given]
        for part, count in zip(given, counts, strict=True):
            fewest = FEWEST * (1 + len(wanted)) if part == TRAIN else FEWEST
            if count < fewest:
                what = "normal row" if self.anomalous else "row"
                raise ConfigError(
                    f"{given[part]} has {count} {what}{'s' * (count != 1)} to use, but needs at least {fewest}. "
                    "Name a larger table."
                )
        tested = TEST if TEST in given else TRAIN
        odd = self.anomalous.get(tested, np.zeros(len(self.usable[tested]), bool))
        limit, kept_odd = anomalies.within(config.limit, sum(counts), int(odd.sum()))
        limits = dict(zip(given, share(counts, limit), strict=True))
        rng = streams(config.seed)[1]
        fractions = Fractions(0 if VAL in given else config.val_fraction, 0 if TEST in given else config.test_fraction)
        groups = None if self.roles.group is None else self._groups(self.roles.group)
        found = {TRAIN: self._cut(label, groups, fractions, limits[TRAIN], rng)}
        for part in [part for part in given if part != TRAIN]:
            rows = np.flatnonzero(self.usable[part])
            found[part] = np.full(len(self.usable[part]), UNUSED, np.uint8)
            found[part][rng.permutation(rows)[: limits[part]]] = part
        if groups is not None and tested == TRAIN:
            odd = odd & ~np.isin(groups, groups[(found[TRAIN] == TRAIN) | (found[TRAIN] == VAL)])
        if odd.any():
            found[tested][rng.permutation(np.flatnonzero(odd))[:kept_odd]] = TEST
        return found

    def _cut(
        self, label: str | None, groups: np.ndarray | None, fractions: Fractions, limit: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The part (rows,) of every row of the first file."""
        roles, usable = self.roles, self.usable[TRAIN]
        if roles.time is not None:
            return split.by_time(usable, self._times(roles.time), fractions, limit, rng)
        if groups is not None:
            return split.by_group(usable, groups, fractions, limit, rng)
        # So many rows are not shuffled, which would need an index of all; a limit makes them few.
        if limit > split.MANY_ROWS and self.config.limit is None:
            return split.by_draws(usable, fractions, rng)
        name = roles.stratify or (label if self.config.stratify == "auto" else None)
        return split.by_chance(usable, None if name is None else self._strata(name), fractions, limit, rng)

    def _gather(self, name: str, part: int, read: Callable[[Cells], np.ndarray]) -> np.ndarray:
        """What `read` makes of the cells of a column: (rows,) by the number of the row."""
        return by_row([(rows.place.rows, read(rows.cells[name])) for rows in self.files.blocks(part)])

    def _groups(self, name: str) -> np.ndarray:
        """Equal numbers (rows,) for equal values, however they are written. Raises RunError for a missing one.

        Raises ConfigError where two files share a value.
        """

        def read(cells: Cells) -> np.ndarray:
            if cells.texts.null_count():
                rule = "but every row must have one. Fill it in."
                raise cells.first_fault(cells.texts.is_null(), cells.texts, rule)
            # Eight bytes for every row, however long the names of the groups are.
            return one_spelling(cells.texts).hash().to_numpy()

        groups = {part: self._gather(name, part, read) for part in self.files.paths}
        # Hashes, as groups are: other types would be brought to floats, which cannot hold them.
        seen = np.array([], np.uint64)
        for part, values in groups.items():
            used = values[self.usable[part] | self.anomalous.get(part, False)]
            if np.isin(used, seen).any():
                raise ConfigError(
                    f"{self.files.paths[part]} has a {name} that another file has too, so the parts are not "
                    "apart. Divide the files by groups, or leave dataset.group=null."
                )
            seen = np.concatenate([seen, np.unique(used)])
        return groups[TRAIN]

    def _strata(self, name: str) -> np.ndarray:
        profile = self.profiles[name]
        if profile.is_numeric and profile.different > split.MANY_NUMBERS:
            return split.binned(self._gather(name, TRAIN, lambda cells: cells.numbers.to_numpy()))
        return self._gather(name, TRAIN, lambda cells: cells.texts.hash().to_numpy())

    def _times(self, name: str) -> np.ndarray:
        kind = self.profiles[name].time_kind(self.roles.types.get(name))

        def read(cells: Cells) -> np.ndarray:
            found = cells.moments(kind.pattern) if kind.kind == "date" else cells.numbers
            if found.null_count():
                rule = "but every row must have a time. Fill it in."
                raise cells.first_fault(found.is_null(), cells.column, rule)
            return found.to_numpy()

        return self._gather(name, TRAIN, read)


def by_row(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The values (rows,) of every row by its number, 0 for a blank line, out of pieces of rows and values."""
    rows, values = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    found = np.zeros(int(rows[-1]) + 1, values.dtype)
    found[rows] = values
    return found
