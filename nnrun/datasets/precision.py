"""Columns whose values single precision, in which networks compute, cannot tell apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnrun.datasets.scaling import moments

SHARE = 1e-3
"""Of a column's standard deviation, which two neighbouring numbers of single precision may be apart at most."""


def remarks(values: np.ndarray, names: Sequence[str], source: str | Path) -> dict[str, str]:
    """Name -> a sentence, of the columns (..., columns) that vary too little for their size; not of constant ones."""
    rows = values.reshape(-1, values.shape[-1])
    mean, deviation = moments(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        spacing = np.spacing(np.maximum(rows.max(axis=0), -rows.min(axis=0)).astype(np.float32))
    return {
        names[i]: (
            f"{source}: column {names[i]} varies by {deviation[i]:.3g} around {mean[i]:.7g}, but single precision "
            f"keeps about 7 digits. Subtract a constant from it, for example {mean[i]:.7g}."
        )
        for i in np.flatnonzero((spacing > SHARE * deviation) & (np.ptp(rows, axis=0) > 0)).tolist()
    }
