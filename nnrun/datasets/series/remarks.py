"""What is remarkable about a series before it is learned: targets that change too little, times taken for values."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from nnrun.datasets.series.table import SeriesTable
from nnrun.datasets.series.times import irregular
from nnrun.errors import ConfigError


def constant(train: np.ndarray, columns: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that have one value in all training rows (rows, columns)."""
    return tuple(name for name, extent in zip(columns, np.ptp(train, axis=0), strict=True) if extent == 0)


def check_targets(faults: Mapping[str, str], targets: Sequence[str], named: bool) -> None:
    """Raises ConfigError with what `faults` say of targets: of one where dataset.target `named` them, else of all."""
    lost = [name for name in targets if name in faults]
    if lost and (named or len(lost) == len(targets)):
        raise ConfigError(faults[lost[0]])


def notes(table: SeriesTable, same: Iterable[str], source: str) -> tuple[str, ...]:
    """A sentence about each: rows in another order, steps of unequal length, constant columns."""
    steps = None if table.times is None else irregular(table.times, table.place)
    sorted_ = f"{source}: the rows are {table.was}, and are sorted by time."
    return (
        *([sorted_] if table.was else []),
        *([steps] if steps else []),
        *(f"{source}: column {name} is constant in the training rows." for name in same),
    )


def rising(table: SeriesTable, columns: Sequence[str], first: str, source: str) -> tuple[str, ...]:
    """A sentence where the first column of a file without dates rises from row to row, as numbers for times do."""
    if len(columns) == 1 or columns[0] != first or not (np.diff(table.values[:, 0]) > 0).all():
        return ()
    return (
        f"{source}: column {first} rises from row to row as times do, but is taken for a value. If it is the time, set "
        f"dataset.time={first}.",
    )
