"""A table from a file: csv, tsv or parquet."""

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnrun.datasets.arrays import cache as array_cache
from nnrun.datasets.arrays.cache import ArrayCache, Caching
from nnrun.datasets.base import Data, DatasetConfig, DataSpec, Folds, Scaling
from nnrun.datasets.part import Part
from nnrun.datasets.parts.scaling import fit, fit_inputs
from nnrun.datasets.parts.split import Divided
from nnrun.datasets.reader import listed
from nnrun.datasets.tables import dialect, source
from nnrun.datasets.tables import folds as table_folds
from nnrun.datasets.tables.file import stamp_of
from nnrun.datasets.tables.plan import Plan, prepare
from nnrun.datasets.tables.roles import Column
from nnrun.datasets.tables.split import TEST, TRAIN, VAL
from nnrun.errors import ConfigError, RunError
from nnrun.schema import setting

PARTS = (TRAIN, VAL, TEST)


@dataclass(frozen=True)
class CsvConfig(DatasetConfig):
    """The keys of dataset=csv."""

    path: str | None = setting(
        None, "table that is divided into parts: .csv, .tsv, .txt or .parquet", changes="examples"
    )
    train: str | None = setting(None, "instead of path, where parts have files of their own", changes="examples")
    val: str | None = setting(None, "file of the validation part; null: val_fraction of the rest", changes="examples")
    test: str | None = setting(None, "file of the test part; null: test_fraction of the rest", changes="examples")
    target: str | int | tuple[Column, ...] | None = setting(
        None,
        "column to predict, by name or by position from 1 (-1 the last), or several",
        changes="question",
    )
    features: tuple[Column, ...] | None = setting(None, "columns of the inputs; null: all others")
    drop: tuple[Column, ...] = setting((), "columns to leave out")
    stratify: str | int | None = setting(
        "auto",
        "column whose values every part has in equal proportions (numbers: their deciles); auto: the classes",
        changes="examples",
    )
    group: str | int | None = setting(
        None,
        "column whose rows of equal value stay in one part; no input",
        changes="examples",
    )
    time: str | int | None = setting(
        None,
        "column by which the oldest rows train and the newest test; no input",
        changes="examples",
    )
    anomaly: str | int | None = setting(
        None,
        "column that marks rows as normal (0, false, no, normal, inlier) or as anomalous (1, true, yes, anomaly, "
        "anomalous, abnormal, outlier), which are tested and never trained on; no input",
        changes="examples",
    )
    normal: tuple[str | int | float | bool, ...] = setting(
        (),
        "what anomaly has in normal rows, where all else means anomalous; []: one of the words for it",
        changes="examples",
    )
    types: dict | None = setting(
        None, "by column: numeric, categorical, one_hot, embedding, date, or a pattern of dates such as %d.%m.%Y"
    )
    categorical: Literal["one_hot", "embedding"] = setting("one_hot", "how categories become inputs")
    max_categories: int = setting(100, "texts of more kinds are refused unless a type is stated", least=2, most=1000)
    missing: dict | tuple[str | int | float, ...] | None = setting(
        None,
        "values that mean a missing one beside the usual (NA, ?, ...), for all columns or by column: {NAME: [0]}; "
        "[]: an empty field alone",
    )
    without_target: Literal["refuse", "drop"] = setting(
        "refuse", "what happens to rows without a target", changes="examples"
    )
    separator: dialect.Separator = setting("auto", "between fields; auto: a tab in a .tsv, else told from line 1")
    decimal: Literal[".", ","] = setting(".", "mark before the decimals")
    encoding: str = setting("utf-8", "of the text, for example latin-1")
    cache: Caching = setting("auto", "map the arrays of the parts from the cache folder; auto: from 1 GiB of them")
    header: bool | Literal["auto"] = setting("auto", "whether line 1 names the columns; auto: unless it is numbers")

    def __post_init__(self) -> None:
        for name in ("types", "missing"):
            if isinstance(value := getattr(self, name), dict):
                object.__setattr__(self, name, _Frozen(value))


class _Frozen(dict):
    """A dict as a part of a hashable config."""

    def __repr__(self) -> str:
        return repr(sorted(self.items(), key=repr))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))


class Csv(Divided):
    """Rows of a table: numbers, categories and dates in, one class or some numbers out.

    Columns are told apart by all their values, or as `types` state. Numbers are scaled, with the training mean and an
    indicator for missing ones; categories become one input each, or a learned embedding; dates become calendar
    features; a category never seen in training is all zeros; a column of text is refused. A target is classes where it
    is text or at most ten different whole numbers, each five times on average. Columns that number the rows, are empty
    or constant in training are left out, which preprocessing.json notes. Parts are drawn at random, for classes in
    equal proportions; `group` keeps groups whole, `time` tests on the newest rows. With `anomaly` the parts are drawn
    from the normal rows, and the anomalous ones join the test, for autoencoders, which learn what is normal: of several
    files those of the one that the test comes from, and none whose group is trained on.
    """

    config: CsvConfig

    @classmethod
    def for_task(cls, config: CsvConfig, tasks: Collection[str]) -> CsvConfig:
        """With a task of regression one target is a number, though a few whole numbers would be classes."""
        target, types = config.target, config.types or {}
        if (
            "Regression" not in tasks
            or target is None
            or isinstance(target, tuple)
            or types.keys() & {target, str(target)}
        ):
            return config
        return dataclasses.replace(config, types={**types, target: "numeric"})

    def task(self) -> str:
        """The task that the target calls for: classification or regression."""
        if self.config.path is None and self.config.train is None:
            return "regression"
        if self.config.anomaly is not None:
            return "reconstruction"
        if self.config.target is None:
            columns = listed(self._plan().reader.columns).partition(" ")[2]
            raise ConfigError(
                f"dataset.target must name the column to predict, one of: {columns}. To rebuild the columns without a "
                "target, set model=autoencoder."
            )
        return self.spec().task

    def spec(self) -> DataSpec:
        """The types, which need all rows; these are read once while the files stay the same. Raises ConfigError."""
        return self._plan().spec

    def load(self) -> Data:
        """The parts, filled in the order of the file. Raises RunError for a file that changes meanwhile."""
        plan = self._plan()
        parts = self._parts(plan)
        # The plan outlives this call in a cache, and with it would all cells.
        plan.files.forget()
        reader = plan.reader
        return Data(
            plan.spec,
            parts[TRAIN],
            parts[VAL],
            parts[TEST],
            *self._scalings(plan, parts[TRAIN]),
            reader.input_names,
            reader.target_names,
            reader.label.classes if reader.label else (),
            reader=reader,
            labels={"row": np.concatenate([np.flatnonzero(codes == TEST) + 1 for codes in plan.parts.values()])},
            notes=_notes(plan),
        )

    def folds(self, data: Data, count: int) -> Folds:
        """Folds in which groups stay whole, and gaps, categories and scalings are those of each one's training rows."""
        plan = self._plan()

        def scaled(division: Data) -> Data:
            inputs, targets = self._scalings(plan, division.train)
            return dataclasses.replace(division, input_scaling=inputs, target_scaling=targets)

        found = table_folds.folds(plan, data, count, self.config, _fill, scaled)
        plan.files.forget()
        return found

    def _scalings(self, plan: Plan, train: Part) -> tuple[Scaling, Scaling | None]:
        """The scalings of inputs and of targets that are numbers, fitted on these examples."""
        kind = self.config.scaling
        return _input_scaling(plan, train["inputs"], kind), fit(train["targets"], kind) if plan.reader.targets else None

    def _plan(self) -> Plan:
        sources = self._sources()
        try:
            return prepare(self.config, tuple(sources.items()), tuple(map(stamp_of, sources.values())))
        # While the config is checked nothing has been started, so a damaged file is told as a wrong setting.
        except (RunError, OSError) as error:
            raise ConfigError(str(error)) from None

    def _parts(self, plan: Plan) -> dict[int, Part]:
        """The arrays of every part, in memory or from the cache, which keeps them while files and keys are the same."""
        if not array_cache.is_wanted(self.config.cache, plan.bytes):
            return _fill(plan)
        found = {}
        for part in PARTS:
            cache = ArrayCache(array_cache.key(plan.files.paths.values(), ["table", repr(self.config), part]))
            size = plan.bytes * plan.rows(part) // sum(map(plan.rows, PARTS))
            found[part] = cache.open() or cache.fill((block for _, block in _blocks(plan, [part])), size)
        return found

    def _sources(self) -> dict[int, Path]:
        c = self.config
        if (c.path is None) == (c.train is None):
            what = "one of them" if c.path is None else "only one of them"
            raise ConfigError(
                f"dataset=csv reads dataset.path, or dataset.train where parts have files of their own: give {what}. "
                "Set for example dataset.path=houses.csv."
            )
        given = {TRAIN: "path" if c.path else "train", VAL: "val", TEST: "test"}
        named = {key: name for key in given.values() if (name := getattr(c, key)) is not None}
        found = source.existing(named)
        return {part: found[key] for part, key in given.items() if key in found}


def _notes(plan: Plan) -> tuple[str, ...]:
    """What a user may not expect of the columns."""
    reader = plan.reader
    left_out = [f"{name} {reason}" for name, reason in reader.left_out.items()]
    return (*([f"Left out: {', '.join(left_out)}."] if left_out else []), *plan.notes)


def _fill(plan: Plan) -> dict[int, Part]:
    """The arrays of every part, in memory."""
    found: dict[int, Part] = {part: {} for part in PARTS}
    filled = dict.fromkeys(PARTS, 0)
    for part, block in _blocks(plan, PARTS):
        start = filled[part]
        for name, values in block.items():
            if name not in found[part]:
                found[part][name] = np.empty((plan.rows(part), *values.shape[1:]), values.dtype)
            filled[part] = start + len(values)
            found[part][name][start : filled[part]] = values
    return found


def _blocks(plan: Plan, parts: Collection[int]) -> Iterator[tuple[int, Part]]:
    """The rows of some parts, each with its part, in the order of the files."""
    labelled = plan.spec.targets is not None or plan.spec.anomalies
    for rows, codes in plan.blocks():
        for part in parts:
            mine = codes == part
            if mine.any():
                yield part, plan.reader.encode(rows.filter(mine).cells, labelled)


def _input_scaling(plan: Plan, train: np.ndarray, kind: Any) -> Scaling:
    """The scaling of the inputs, fitted where one has a unit; zeros and ones stay as they are."""
    # Categories, marks of gaps and parts of dates are between -1 and 1 as they are.
    scaled = np.array([flag for column in plan.reader.inputs for flag in column.inputs().values()], bool)
    # Where all columns are embedded there is no input to fit.
    fitted = fit_inputs({"inputs": train}, kind if scaled.any() else "none")
    offset, scale = np.where(scaled, fitted.offset, 0), np.where(scaled, fitted.scale, 1)
    return Scaling(offset.astype(np.float32), scale.astype(np.float32))
