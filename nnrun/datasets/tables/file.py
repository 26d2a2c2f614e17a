"""A table from a csv, tsv or parquet file as a polars frame, with errors that name file, row and column."""

import io
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nnrun.datasets.tables.dialect import Head, Header, Separator, damage, decoded, first_line, head
from nnrun.errors import ConfigError, NnrunError, RunError

if TYPE_CHECKING:
    import polars

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


class Table(NamedTuple):
    """A frame, and the number (n,) of each of its rows, counted from 0 below the header with blank lines."""

    frame: "polars.DataFrame"
    rows: np.ndarray


def read_table(
    path: str | Path,
    separator: Separator = "auto",
    encoding: str = "utf-8",
    header: Header = "auto",
) -> Table:
    """The table of a file: text columns from a csv or tsv, typed ones from a parquet.

    An empty field is null. A blank line is left out, except between the rows of a single column, where it is a missing
    value. A column without a name is `column_<position>`, counted from 1.
    separator `auto`: a tab in a .tsv, else what the first line has most of; header `auto`: none where the first line
    holds numbers alone. The same unchanged file is read once.
    Raises ConfigError for a file that is missing, empty, of another kind or encoding, or without usable names, and
    RunError for a damaged line.
    """
    path = Path(path)
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}. Check dataset.path.") from None
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} must be a table: a file that ends in one of {', '.join(SUFFIXES)}.")
    # The stamp is part of what the cache looks for: a file that has changed since is read anew.
    table = _cached(path, stamp, separator, encoding, header)
    if stamp_of(path) != stamp:
        raise changed(path)
    return table


def stamp_of(path: Path) -> tuple[int, int]:
    """What tells whether a file was changed: its time of change and its bytes. Raises OSError where it is gone."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def changed(path: Path) -> RunError:
    """The error for a file that something writes to meanwhile."""
    return RunError(f"{path} changed while it was read. Run the command again when nothing writes to the file.")


def check_columns(frame: "polars.DataFrame", names: tuple[str, ...], source: str | Path, key: str) -> None:
    """Refuses, by a ConfigError, the first of `names` (the value of `key`) that the table does not have."""
    from nnrun.schema import nearest

    for name in names:
        if name not in frame.columns:
            raise ConfigError(f"{source} has no column {name}, which {key} names. {nearest(name, frame.columns)}")


@lru_cache(maxsize=4)
def _cached(path: Path, stamp: tuple[int, int], separator: Separator, encoding: str, header: Header) -> Table:
    import polars

    if stamp[1] == 0:
        raise ConfigError(f"{path} is empty. Name a table with at least a header and one row.")
    if path.suffix.lower() == ".parquet":
        try:
            frame = polars.read_parquet(path)
        except (polars.exceptions.PolarsError, OSError) as error:
            raise RunError(f"{path} is no whole parquet file: {first_line(error)}. Save it again.") from None
        return Table(frame, np.arange(frame.height))
    table = _read_text(path, separator, encoding, header)
    if table.frame.height == 0:
        raise ConfigError(f"{path} has no rows below its header. Name a table with at least one row.")
    return table


def _read_text(path: Path, separator: Separator, encoding: str, header: Header) -> Table:
    import polars

    whole = decoded(path, encoding)
    top = head(path, whole, separator, header)
    # Without a mark of its encoding polars takes a text that begins with x^ for a compressed one.
    content = whole.lstrip("\r\n").encode("utf-8-sig")

    def wrong() -> NnrunError | None:
        return damage(path, io.StringIO(whole, newline=""), top.separator, len(top.names))

    try:
        frame = polars.read_csv(
            content,
            separator=top.separator,
            has_header=top.titled,
            new_columns=list(top.names),
            infer_schema=False,
        )
    except polars.exceptions.PolarsError as error:
        raise wrong() or RunError(f"{path}: {first_line(error)}.") from None
    # A line that is too short ends in nulls: only then the lines are looked through for it.
    suspicious = frame.width != len(top.names) or (frame.height and frame[:, -1].null_count())
    if suspicious and (short := wrong()) is not None:
        raise short
    return without_blank_lines(frame, 0, lambda: blank_lines(io.BytesIO(content), top))


def blank_lines(lines: Iterable[bytes], top: Head) -> np.ndarray:
    """The numbers (n,) of blank lines that are no rows of the table: where it has one column, those at its end."""
    row, quoted, found = -int(top.titled), False, list[int]()
    for line in lines:
        if not quoted and not line.strip(b"\r\n"):
            found.append(row)
        elif len(top.names) == 1:
            found.clear()
        # An odd number of quotes opens or closes a field that goes on in the next line, blank or not.
        quoted ^= bool(line.count(b'"') % 2)
        row += not quoted
    return np.array(found, int)


def without_blank_lines(frame: "polars.DataFrame", start: int, blank: Callable[[], np.ndarray]) -> Table:
    """The table of a frame whose first row has the number `start`; `blank` is asked only where a row is all nulls."""
    import polars

    rows = np.arange(start, start + frame.height)
    empty = frame.select(polars.all_horizontal(polars.all().is_null())).to_series().to_numpy()
    if not empty.any():
        return Table(frame, rows)
    kept = ~(empty & np.isin(rows, blank()))
    return Table(frame.filter(kept), rows[kept])
