"""The folds of a table: gaps, scalings and known categories are those of each fold's own training rows."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from nnrun.datasets.base import LEFT_OUT, Data, Folds, Scaling
from nnrun.datasets.part import Part
from nnrun.datasets.parts.folds import apart, divide
from nnrun.datasets.tables import split
from nnrun.datasets.tables.category import Category
from nnrun.datasets.tables.plan import Plan
from nnrun.datasets.tables.range import Range
from nnrun.datasets.tables.reader import TableReader
from nnrun.datasets.tables.split import TRAIN, VAL
from nnrun.datasets.tables.values import Cells, one_spelling
from nnrun.errors import ConfigError

Fill = Callable[[Plan], dict[int, Part]]
"""The arrays of every part of a plan."""


def folds(plan: Plan, data: Data, count: int, config: Any, fill: Fill, scaled: Callable[[Data], Data]) -> Folds:
    """So many folds of a table's training and validation rows; `scaled` gives data the scalings of their own rows.

    Raises ConfigError for rows in the order of a time, which folds would learn backwards.
    """
    if config.time is not None:
        raise ConfigError(
            f"training.folds={count} would learn from rows that are later in dataset.time={config.time} than those it "
            "is tried on. Set training.folds=1, or dataset.time=null where the order of the rows tells nothing."
        )
    groups = None if config.group is None else _values(plan, str(config.group), _hashed)
    strata = None if config.stratify == "auto" else _values(plan, str(config.stratify), _stratum)

    def refit(division: Data) -> Data:
        return _forgetting(scaled(division))

    found = divide(data, count, config.seed, refit, groups, strata)
    if not _has_gaps(plan) and not plan.reader.cardinalities:
        return found
    divisions = []
    for places in found.val:
        own = _with(plan, places[places >= 0])
        own = dataclasses.replace(own, reader=_refilled(own))
        arrays = fill(own)
        divisions.append(refit(_knowing(dataclasses.replace(data, train=arrays[TRAIN], val=arrays[VAL]))))
    return apart(divisions)


def _pool(plan: Plan) -> list[tuple[int, np.ndarray]]:
    """The rows of the pool by file: those that train in the order of the files, then those that validate."""
    return [(file, np.flatnonzero(codes == part)) for part in (TRAIN, VAL) for file, codes in plan.parts.items()]


def _with(plan: Plan, held_out: np.ndarray) -> Plan:
    """The plan where these places of the pool validate, and the others train."""
    parts = {file: np.where(codes == VAL, TRAIN, codes) for file, codes in plan.parts.items()}
    start = 0
    for file, rows in _pool(plan):
        mine = held_out[(held_out >= start) & (held_out < start + len(rows))] - start
        parts[file][rows[mine]] = VAL
        start += len(rows)
    return dataclasses.replace(plan, parts=parts)


def _values(plan: Plan, name: str, read: Callable[[Cells], np.ndarray]) -> np.ndarray:
    """What `read` makes of a column, for every place of the pool."""
    found = {}
    for file, codes in plan.parts.items():
        whole: np.ndarray | None = None
        for rows in plan.files.blocks(file):
            values = read(rows.cells[name])
            whole = np.zeros(len(codes), values.dtype) if whole is None else whole
            whole[rows.place.rows] = values
        found[file] = whole
    return np.concatenate([found[file][rows] for file, rows in _pool(plan)])  # type: ignore[index]


def _hashed(cells: Cells) -> np.ndarray:
    return one_spelling(cells.texts).hash().to_numpy()


def _stratum(cells: Cells) -> np.ndarray:
    known = cells.numbers
    if known.null_count() == cells.texts.null_count() and known.n_unique() > split.MANY_NUMBERS:
        return split.binned(known.to_numpy())
    return _hashed(cells)


def _has_gaps(plan: Plan) -> bool:
    """Whether a number or a date is missing in a row of the pool."""
    columns = [column.name for column in plan.reader.inputs if not isinstance(column, Category)]
    for rows, codes in plan.blocks():
        cells = rows.filter((codes == TRAIN) | (codes == VAL)).cells
        if any(cells[name].texts.null_count() for name in columns):
            return True
    return False


def _refilled(plan: Plan) -> TableReader:
    """The reader, which puts the means of the plan's own training rows where a value is missing."""
    reader = plan.reader
    known = {column.name: Range() for column in reader.inputs}
    for rows, codes in plan.blocks():
        cells = rows.filter(codes == TRAIN).cells
        for numbers in reader.numeric:
            known[numbers.name].update(cells[numbers.name].checked_numbers().to_numpy())
        for dates in reader.dates:
            known[dates.name].update(cells[dates.name].checked_moments(dates.pattern).to_numpy())
    fills = {name: found.mean if found.count else 0.0 for name, found in known.items()}
    return dataclasses.replace(
        reader,
        numeric=tuple(dataclasses.replace(one, fill=fills[one.name]) for one in reader.numeric),
        dates=tuple(dataclasses.replace(one, fill=fills[one.name]) for one in reader.dates),
    )


def _knowing(data: Data) -> Data:
    """Embedded categories that the training rows never show are those that were never seen."""
    if "categories" not in data.train:
        return data
    known, codes = data.train["categories"], data.val["categories"].copy()
    for column in range(codes.shape[1]):
        codes[~np.isin(codes[:, column], known[:, column]), column] = 0
    return dataclasses.replace(data, val={**data.val, "categories": codes})


def _forgetting(data: Data) -> Data:
    """Inputs that are constant in the training rows tell nothing, as a category that none of them has."""
    inputs, scaling = data.train["inputs"], data.input_scaling
    constant = inputs.min(0) == inputs.max(0)
    offset, scale = np.where(constant, inputs[0], scaling.offset), np.where(constant, LEFT_OUT, scaling.scale)
    return dataclasses.replace(data, input_scaling=Scaling(offset.astype(np.float32), scale.astype(np.float32)))
