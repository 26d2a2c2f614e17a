"""A table's rows in blocks, from a file or from memory; a small file is read at once, a large one is streamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnrun.datasets.tables import dialect, file, stream
from nnrun.datasets.tables.values import Place
from nnrun.errors import ConfigError

if TYPE_CHECKING:
    import polars

BLOCK_ROWS = 65_536
LARGE = 2**26
"""How many bytes of a file make it one that is streamed."""


@dataclass(frozen=True)
class TableFormat:
    """How a text file is to be read, see `file.read_table`; decimal: the mark before decimals."""

    separator: dialect.Separator = "auto"
    encoding: str = "utf-8"
    header: dialect.Header = "auto"
    decimal: str = "."


def existing(named: dict[str, str]) -> dict[str, Path]:
    """The files that keys of the data set name. Raises ConfigError for one that is not there, or is named twice."""
    found: dict[str, Path] = {}
    for key, name in named.items():
        path = Path(name).expanduser()
        try:
            path.stat()
        except OSError as error:
            raise ConfigError(f"{path} cannot be opened: {error.strerror}. Check dataset.{key}.") from None
        if same := [other for other in found if found[other].samefile(path)]:
            raise ConfigError(
                f"dataset.{same[0]} and dataset.{key} are both {path}, but no row may be in two parts. Name another "
                f"file for dataset.{key}, or leave it out: then a share of the rows becomes that part, "
                f"dataset.{key}_fraction."
            )
        found[key] = path
    return found


def column_names(path: Path, format: TableFormat) -> tuple[str, ...]:
    """The table's columns. Raises ConfigError for a file that is missing, empty or no table."""
    if is_large(path):
        return stream.column_names(path, format)
    return tuple(file.read_table(path, format.separator, format.encoding, format.header).frame.columns)


def blocks(path: Path, format: TableFormat, size: int = BLOCK_ROWS) -> Iterator[tuple["polars.DataFrame", Place]]:
    """The rows of a file, at most `size` at a time, and where they come from.

    Raises ConfigError for a file that is no table, RunError for a damaged row and a file that changes.
    """
    if is_large(path):
        tables = stream.tables(path, format, size)
    else:
        tables = stream.cut(file.read_table(path, format.separator, format.encoding, format.header), size)
    for frame, rows in tables:
        yield frame, Place(path, rows)


def is_large(path: Path) -> bool:
    """Whether a table is streamed, because it is too large to be read at once."""
    return path.suffix.lower() in file.SUFFIXES and path.is_file() and path.stat().st_size > LARGE


def frame_of(values: object, names: tuple[str, ...]) -> "polars.DataFrame":
    """The polars frame for a data frame (polars, pandas), a dict of columns, or an array (n, columns) of `names`.

    Raises ConfigError for anything else and for an array of another width.
    """
    import polars

    if isinstance(values, polars.DataFrame):
        return values
    if isinstance(values, dict):
        return polars.DataFrame(values, strict=False)
    if hasattr(values, "columns") and hasattr(values, "__getitem__"):
        columns = {str(name): np.asarray(values[name]) for name in values.columns}
    else:
        array = np.asarray(values)
        if array.ndim != 2 or array.shape[1] != len(names):
            raise ConfigError(
                f"An array must have the {len(names)} columns {', '.join(names)} in this order, but got the shape "
                f"{array.shape}. Give a data frame with these columns instead."
            )
        columns = dict(zip(names, array.T, strict=True))
    return polars.DataFrame({name: _listed(column) for name, column in columns.items()}, strict=False)


def _listed(column: np.ndarray) -> object:
    """The values of a column: plain numbers as they are, mixed objects as texts."""
    if column.dtype.kind in "biufM":
        return column
    # NaN alone is unlike itself.
    return [None if value is None or value != value else str(value) for value in column.tolist()]
