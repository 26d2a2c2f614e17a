"""Large numbers that vary so little that single precision, in which networks compute, cannot tell them apart."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnrun.datasets.parts.scaling import moments
from nnrun.datasets.tables.range import Range

SHARE = 1e-3
"""How far apart two neighbouring numbers of single precision may be at most, as a share of the standard deviation."""


def remarks(values: np.ndarray, names: Sequence[str], source: str | Path) -> dict[str, str]:
    """Sentences by name about each column (..., columns) that varies too little for its size, unless it is constant."""
    rows = values.reshape(-1, values.shape[-1])
    mean, deviation = moments(rows)
    coarse = _is_coarse(np.maximum(rows.max(axis=0), -rows.min(axis=0)), deviation)
    return {
        names[i]: (
            f"{source}: column {names[i]} varies by {deviation[i]:.3g} around {mean[i]:.7g}, but single precision "
            f"keeps about 7 digits. Subtract a constant from it, for example {mean[i]:.7g}."
        )
        for i in np.flatnonzero(coarse & (np.ptp(rows, axis=0) > 0)).tolist()
    }


def is_lost(values: Range) -> bool:
    """Whether single precision is too coarse at the largest of the values."""
    return values.varies and bool(_is_coarse(max(abs(values.low), abs(values.high)), values.std))


def remark(column: str, is_lost: str, values: Range, instead: str) -> str:
    """A sentence about a column of which much is, or would be, lost, with what else can be done about it."""
    # A round number below all values, not further from them than they are from each other.
    step = 10.0 ** math.floor(math.log10(values.high - values.low))
    constant = math.floor(values.low / step) * step
    return (
        f"{column} varies by {values.std:.3g} around {values.mean:.10g}, but single precision keeps about 7 digits, so "
        f"much of what it tells {is_lost}: subtract a constant from it, for example {constant:.15g}, or {instead}."
    )


def _is_coarse(largest: np.ndarray | float, deviation: np.ndarray | float) -> np.ndarray:
    """Whether single precision is too coarse at values of this magnitude for columns of this standard deviation."""
    # A number beyond float32 becomes infinite here, and is refused elsewhere.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.spacing(np.asarray(largest, np.float32)) > SHARE * np.asarray(deviation))
