"""Dividing a table's rows by what its columns say: classes, groups, times."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.parts.split import FEWEST, share, streams
from nnrun.datasets.tables import source, split
from nnrun.datasets.tables.columns import Label
from nnrun.datasets.tables.kinds import Profile
from nnrun.datasets.tables.roles import Roles
from nnrun.datasets.tables.source import TableFormat
from nnrun.datasets.tables.split import TEST, TRAIN, UNUSED, VAL, Fractions
from nnrun.datasets.tables.values import Place, known, moments, numbers, one_spelling, texts
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars


class Division:
    """Gathers the columns that the split depends on, and splits."""

    def __init__(
        self,
        config: Any,
        sources: dict[int, Path],
        format: TableFormat,
        roles: Roles,
        profiles: dict[str, Profile],
    ) -> None:
        self.config, self.sources, self.format, self.roles = config, sources, format, roles
        self._profiles = profiles

    def parts(self, label: Label | None) -> dict[int, np.ndarray]:
        """By file the part (rows,) of every row; blank lines, those without a target and over the limit are UNUSED."""
        usable = {part: self._usable(part) for part in self.sources}
        counts = tuple(int(rows.sum()) for rows in usable.values())
        given = self.sources.keys()
        wanted = [part for part in (VAL, TEST) if part not in given]
        for part, count in zip(given, counts, strict=True):
            fewest = FEWEST * (1 + len(wanted)) if part == TRAIN else FEWEST
            if count < fewest:
                raise ConfigError(
                    f"{self.sources[part]} has {count} row{'s' * (count != 1)} to use, but needs at least {fewest}. "
                    "Name a larger table."
                )
        limits = dict(zip(given, share(counts, self.config.limit), strict=True))
        rng = streams(self.config.seed)[1]
        fractions = Fractions(
            self.config.val_fraction if VAL in wanted else 0, self.config.test_fraction if TEST in wanted else 0
        )
        found = {TRAIN: self._cut(label, usable, fractions, limits[TRAIN], rng)}
        for part in (VAL, TEST):
            if part in given:
                rows = np.flatnonzero(usable[part])
                found[part] = np.full(len(usable[part]), UNUSED, np.uint8)
                found[part][rng.permutation(rows)[: limits[part]]] = part
        return {part: found[part] for part in given}

    def _cut(
        self,
        label: Label | None,
        usable_by_part: dict[int, np.ndarray],
        fractions: Fractions,
        limit: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        roles, usable = self.roles, usable_by_part[TRAIN]
        if roles.time is not None:
            return split.by_time(usable, self._times(self._profiles[roles.time]), fractions, limit, rng)
        if roles.group is not None:
            groups = {part: self._hashes(roles.group, part) for part in self.sources}
            self._check_groups({part: values[usable_by_part[part]] for part, values in groups.items()})
            return split.by_group(usable, groups[TRAIN], fractions, limit, rng)
        if limit > split.MANY_ROWS and self.config.limit is None:
            return split.by_draws(usable, fractions, rng)
        name = roles.stratify or (label.name if label and self.config.stratify == "auto" else None)
        strata = None if name is None else self._strata(self._profiles[name])
        return split.by_chance(usable, strata, fractions, limit, rng)

    def _gather(self, name: str, part: int, function: Any) -> np.ndarray:
        """(rows,) what a function of a column and its place gives."""
        blocks = source.blocks(self.sources[part], self.format)
        return _by_row([(place.rows, function(frame[name], place)) for frame, place in blocks])

    def _usable(self, part: int) -> np.ndarray:
        """(rows,) whether a row has all its targets."""
        blocks = source.blocks(self.sources[part], self.format)
        return _by_row([(place.rows, self._complete(frame)) for frame, place in blocks])

    def _complete(self, frame: "polars.DataFrame") -> np.ndarray:
        found = np.ones(frame.height, bool)
        for name in self.roles.targets:
            found &= known(frame[name], self.roles.missing[name]).is_not_null().to_numpy()
        return found

    def _hashes(self, name: str, part: int) -> np.ndarray:
        """(rows,) equal numbers for equal values, however they are written. Raises RunError for a missing one."""
        marks = self.roles.missing[name]

        def hashes(column: "polars.Series", place: Place) -> np.ndarray:
            words = texts(column, marks)
            if words.null_count():
                row = int(words.is_null().arg_true()[0])
                raise place.fault(name, row, None, "but every row must have one. Fill it in.")
            return one_spelling(words).hash().to_numpy()

        return self._gather(name, part, hashes)

    def _check_groups(self, groups: dict[int, np.ndarray]) -> None:
        seen = np.array([], np.uint64)
        for part, values in groups.items():
            if np.isin(values, seen).any():
                raise ConfigError(
                    f"{self.sources[part]} has a {self.roles.group} that another file has too, so the parts are not "
                    "apart. Divide the files by groups, or leave dataset.group=null."
                )
            seen = np.concatenate([seen, np.unique(values)])

    def _strata(self, profile: Profile) -> np.ndarray:
        marks = self.roles.missing[profile.name]
        if profile.is_numeric and profile.different > split.MANY_NUMBERS:
            decimal = self.config.decimal
            return split.binned(self._gather(profile.name, TRAIN, lambda c, _: numbers(c, marks, decimal).to_numpy()))
        return self._gather(profile.name, TRAIN, lambda c, _: texts(c, marks).hash().to_numpy())

    def _times(self, profile: Profile) -> np.ndarray:
        name, marks = profile.name, self.roles.missing[profile.name]
        kind = profile.time_kind(self.sources[TRAIN], self.roles.types.get(name))

        def times(column: "polars.Series", place: Place) -> np.ndarray:
            if kind.kind == "date":
                found = moments(column, kind.pattern, marks)
            else:
                found = numbers(column, marks, self.config.decimal)
            if found.null_count():
                row = int(found.is_null().arg_true()[0])
                raise place.fault(name, row, column[row], "but every row must have a time. Fill it in.")
            return found.to_numpy()

        return self._gather(name, TRAIN, times)


def _by_row(pieces: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(rows,) the values of every row by its number, 0 for a blank line."""
    rows, values = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
    found = np.zeros(int(rows[-1]) + 1, values.dtype)
    found[rows] = values
    return found
