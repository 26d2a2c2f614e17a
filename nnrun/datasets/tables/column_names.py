"""Columns of a table as numbers, with errors that name file, row and column."""

from typing import TYPE_CHECKING

import numpy as np

from nnrun.datasets.tables.values import Place, checked_numbers
from nnrun.errors import RunError

if TYPE_CHECKING:
    import polars


def numbers(column: "polars.Series", place: Place) -> np.ndarray:
    """(n,) float64, nan where a value is missing. Raises RunError for a text or an infinity, with its row."""
    import polars

    if column.dtype == polars.Boolean:
        column = column.cast(polars.Int8)
    elif not (column.dtype == polars.String or column.dtype.is_numeric()):
        raise RunError(
            f"{place.source}, column {column.name} holds {column.dtype}, which are no numbers. Leave it out."
        )
    return checked_numbers(column, place).fill_null(float("nan")).to_numpy()
