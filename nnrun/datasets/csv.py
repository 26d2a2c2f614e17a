"""A table from a file: csv, tsv or parquet."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnrun.datasets.arrays import cache as array_cache
from nnrun.datasets.arrays.cache import ArrayCache, Caching
from nnrun.datasets.base import Data, Dataset, DatasetConfig, DataSpec, Scaling
from nnrun.datasets.part import Part
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import check_fractions
from nnrun.datasets.tables import dialect, source
from nnrun.datasets.tables import plan as table_plan
from nnrun.datasets.tables.plan import Plan
from nnrun.datasets.tables.roles import Column
from nnrun.datasets.tables.split import TEST, TRAIN, VAL
from nnrun.datasets.tables.values import Place
from nnrun.errors import ConfigError, RunError
from nnrun.schema import setting

FURTHEST = 100_000
"""Largest position of a column."""


@dataclass(frozen=True)
class CsvConfig(DatasetConfig):
    """Keys of dataset=csv."""

    path: str | None = setting(None, "table that is divided into parts: .csv, .tsv, .txt or .parquet")
    train: str | None = setting(None, "instead of path, where parts have files of their own")
    val: str | None = setting(None, "file of the validation part; null: val_fraction of the rest")
    test: str | None = setting(None, "file of the test part; null: test_fraction of the rest")
    target: str | int | tuple[Column, ...] | None = setting(
        None,
        "column to predict, by name or by position from 1 (-1 the last), or several",
        least=-FURTHEST,
        most=FURTHEST,
    )
    features: tuple[Column, ...] | None = setting(None, "columns of the inputs; null: all others")
    drop: tuple[Column, ...] = setting((), "columns to leave out")
    stratify: str | int | None = setting(
        "auto",
        "column whose values every part has in equal proportions (numbers: their deciles); auto: the classes",
        least=-FURTHEST,
        most=FURTHEST,
    )
    group: str | int | None = setting(
        None, "column whose rows of equal value stay in one part; no input", least=-FURTHEST, most=FURTHEST
    )
    time: str | int | None = setting(
        None, "column by which the oldest rows train and the newest test; no input", least=-FURTHEST, most=FURTHEST
    )
    types: dict | None = setting(
        None, "by column: numeric, categorical, one_hot, embedding, date, or a pattern of dates such as %d.%m.%Y"
    )
    categorical: Literal["one_hot", "embedding"] = setting("one_hot", "how categories become inputs")
    max_categories: int = setting(100, "texts of more kinds are refused unless a type is stated", least=2, most=1000)
    missing: dict | tuple[str | int | float, ...] | None = setting(
        None, "values that mean a missing one, for all columns or by column: {NAME: [0]}"
    )
    without_target: Literal["refuse", "drop"] = setting("refuse", "what happens to rows without a target")
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


class Csv(Dataset):
    """Rows of a table: numbers, categories and dates in, one class or some numbers out.

    Columns are told apart by all their values, or as `types` state. Numbers are scaled, with the training mean and an
    indicator for missing ones; categories become one input each, or a learned embedding; dates become calendar
    features; a category never seen in training is all zeros; a column of text is refused. A target is classes where it
    is text or at most ten different whole numbers, each five times on average. Columns that number the rows, are empty
    or constant in training are left out, which preprocessing.json notes. Parts are drawn at random, for classes in
    equal proportions; `group` keeps groups whole, `time` tests on the newest rows.
    """

    config: CsvConfig

    def __init__(self, config: CsvConfig) -> None:
        check_fractions(config)
        self.config = config

    def task(self) -> str:
        """classification or regression, as the target is."""
        if self.config.path is None and self.config.train is None:
            return "regression"
        if self.config.target is None:
            columns = ", ".join(self._plan().reader.columns)
            raise ConfigError(
                f"dataset.target must name the column to predict, one of: {columns}. Without a target set for example "
                "model=autoencoder."
            )
        return self.spec().task

    def spec(self) -> DataSpec:
        """Types and parts need all rows, which are read once while the files do not change. Raises ConfigError."""
        return self._plan().spec

    def load(self) -> Data:
        """Fills the parts in the order of the file. Raises RunError for a file that changes meanwhile."""
        plan = self._plan()
        parts = self._parts(plan)
        reader, kind = plan.reader, self.config.scaling
        numbers = bool(reader.targets)
        return Data(
            plan.spec,
            parts[TRAIN],
            parts[VAL],
            parts[TEST],
            _input_scaling(plan, parts[TRAIN]["inputs"], kind),
            fit(parts[TRAIN]["targets"], kind) if numbers else None,
            reader.input_names,
            reader.target_names,
            reader.label.classes if reader.label else (),
            reader=reader,
            labels={"row": np.concatenate([np.flatnonzero(codes == TEST) + 1 for codes in plan.parts])},
            notes=_notes(plan),
        )

    def _plan(self) -> Plan:
        sources = self._sources()
        try:
            return _prepared(self.config, tuple(sources.items()), tuple(map(_stamp, sources.values())))
        except RunError as error:
            raise ConfigError(str(error)) from None

    def _parts(self, plan: Plan) -> dict[int, Part]:
        """Arrays in memory, or from the cache, where they are converted once while the files and keys are the same."""
        if not array_cache.is_wanted(self.config.cache, plan.bytes):
            return _fill(plan)
        found, counts = {}, _counts(plan)
        for part, count in counts.items():
            cache = ArrayCache(array_cache.key(plan.sources, ["table", repr(self.config), part]))
            size = plan.bytes * count // sum(counts.values())
            found[part] = cache.open() or cache.fill(_blocks(plan, part), size)
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
    filled = [column.name for column in reader.inputs if column.indicator]
    return (
        *([f"Left out: {', '.join(left_out)}."] if left_out else []),
        *([f"With missing values, each marked by an input of its own: {', '.join(filled)}."] if filled else []),
        *plan.notes,
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells whether a file was changed."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _prepared(config: CsvConfig, sources: tuple[tuple[int, Path], ...], stamps: Any) -> Plan:
    return table_plan.prepare(config, dict(sources))


def _counts(plan: Plan) -> dict[int, int]:
    """Rows of each part."""
    return {part: sum(int((codes == part).sum()) for codes in plan.parts) for part in (TRAIN, VAL, TEST)}


def _fill(plan: Plan) -> dict[int, Part]:
    """Each part's arrays."""
    counts = _counts(plan)
    found: dict[int, Part] = {part: {} for part in counts}
    filled = dict.fromkeys(counts, 0)
    for frame, place, codes in plan.blocks():
        block = plan.reader.encode(frame, place, plan.spec.targets is not None)
        for part, arrays in found.items():
            mine = codes == part
            start, end = filled[part], filled[part] + int(mine.sum())
            for name, values in block.items():
                target = arrays.setdefault(name, np.empty((counts[part], *values.shape[1:]), values.dtype))
                target[start:end] = values[mine]
            filled[part] = end
    return found


def _blocks(plan: Plan, part: int) -> Iterator[Part]:
    """The rows of a part, in the order of the files."""
    for frame, place, codes in plan.blocks():
        mine = codes == part
        yield plan.reader.encode(
            frame.filter(mine), Place(place.source, place.rows[mine]), plan.spec.targets is not None
        )


def _input_scaling(plan: Plan, train: np.ndarray, kind: Any) -> Scaling:
    """Fitted where an input has a unit; zeros and ones stay as they are."""
    scaled = np.array([flag for column in plan.reader.inputs for flag in column.scaled()], bool)
    if not scaled.any():
        return Scaling(np.zeros(len(scaled), np.float32), np.ones(len(scaled), np.float32))
    fitted = fit(train, kind)
    offset, scale = np.where(scaled, fitted.offset, 0), np.where(scaled, fitted.scale, 1)
    return Scaling(offset.astype(np.float32), scale.astype(np.float32))
