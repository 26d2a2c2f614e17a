"""A table from a csv, tsv or parquet file as a polars frame, with errors that name file, row and column."""

import csv
import io
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnrun.datasets.tables.dialect import (
    SEPARATORS,
    Header,
    Separator,
    damage,
    decoded,
    first_line,
    names_of,
    positions,
    separator_of,
)
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


class Table(NamedTuple):
    """A frame, and of each of its rows the number (n,), counted from 0 below the header with blank lines."""

    frame: "polars.DataFrame"
    rows: np.ndarray


def read_table(
    path: str | Path,
    separator: Separator = "auto",
    encoding: str = "utf-8",
    header: Header = "auto",
    rows: int | None = None,
) -> Table:
    """The table of a file, or its first `rows`: text columns from a csv or tsv, typed ones from a parquet.

    An empty field is null. A blank line is left out, except between the rows of a single column, where it is a missing
    value. A column without a name is `column_<position>`, counted from 1.
    separator `auto`: a tab in a .tsv, else what the first line has most of; header `auto`: none where the first line
    holds numbers alone. The same unchanged file is read once.
    Raises ConfigError for a file that is missing, empty, of another kind or encoding, or without usable names, and
    RunError for a damaged line.
    """
    path = Path(path)
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}. Check dataset.path.") from None
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} must be a table: a file that ends in one of {', '.join(SUFFIXES)}.")
    table = _cached(path, found.st_mtime_ns, found.st_size, separator, encoding, header, rows)
    if (again := path.stat()).st_mtime_ns != found.st_mtime_ns or again.st_size != found.st_size:
        raise changed(path)
    return table


def changed(path: Path) -> RunError:
    """The error for a file that something writes to meanwhile."""
    return RunError(f"{path} changed while it was read. Run the command again when nothing writes to the file.")


def check_columns(frame: "polars.DataFrame", names: tuple[str, ...], source: str | Path, key: str) -> None:
    """Raises ConfigError for the first of `names` (the value of `key`) that the table does not have."""
    from nnrun.schema import nearest

    for name in names:
        if name not in frame.columns:
            raise ConfigError(f"{source} has no column {name}, which {key} names. {nearest(name, frame.columns)}")


@lru_cache(maxsize=4)
def _cached(
    path: Path, modified: int, length: int, separator: Separator, encoding: str, header: Header, rows: int | None
) -> Table:
    if length == 0:
        raise ConfigError(f"{path} is empty. Name a table with at least a header and one row.")
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, rows)
    table = _read_text(path, separator, encoding, header, rows)
    if table.frame.height == 0:
        raise ConfigError(f"{path} has no rows below its header. Name a table with at least one row.")
    return table


def _read_parquet(path: Path, rows: int | None) -> Table:
    import polars

    try:
        frame = polars.read_parquet(path, n_rows=rows)
        return Table(frame, np.arange(frame.height))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise RunError(f"{path} is no whole parquet file: {first_line(error)}.") from None


def _read_text(path: Path, separator: Separator, encoding: str, header: Header, rows: int | None) -> Table:
    import polars

    whole = decoded(path, encoding)
    text = whole.lstrip("\r\n")
    first = text.partition("\n")[0]
    mark = separator_of(path, first) if separator == "auto" else SEPARATORS[separator]
    fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), [])
    if not any(field.strip() for field in fields):
        raise ConfigError(f"{path} holds nothing but blank lines. Name a table with at least a header and one row.")
    names = names_of(path, fields, header)
    # Without a mark of its encoding polars takes a text that begins with x^ for a compressed one.
    titled, content = names is not None, text.encode("utf-8-sig")
    try:
        frame = polars.read_csv(
            content,
            separator=mark,
            has_header=titled,
            new_columns=list(names or positions(len(fields))),
            infer_schema=False,
            n_rows=rows,
        )
    except polars.exceptions.PolarsError as error:
        raise damage(path, io.StringIO(whole, newline=""), mark, len(fields)) or RunError(
            f"{path}: {first_line(error)}."
        ) from None
    if frame.width != len(fields) or (frame.height and frame[:, -1].null_count()):
        short = damage(path, io.StringIO(whole, newline=""), mark, len(fields))
        if short is not None:
            raise short
    return without_blank_lines(frame, 0, lambda: blank_lines(io.BytesIO(content), titled, len(fields)))


def blank_lines(lines: Iterable[bytes], titled: bool, width: int) -> np.ndarray:
    """(n,) numbers of the rows that are blank lines and no rows of the table: of a single column those at its end."""
    row, quoted, found = -int(titled), False, list[int]()
    for line in lines:
        if not quoted and not line.strip(b"\r\n"):
            found.append(row)
        elif width == 1:
            found.clear()
        quoted ^= bool(line.count(b'"') % 2)
        row += not quoted
    return np.array(found, int)


def without_blank_lines(frame: "polars.DataFrame", start: int, blank: Callable[[], np.ndarray]) -> Table:
    """A frame whose first row has the number `start`; `blank` is only asked where a row has nothing but nulls."""
    import polars

    rows = np.arange(start, start + frame.height)
    empty = frame.select(polars.all_horizontal(polars.all().is_null())).to_series().to_numpy()
    if not empty.any():
        return Table(frame, rows)
    kept = ~(empty & np.isin(rows, blank()))
    return Table(frame.filter(kept), rows[kept])
