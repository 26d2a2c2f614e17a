"""The keys of dataset=csv and the files become types, parts and a fitted reader, before any array is made."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.datasets.base import DataSpec
from nnrun.datasets.reader import UnseenNotes
from nnrun.datasets.tables import faults, kinds, roles, single_precision, source
from nnrun.datasets.tables.category import Category, CategoryFit
from nnrun.datasets.tables.date import Date, DateFit
from nnrun.datasets.tables.division import TableDivision, by_row
from nnrun.datasets.tables.files import Files
from nnrun.datasets.tables.kinds import Kind, Profile
from nnrun.datasets.tables.label import Label, LabelFit
from nnrun.datasets.tables.mark import Mark, MarkFit, looks_like_marks
from nnrun.datasets.tables.numeric import Numeric, NumericFit
from nnrun.datasets.tables.reader import TableReader, Target
from nnrun.datasets.tables.roles import hint
from nnrun.datasets.tables.source import TableFormat
from nnrun.datasets.tables.split import TEST, TRAIN, UNUSED, VAL
from nnrun.datasets.tables.values import Rows, one_spelling
from nnrun.errors import ConfigError

MOST_INPUTS = 20_000
CONSTANT = "is constant in the training part"
Fit = NumericFit | DateFit | CategoryFit


@dataclass(frozen=True)
class Plan:
    """What loading needs: for every file the part (rows,) of each of its rows, the reader, and notes for the user."""

    files: Files
    parts: dict[int, np.ndarray]
    reader: TableReader
    spec: DataSpec
    notes: tuple[str, ...]

    def rows(self, part: int) -> int:
        """How many rows a part has."""
        return sum(int((codes == part).sum()) for codes in self.parts.values())

    @property
    def bytes(self) -> int:
        """How much the arrays of all parts take together."""
        # All arrays hold float32 or int32.
        columns = (
            len(self.reader.input_names)
            + len(self.reader.cardinalities)
            + len(self.reader.target_names)
            + self.spec.anomalies
        )
        return 4 * columns * sum(int((codes != UNUSED).sum()) for codes in self.parts.values())

    def blocks(self) -> Iterator[tuple[Rows, np.ndarray]]:
        """All rows in the order of the files, and the part of each. Raises RunError for a date that is none."""
        for file, parts in self.parts.items():
            for rows in self.files.blocks(file):
                codes = parts[rows.place.rows]
                used = codes != UNUSED
                # Before the rows are divided, so that the first one of the file that is wrong is named.
                self.reader.check_dates(rows.filter(used).cells)
                yield rows, codes


@lru_cache(maxsize=4)
def prepare(config: Any, sources: tuple[tuple[int, Path], ...], stamps: tuple[tuple[int, int], ...]) -> Plan:
    """The plan for files by part; without one for a part it is cut from TRAIN's.

    A file is gone through once as long as its stamp stays the same. Raises ConfigError or RunError for what does not
    fit.
    """
    return _Preparation(config, dict(sources)).plan()


class _Preparation:
    """The steps of `prepare`, and what they share."""

    def __init__(self, config: Any, sources: dict[int, Path]) -> None:
        self.config, self.first = config, sources[TRAIN]
        self.format = TableFormat(config.separator, config.encoding, config.header, config.decimal)
        self.columns = source.column_names(self.first, self.format)
        self.roles = roles.assign(config, self.columns, self.first)
        self.files = Files(sources, self.format, self.roles)
        self._check_roles()

    def plan(self) -> Plan:
        """The plan, by all steps in order."""
        profiles, usable = self._gathered()
        labels = self._labels()
        self._check_targets(profiles, labels)
        wanted, left_out = self._kinds(profiles)
        division = TableDivision(self.config, self.files, self.roles, profiles, usable, self.anomalous)
        parts = division.parts(labels.name if labels else None)
        inputs = self._fits(wanted)
        targets = self._fits({name: Kind("numeric") for name in self.roles.targets if labels is None})
        # Nothing of the validation and test rows may get into what is fitted.
        for rows in self.files.blocks(TRAIN):
            codes = parts[TRAIN][rows.place.rows]
            training = codes == TRAIN
            if training.any():
                cells = rows.filter(training).cells
                for one in (*inputs, *targets):
                    one.update(cells[one.name])
            if labels:
                # A class that a limit alone takes out of the training part is one nevertheless.
                known = training if self.config.limit is None else usable[TRAIN][rows.place.rows]
                labels.update(rows.filter(known).cells[labels.name])
                labels.count(rows.filter(~known & (codes != UNUSED)).cells[labels.name])
        classes = labels.finish() if labels else None
        reader = self._reader(inputs, left_out, classes)
        shape = () if classes else (len(reader.targets),) if reader.targets else None
        task = "classification" if classes else "regression" if reader.targets else "reconstruction"
        count = len(classes.classes) if classes else None
        anomalies, categories = self.marks is not None, reader.cardinalities
        inputs_shape = (len(reader.input_names),)
        spec = DataSpec("table", inputs_shape, shape, task, count, anomalies=anomalies, categories=categories)
        notes = (
            *self._gaps(reader, profiles),
            *self._codes(reader, profiles),
            *self._identifiers(reader, profiles),
            *self._coarse(inputs, targets),
            *self._unseen(reader, parts, labels),
            *self._anomalies(parts, reader, profiles),
        )
        if labels and classes:
            labels.check(classes)
        return Plan(self.files, parts, reader, spec, notes)

    def _check_roles(self) -> None:
        config = self.config
        chosen = [key for key in ("group", "time", "stratify") if getattr(self.roles, key) is not None]
        if len(chosen) > 1:
            raise ConfigError(
                f"dataset.{chosen[0]} and dataset.{chosen[1]} are different ways to split. Leave one of them null."
            )
        if not self.roles.inputs:
            raise ConfigError(
                f"{self.first} has no column left for the inputs. Name some: dataset.features=[NAME,...]."
            )
        kinds.check_stated(self.roles.types)
        for path in self.files.paths.values():
            columns = source.column_names(path, self.format)
            missing = [name for name in self.roles.all if name not in columns]
            if missing:
                raise ConfigError(f"{path} lacks the column {missing[0]}, which {self.first} has. Add it.")
        if config.target is not None and config.anomaly is not None:
            raise ConfigError(
                "dataset.target asks to predict a column, dataset.anomaly to find the rows that do not belong. Leave "
                "one of them null. A column that only is to be no input is left out by dataset.drop=[NAME]."
            )
        if config.normal and config.anomaly is None:
            raise ConfigError("dataset.normal needs a dataset.anomaly, the column whose values it names.")
        if config.target is None and config.without_target == "drop":
            raise ConfigError(
                "dataset.without_target=drop leaves out rows without a target, but no dataset.target is named. Name "
                "it, or leave dataset.without_target out."
            )

    def _gathered(self) -> tuple[dict[str, Profile], dict[int, np.ndarray]]:
        """What every column holds, and by file which of its rows (rows,) have all targets and are not anomalous.

        This is the one pass over the files.
        What comes after it asks for the same cells, which are read anew only where the file is too large to be kept.
        """
        typed, decimal = self.roles.typed, self.config.decimal
        profiles = {name: Profile(name, typed[name], decimal, self.first) for name in self.roles.all}
        # Whether a target means classes is for the training file alone to say.
        self.targets = {name: Profile(name, typed[name], decimal, self.first) for name in self.roles.targets}
        self.marks, self.anomalous = self._mark_fit(), dict[int, np.ndarray]()
        usable = {}
        for part in self.files.paths:
            pieces, marked = [], []
            for rows in self.files.blocks(part):
                for name, profile in (*profiles.items(), *(self.targets.items() if part == TRAIN else ())):
                    profile.update(rows.cells[name])
                there = [rows.cells[name].known.is_not_null().to_numpy() for name in self.roles.targets]
                # Without targets np.all gives a single True, which has to be one for each row.
                pieces.append((rows.place.rows, np.all(there, axis=0) & np.ones(len(rows.place.rows), bool)))
                if self.marks:
                    marked.append((rows.place.rows, self.marks.update(rows.cells[self.marks.mark.name])))
            usable[part] = by_row(pieces) if pieces else np.zeros(0, bool)
            if marked:
                self.anomalous[part] = by_row(marked)
                usable[part] &= ~self.anomalous[part]
        if self.marks:
            self.marks.check()
        return profiles, usable

    def _mark_fit(self) -> MarkFit | None:
        if (name := self.roles.anomaly) is None:
            return None
        mark = Mark(name, self.roles.missing[name], tuple(map(str, self.config.normal)))
        return MarkFit(mark, self.roles.typed[name], self.first)

    def _labels(self) -> LabelFit | None:
        profiles, targets, types = self.targets, self.roles.targets, self.roles.types
        if len(targets) != 1:
            for name in targets:
                stated = types.get(name, "numeric")
                if stated != "numeric" or profiles[name].other or profiles[name].is_label(stated):
                    raise ConfigError(f"Several targets must be numbers, but {name} is not. Name one dataset.target.")
            return None
        name, profile = targets[0], profiles[targets[0]]
        if not profile.filled or not profile.is_label(types.get(name)):
            return None
        return LabelFit(name, self.roles.missing[name], self.first)

    def _check_targets(self, profiles: dict[str, Profile], label: LabelFit | None) -> None:
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
        """What each input holds, and why other columns are no inputs."""
        config, found, left_out = self.config, dict[str, Kind](), dict[str, str]()
        for name in self.roles.inputs:
            stated = self.roles.types.get(name)
            # By such a column a network would learn the order of the file.
            if profiles[name].counts_rows and not stated and config.features is None:
                left_out[name] = f"numbers the rows ({hint('types', self.roles.typed[name], 'numeric')} keeps it)"
                continue
            kind = profiles[name].input_kind(stated, config.max_categories, config.categorical)
            if kind.kind == "empty":
                left_out[name] = "is empty"
            else:
                found[name] = kind
        return found, left_out

    def _fits(self, wanted: Mapping[str, Kind]) -> list[Fit]:
        """What gathers the training rows of columns of these kinds."""
        found: list[Fit] = []
        for name, (kind, pattern) in wanted.items():
            marks = self.roles.missing[name]
            if kind == "numeric":
                found.append(NumericFit(name, marks, self.config.decimal))
            elif kind == "date":
                found.append(DateFit(name, marks, pattern))
            else:
                found.append(CategoryFit(name, marks, kind == "embedding", self.roles.typed[name], self.first))
        return found

    def _unseen(self, reader: TableReader, parts: dict[int, np.ndarray], labels: LabelFit | None) -> Iterator[str]:
        """Sentences about categories that only files of other parts have; their classes are counted."""
        for part in [part for part in parts if part != TRAIN]:
            notes = UnseenNotes()
            for rows in self.files.blocks(part):
                used = rows.filter(parts[part][rows.place.rows] != UNUSED)
                reader.check_dates(used.cells)
                notes.add(len(used.place.rows), reader.unseen(used.cells))
                if labels:
                    labels.count(used.cells[labels.name])
            yield from notes.sentences(self.files.paths[part].name)

    def _anomalies(
        self, parts: dict[int, np.ndarray], reader: TableReader, profiles: dict[str, Profile]
    ) -> Iterator[str]:
        """Sentences about the rows that are marked as anomalous, and about a column that may be such a mark."""
        if self.marks:
            tested = [(codes == TEST) for codes in parts.values()]
            found = sum(int(mine[self.anomalous[part]].sum()) for part, mine in zip(parts, tested, strict=True))
            reasons = {
                "the test part has a file of its own": TEST in parts,
                "validation has a file of its own": VAL in parts,
                "normal rows of their group are in training or validation": self.roles.group is not None,
                "dataset.limit keeps a part of the rows": self.config.limit is not None,
            }
            normal = sum(int(mine.sum()) for mine in tested) - found
            yield self.marks.sentence(found, normal, reasons)
            for name in [name for name, reason in reader.left_out.items() if reason == CONSTANT]:
                if moved := self._moved(name, parts):
                    yield (
                        f"Column {name} is left out, because constant in the training part, but {moved} of {found} "
                        "anomalous test rows have another value there: these can be told without a network."
                    )
        elif self.config.target is None and self.config.features is None:
            for name in [column.name for column in reader.inputs]:
                if said := looks_like_marks(name, self.roles.typed[name], profiles[name].values):
                    yield said

    def _moved(self, name: str, parts: dict[int, np.ndarray]) -> int:
        """How many anomalous test rows have a value in a column that no training row has."""
        usual, odd = set[str](), Counter[str]()
        for part, codes in parts.items():
            for rows in self.files.blocks(part):
                words = one_spelling(rows.cells[name].texts.fill_null("")).to_numpy()
                here, marked = codes[rows.place.rows], self.anomalous[part][rows.place.rows]
                usual |= set(words[here == TRAIN])
                odd.update(words[marked & (here == TEST)])
        return sum(count for word, count in odd.items() if word not in usual)

    def _gaps(self, reader: TableReader, profiles: dict[str, Profile]) -> Iterator[str]:
        """Sentences about what becomes of missing values."""
        marks = {column.name: profiles[column.name].gaps for column in reader.inputs if profiles[column.name].gaps}
        scalars = [column.name for column in reader.numeric] + [column.name for column in reader.dates]
        if filled := {name: faults.gaps(marks[name]) for name in scalars if name in marks}:
            yield faults.filled(filled)
        for column in reader.categories:
            if column.name in marks:
                yield faults.missing_category(column.name, self.roles.typed[column.name], marks[column.name])

    def _codes(self, reader: TableReader, profiles: dict[str, Profile]) -> Iterator[str]:
        """Sentences about numbers that may be codes."""
        for column in reader.numeric:
            if column.name not in self.roles.types and (said := profiles[column.name].codes) is not None:
                yield said

    def _identifiers(self, reader: TableReader, profiles: dict[str, Profile]) -> Iterator[str]:
        """Sentences about inputs that look like identifiers, where neither they nor another split were asked for."""
        if self.roles.group is None and self.roles.time is None and self.config.features is None:
            names = [column.name for column in reader.numeric] + [column.name for column in reader.categories]
            for name in names:
                if name not in self.roles.types and (said := profiles[name].identifier) is not None:
                    yield said

    def _coarse(self, inputs: list[Fit], targets: list[Fit]) -> Iterator[str]:
        """Sentences about inputs that single precision cannot hold. Raises ConfigError for such a target."""
        for one in (*targets, *inputs):
            if not isinstance(one, NumericFit) or not single_precision.is_lost(one.range):
                continue
            if one in targets:
                column, instead = f"{self.first}: the target {one.name}", "name another column, dataset.target=NAME"
                raise ConfigError(single_precision.remark(column, "would be lost", one.range, instead))
            instead = f"leave it out, dataset.drop=[{self.roles.typed[one.name]}]"
            yield single_precision.remark(f"{self.first}: column {one.name}", "is lost", one.range, instead)

    def _reader(self, gathered: list[Fit], left_out: dict[str, str], label: Label | None) -> TableReader:
        found = {one.name: one.finish() for one in gathered}
        left_out |= {name: CONSTANT for name, column in found.items() if column is None}
        numeric = tuple(column for column in found.values() if isinstance(column, Numeric))
        dates = tuple(column for column in found.values() if isinstance(column, Date))
        categories = tuple(column for column in found.values() if isinstance(column, Category))
        targets = tuple(Target(name, self.roles.missing[name]) for name in self.roles.targets if label is None)
        mark = self.marks.mark if self.marks else None
        # A new file is read as this one was: where line 1 was a row here, it is one there.
        titled = self.columns != tuple(f"column_{i + 1}" for i in range(len(self.columns)))
        format = dataclasses.replace(self.format, header=titled)
        reader = TableReader(format, self.columns, numeric, dates, categories, label, targets, left_out, mark)
        if not reader.inputs:
            reasons = ", ".join(f"{name} {reason}" for name, reason in left_out.items())
            raise ConfigError(f"{self.first} has no column that tells anything: {reasons}. Name a richer table.")
        if len(reader.input_names) > MOST_INPUTS:
            raise ConfigError(
                f"{self.first} makes {len(reader.input_names):,} inputs, more than {MOST_INPUTS:,}. Learn embeddings, "
                "dataset.categorical=embedding, or leave columns out: dataset.drop=[NAME,...]."
            )
        return reader
