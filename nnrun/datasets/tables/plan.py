"""From the keys of dataset=csv and the files to types, parts and a fitted reader, before any array is made."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.base import DataSpec
from nnrun.datasets.reader import UnseenNotes
from nnrun.datasets.tables import kinds as table_kinds
from nnrun.datasets.tables import roles as table_roles
from nnrun.datasets.tables import single_precision
from nnrun.datasets.tables import source as table_source
from nnrun.datasets.tables.columns import Category, Date, Label, Numeric
from nnrun.datasets.tables.division import Division
from nnrun.datasets.tables.fitting import Fit, NumericFit, fits, label
from nnrun.datasets.tables.kinds import Kind, Profile
from nnrun.datasets.tables.reader import TableReader, Target
from nnrun.datasets.tables.roles import Roles
from nnrun.datasets.tables.source import TableFormat
from nnrun.datasets.tables.split import TRAIN, UNUSED
from nnrun.datasets.tables.values import Place
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars

MOST_INPUTS = 20_000


@dataclass(frozen=True)
class Plan:
    """What loading needs: for every file the part (rows,) of each of its rows, the reader, and notes for the user."""

    sources: tuple[Path, ...]
    format: TableFormat
    parts: tuple[np.ndarray, ...]
    reader: TableReader
    spec: DataSpec
    notes: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Of the arrays of all parts together."""
        columns = len(self.reader.input_names) + len(self.reader.cardinalities) + len(self.reader.target_names)
        return 4 * columns * sum(int((codes != UNUSED).sum()) for codes in self.parts)

    def blocks(self) -> Iterator[tuple["polars.DataFrame", Place, np.ndarray]]:
        """The rows that are used, in the order of the files, and the part of each."""
        for source, parts in zip(self.sources, self.parts, strict=True):
            for frame, place in table_source.blocks(source, self.format):
                mine = parts[place.rows]
                used = mine != UNUSED
                yield frame.filter(used), Place(source, place.rows[used]), mine[used]


def prepare(config: Any, sources: dict[int, Path]) -> Plan:
    """Reads the files as often as needed. `sources` are by part; without one for a part it is cut from TRAIN's.

    Raises ConfigError or RunError for what does not fit.
    """
    return _Preparation(config, sources).plan()


class _Preparation:
    """The steps of `prepare`, and what they share."""

    def __init__(self, config: Any, sources: dict[int, Path]) -> None:
        self.config, self.sources = config, sources
        self.format = TableFormat(config.separator, config.encoding, config.header, config.decimal)
        self.first = sources[TRAIN]
        self.columns = table_source.column_names(self.first, self.format)
        self.roles: Roles = table_roles.assign(config, self.columns, self.first)
        self._check_roles()

    def plan(self) -> Plan:
        """All steps in order."""
        profiles = self._profiles()
        label = self._label(profiles)
        self._check_targets(profiles, label)
        kinds, left_out = self._kinds(profiles)
        parts = Division(self.config, self.sources, self.format, self.roles, profiles).parts(label)
        inputs, numbers = self._fitted(kinds, label, parts)
        reader = self._reader(inputs, left_out, label)
        targets = () if label else (len(reader.targets),) if reader.targets else None
        task = "classification" if label else "regression" if reader.targets else "reconstruction"
        classes = len(label.classes) if label else None
        spec = DataSpec("table", (len(reader.input_names),), targets, task, classes, categories=reader.cardinalities)
        notes = (*self._coarse(inputs, numbers), *self._unseen(reader, parts))
        return Plan(tuple(self.sources.values()), self.format, tuple(parts.values()), reader, spec, notes)

    def _check_roles(self) -> None:
        roles, config = self.roles, self.config
        chosen = [key for key in ("group", "time", "stratify") if getattr(roles, key) is not None]
        if len(chosen) > 1:
            raise ConfigError(
                f"dataset.{chosen[0]} and dataset.{chosen[1]} are different ways to split. Leave one of them null."
            )
        if not roles.inputs:
            raise ConfigError(
                f"{self.first} has no column left for the inputs. Name some: dataset.features=[NAME,...]."
            )
        table_kinds.check_stated(roles.types)
        for source in self.sources.values():
            columns = table_source.column_names(source, self.format)
            missing = [name for name in roles.all if name not in columns]
            if missing:
                raise ConfigError(f"{source} lacks the column {missing[0]}, which {self.first} has. Add it.")
        if config.target is None and config.without_target == "drop":
            raise ConfigError("dataset.without_target=drop needs a dataset.target.")

    def _frames(self, part: int) -> Iterator[tuple["polars.DataFrame", Place]]:
        return table_source.blocks(self.sources[part], self.format)

    def _profiles(self) -> dict[str, Profile]:
        roles = self.roles
        profiles = {
            name: Profile(name, roles.typed[name], roles.missing[name], self.config.decimal) for name in roles.all
        }
        for part in self.sources:
            for frame, place in self._frames(part):
                for name, profile in profiles.items():
                    profile.update(frame[name], place)
        return profiles

    def _label(self, profiles: dict[str, Profile]) -> Label | None:
        targets, types = self.roles.targets, self.roles.types
        if len(targets) != 1:
            for name in targets:
                stated = types.get(name, "numeric")
                if stated != "numeric" or profiles[name].other or profiles[name].is_label(self.first, stated):
                    raise ConfigError(f"Several targets must be numbers, but {name} is not. Name one dataset.target.")
            return None
        (name,), profile = targets, profiles[targets[0]]
        if not profile.filled or not profile.is_label(self.first, types.get(name)):
            return None
        return label(name, self.roles.missing[name], profile.values or set(), self.first)

    def _check_targets(self, profiles: dict[str, Profile], label: Label | None) -> None:
        for name in self.roles.targets:
            profile = profiles[name]
            if profile.filled == 0 or (not label and profile.different < 2):
                value = "empty" if profile.filled == 0 else "the same"
                raise ConfigError(
                    f"{self.first}: the target {name} is {value} in every row, so there is nothing to learn. "
                    "Name another column: dataset.target=NAME."
                )
            if profile.lacking is not None and self.config.without_target == "refuse":
                raise ConfigError(profile.lacking)

    def _kinds(self, profiles: dict[str, Profile]) -> tuple[dict[str, Kind], dict[str, str]]:
        """What each input is, and why others are none."""
        roles, config = self.roles, self.config
        kinds, left_out = {}, {}
        for name in roles.inputs:
            stated = roles.types.get(name)
            if profiles[name].counts_rows and not stated and config.features is None:
                left_out[name] = "numbers the rows"
                continue
            kind = profiles[name].input_kind(self.first, stated, config.max_categories, config.categorical)
            if kind.kind == "empty":
                left_out[name] = "is empty"
            else:
                kinds[name] = kind
        return kinds, left_out

    def _unseen(self, reader: TableReader, parts: dict[int, np.ndarray]) -> Iterator[str]:
        """Sentences about categories that files of their own have and the training part has not."""
        for part in [part for part in self.sources if part != TRAIN]:
            notes = UnseenNotes()
            for frame, place in self._frames(part):
                used = parts[part][place.rows] != UNUSED
                rows, where = frame.filter(used), Place(place.source, place.rows[used])
                notes.add(rows.height, reader.unseen(rows, where, reader.encode(rows, where, False)))
            yield from notes.sentences(self.sources[part].name)

    def _fitted(
        self, kinds: dict[str, Kind], label: Label | None, parts: dict[int, np.ndarray]
    ) -> tuple[list[Fit], list[Fit]]:
        """What the training part says of the inputs, and of targets that are numbers."""
        wanted = kinds, {name: Kind("numeric") for name in self.roles.targets if label is None}
        inputs, targets = (fits(each, self.roles, self.config.decimal, self.first) for each in wanted)
        for frame, place in self._frames(TRAIN):
            training = parts[TRAIN][place.rows] == TRAIN
            if training.any():
                rows, where = frame.filter(training), Place(self.first, place.rows[training])
                for one in (*inputs, *targets):
                    one.update(rows[one.name], where)
        return inputs, targets

    def _coarse(self, inputs: list[Fit], targets: list[Fit]) -> Iterator[str]:
        """Sentences about inputs that single precision cannot hold. Raises ConfigError for such a target."""
        for one in (*targets, *inputs):
            if not isinstance(one, NumericFit) or not single_precision.is_lost(one.range):
                continue
            if one in targets:
                raise ConfigError(single_precision.refusal(self.first, one.name, one.range))
            yield single_precision.note(self.first, one.name, self.roles.typed[one.name], one.range)

    def _reader(self, gathered: list[Fit], left_out: dict[str, str], label: Label | None) -> TableReader:
        found = {one.name: one.finish() for one in gathered}
        left_out |= {name: "is constant in the training part" for name, column in found.items() if column is None}
        numeric = tuple(column for column in found.values() if isinstance(column, Numeric))
        dates = tuple(column for column in found.values() if isinstance(column, Date))
        categories = tuple(column for column in found.values() if isinstance(column, Category))
        targets = tuple(Target(name, self.roles.missing[name]) for name in self.roles.targets if label is None)
        titled = self.columns != tuple(f"column_{i + 1}" for i in range(len(self.columns)))
        format = dataclasses.replace(self.format, header=titled)
        reader = TableReader(format, self.columns, numeric, dates, categories, label, targets, left_out)
        if not reader.inputs:
            reasons = ", ".join(f"{name} {reason}" for name, reason in left_out.items())
            raise ConfigError(f"{self.first} has no column that tells anything: {reasons}. Name a richer table.")
        if len(reader.input_names) > MOST_INPUTS:
            raise ConfigError(
                f"{self.first} makes {len(reader.input_names):,} inputs, more than {MOST_INPUTS:,}. Learn embeddings, "
                "dataset.categorical=embedding, or leave columns out: dataset.drop=[NAME,...]."
            )
        return reader
