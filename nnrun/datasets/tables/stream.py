"""Tables larger than memory: rows come in blocks, and the file is read again for every pass."""

import codecs
import itertools
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.tables import dialect
from nnrun.datasets.tables.dialect import Head
from nnrun.datasets.tables.file import Table, blank_lines, changed, stamp_of, without_blank_lines
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

HEAD_BYTES = 2**20
"""How far into the file the first line must end."""
LIKE_PACKED = b"x^"
"""What polars takes for the mark of a compressed file, unless a mark of the encoding stands before it."""


def column_names(path: Path, format: Any) -> tuple[str, ...]:
    """The table's columns. Raises ConfigError for text that is not UTF-8 and for unusable names."""
    import polars

    if not _is_parquet(path):
        return _head(path, stamp_of(path), format).names
    try:
        return tuple(polars.read_parquet_schema(path))
    except (polars.exceptions.PolarsError, OSError) as error:
        raise RunError(f"{path} is no whole parquet file: {dialect.first_line(error)}. Save it again.") from None


def tables(path: Path, format: Any, size: int) -> Iterator[Table]:
    """The rows of a file, at most `size` at a time, without blank lines.

    Raises RunError for damaged lines and a file that changes.
    """
    import polars

    stamp, start = stamp_of(path), 0
    top = None if _is_parquet(path) else _head(path, stamp, format)
    try:
        for frame in _scan(path, top).collect_batches(chunk_size=size, maintain_order=True):
            # A line that is too short ends in nulls: only then the lines are looked through for it.
            if top and frame[:, -1].null_count():
                _check_lines(path, stamp, top)
            if stamp_of(path) != stamp:
                raise changed(path)
            table = Table(frame, np.arange(start, start + frame.height))
            if top:
                table = without_blank_lines(frame, start, partial(_blank_lines, path, stamp, top))
            yield from cut(table, size)
            start += frame.height
    except polars.exceptions.PolarsError as error:
        if top:
            _check_lines(path, stamp, top)
        raise RunError(f"{path}: {dialect.first_line(error)}.") from None


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _scan(path: Path, top: Head | None) -> "polars.LazyFrame":
    import polars

    if top is None:
        # Without glob=False a path with [ or * would be taken for a pattern of names.
        return polars.scan_parquet(path, glob=False)
    return polars.scan_csv(
        path,
        separator=top.separator,
        has_header=top.titled,
        skip_lines=top.before,
        infer_schema=False,
        glob=False,
        with_column_names=lambda _: list(top.names),
    )


@lru_cache(maxsize=16)
def _head(path: Path, stamp: tuple[int, int], format: Any) -> Head:
    """What the first line tells, and that the file is one which can be streamed."""
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    dialect.check_packed(path, start)
    if start.startswith(LIKE_PACKED):
        raise ConfigError(
            f"{path} is too large to be read at once, and then its first line must not begin with x^, which is how a "
            "compressed file begins. Rename the first column, or save the table as parquet."
        )
    utf8 = codecs.lookup(format.encoding).name in ("utf-8", "ascii", "utf-8-sig")
    if not utf8 or start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigError(
            f"{path} is too large to be read at once, and then it must be UTF-8, but dataset.encoding is "
            f"{format.encoding}. Convert it: iconv -f {format.encoding} -t utf-8 {path} > {path.stem}_utf8{path.suffix}"
        )
    try:
        # The bytes read may end inside a character, which an incremental decoder leaves for later.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        raise dialect.undecodable(path, error, "utf-8") from None
    return dialect.head(path, text, format.separator, format.header)


@lru_cache(maxsize=16)
def _check_lines(path: Path, stamp: tuple[int, int], top: Head) -> None:
    """Refuses, by a RunError, a file with a line of another width; an unchanged file is looked through once."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if (damage := dialect.damage(path, lines, top.separator, len(top.names))) is not None:
            raise damage


@lru_cache(maxsize=16)
def _blank_lines(path: Path, stamp: tuple[int, int], top: Head) -> np.ndarray:
    with path.open("rb") as lines:
        return blank_lines(itertools.islice(lines, top.before, None), top)


def cut(table: Table, size: int) -> Iterator[Table]:
    """The rows of a table, at most `size` at a time."""
    for start in range(0, table.frame.height, size):
        yield Table(table.frame[start : start + size], table.rows[start : start + size])
