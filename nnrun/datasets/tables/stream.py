"""Tables larger than memory: rows come in blocks, and the file is read again for every pass."""

import codecs
import csv
import io
import itertools
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnrun.datasets.tables import dialect
from nnrun.datasets.tables import file as table_file
from nnrun.datasets.tables.file import Table
from nnrun.errors import ConfigError, RunError

if TYPE_CHECKING:
    import polars

HEAD_BYTES = 2**20
"""Within which the first line must end."""
LIKE_PACKED = b"x^"
"""For polars the mark of a compressed file, without a mark of the encoding before it."""


def column_names(path: Path, format: Any) -> tuple[str, ...]:
    """The table's columns. Raises ConfigError for text that is not UTF-8 and for unusable names."""
    import polars

    if path.suffix.lower() == ".parquet":
        try:
            return tuple(polars.read_parquet_schema(path))
        except (polars.exceptions.PolarsError, OSError) as error:
            raise RunError(f"{path} is no whole parquet file: {dialect.first_line(error)}.") from None
    return _head(path, _stamp(path), format)[0]


def tables(path: Path, format: Any, size: int) -> Iterator[Table]:
    """At most `size` rows at a time, without blank lines. Raises RunError for damaged lines and a file that changes."""
    import polars

    stamp, checked, start = _stamp(path), False, 0
    names = column_names(path, format)
    batches = _scan(path, format, names).collect_batches(chunk_size=size, maintain_order=True)
    try:
        for frame in batches:
            if path.suffix.lower() != ".parquet" and not checked and frame[:, -1].null_count():
                checked = True
                _check_lines(path, stamp, _head(path, stamp, format)[1], len(names))
            if _stamp(path) != stamp:
                raise table_file.changed(path)
            yield from cut(_numbered(path, stamp, format, frame, start), size)
            start += frame.height
    except polars.exceptions.PolarsError as error:
        if path.suffix.lower() != ".parquet":
            _check_lines(path, stamp, _head(path, stamp, format)[1], len(names))
        raise RunError(f"{path}: {dialect.first_line(error)}.") from None


def _numbered(path: Path, stamp: tuple[int, int], format: Any, frame: "polars.DataFrame", start: int) -> Table:
    if path.suffix.lower() == ".parquet":
        return Table(frame, np.arange(start, start + frame.height))
    names, _, titled, before = _head(path, stamp, format)
    return table_file.without_blank_lines(frame, start, lambda: _blank_lines(path, stamp, before, titled, len(names)))


def _scan(path: Path, format: Any, names: tuple[str, ...]) -> "polars.LazyFrame":
    import polars

    if path.suffix.lower() == ".parquet":
        return polars.scan_parquet(path, glob=False)
    _, separator, titled, before = _head(path, _stamp(path), format)
    return polars.scan_csv(
        path,
        separator=separator,
        has_header=titled,
        skip_lines=before,
        infer_schema=False,
        glob=False,
        with_column_names=lambda _: list(names),
    )


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=16)
def _head(path: Path, stamp: tuple[int, int], format: Any) -> tuple[tuple[str, ...], str, bool, int]:
    """Names, separator, whether the first line holds the names, and how many blank ones stand before it."""
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
        whole = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError as error:
        raise dialect.undecodable(path, error, "utf-8") from None
    text = whole.lstrip("\r\n")
    given, first, before = format.separator, text.partition("\n")[0], whole[: len(whole) - len(text)].count("\n")
    separator = dialect.separator_of(path, first) if given == "auto" else dialect.SEPARATORS[given]
    fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    names = dialect.names_of(path, fields, format.header)
    return names or tuple(dialect.positions(len(fields))), separator, names is not None, before


@lru_cache(maxsize=16)
def _check_lines(path: Path, stamp: tuple[int, int], separator: str, width: int) -> None:
    """Raises RunError for the first line of another width, once for an unchanged file."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        if (damage := dialect.damage(path, lines, separator, width)) is not None:
            raise damage


@lru_cache(maxsize=16)
def _blank_lines(path: Path, stamp: tuple[int, int], before: int, titled: bool, width: int) -> np.ndarray:
    with path.open("rb") as lines:
        return table_file.blank_lines(itertools.islice(lines, before, None), titled, width)


def cut(table: Table, size: int) -> Iterator[Table]:
    """At most `size` rows at a time."""
    for start in range(0, table.frame.height, size):
        yield Table(table.frame[start : start + size], table.rows[start : start + size])
