"""Columns whose values single precision, in which networks compute, cannot tell apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnrun.datasets.parts.scaling import moments

SHARE = 1e-3
"""Of a column's standard deviation, which two neighbouring numbers of single precision may be apart at most."""


def is_coarse(largest: np.ndarray | float, deviation: np.ndarray | float) -> np.ndarray:
    """Whether single precision is too coarse at values of this magnitude for columns of this standard deviation."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.spacing(np.asarray(largest, np.float32)) > SHARE * np.asarray(deviation))


def remarks(values: np.ndarray, names: Sequence[str], source: str | Path) -> dict[str, str]:
    """Name -> a sentence, of the columns (..., columns) that vary too little for their size; not of constant ones."""
    rows = values.reshape(-1, values.shape[-1])
    mean, deviation = moments(rows)
    coarse = is_coarse(np.maximum(rows.max(axis=0), -rows.min(axis=0)), deviation)
    return {
        names[i]: (
            f"{source}: column {names[i]} varies by {deviation[i]:.3g} around {mean[i]:.7g}, but single precision "
            f"keeps about 7 digits. Subtract a constant from it, for example {mean[i]:.7g}."
        )
        for i in np.flatnonzero(coarse & (np.ptp(rows, axis=0) > 0)).tolist()
    }
