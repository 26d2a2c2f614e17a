"""A table from a csv, tsv or parquet file as a polars frame, with errors that name file, row and column."""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nnrun.errors import ConfigError, NnrunError, RunError

if TYPE_CHECKING:
    import polars

Separator = Literal["auto", "comma", "semicolon", "tab", "pipe", "space"]
Header = bool | Literal["auto"]
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip archive or a spreadsheet", b"\x28\xb5\x2f\xfd": "zstd"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


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

    text = _decoded(path, encoding)
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
        raise damage(path, io.StringIO(text, newline=""), mark, len(fields)) or RunError(
            f"{path}: {first_line(error)}."
        ) from None
    if frame.width != len(fields) or (frame.height and frame[:, -1].null_count()):
        short = damage(path, io.StringIO(text, newline=""), mark, len(fields))
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


def _decoded(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    check_packed(path, content)
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), encoding)
    try:
        text = content.decode(marked)
    except UnicodeDecodeError as error:
        raise undecodable(path, error, marked) from None
    except (LookupError, ValueError):
        raise ConfigError(
            f"dataset.encoding={encoding} is not known. Set for example dataset.encoding=latin-1."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError(
            f"{path}, line {line} holds a zero byte, which no text has. Save the file as UTF-8, or, where it is UTF-16 "
            "without a mark, set dataset.encoding=utf-16-le."
        )
    return (text if "\n" in text else text.replace("\r", "\n")).lstrip("\r\n")


def undecodable(path: Path, error: UnicodeDecodeError, encoding: str) -> ConfigError:
    """The error for the first byte that is no text of the encoding."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return ConfigError(
        f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not {encoding} text. Save the file as UTF-8, "
        "or set dataset.encoding, for example dataset.encoding=latin-1."
    )


def check_packed(path: Path, start: bytes) -> None:
    """Raises ConfigError for a file that begins as a compressed one does."""
    for magic, kind in PACKED.items():
        if start.startswith(magic):
            raise ConfigError(f"{path} is {kind}, not text. Unpack it, or save the table as csv or parquet.")


def separator_of(path: Path, line: str) -> str:
    """The tab of a .tsv, else the mark that the line has most of outside of quotes."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    outside = "".join(line.split('"')[::2])
    counts = {mark: outside.count(mark) for mark in ",;\t|"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def names_of(path: Path, fields: list[str], header: Header) -> tuple[str, ...] | None:
    """The columns' names, None where the first line is a row. Raises ConfigError where that is unclear."""
    numeric = [_is_number(field) for field in fields]
    if header is False or (header == "auto" and all(numeric)):
        return None
    if header == "auto" and any(numeric):
        raise ConfigError(
            f"{path}: the first line holds numbers and texts ({', '.join(fields[:4])}, ...), so it may be names or a "
            "row. Set dataset.header=true or dataset.header=false."
        )
    names = tuple(field.strip() or positions(len(fields))[i] for i, field in enumerate(fields))
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(
                f"{path} has two columns named {name}: columns {names.index(name) + 1} and {i + 1}. Rename one."
            )
    return names


def positions(count: int) -> list[str]:
    """Names for columns without one."""
    return [f"column_{i + 1}" for i in range(count)]


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def damage(path: Path, lines: Iterable[str], separator: str, width: int) -> NnrunError | None:
    """An error for the first line that is not `width` fields, or for a quote that nothing closes or opens."""
    record = list[str]()
    reader = csv.reader(_kept(lines, record), delimiter=separator, strict=True)
    start = 1
    try:
        for fields in reader:
            if fields and len(fields) != width:
                return RunError(
                    f"{path}, line {start} has {len(fields)} fields, but the first line has {width}. "
                    "Put fields that hold the separator into double quotes, or set dataset.separator."
                )
            if "".join(record).count('"') % 2:
                return _lone_quote(path, start, next(field for field in fields if '"' in field))
            start = reader.line_num + 1
            record.clear()
    except csv.Error as error:
        return RunError(
            f"{path}, line {start}: {_reason(error)}. Check the double quotes of the row that begins there."
        )
    return None


def _kept(lines: Iterable[str], record: list[str]) -> Iterator[str]:
    for line in lines:
        record.append(line)
        yield line


def _reason(error: csv.Error) -> str:
    return "a double quote is opened and never closed" if "unexpected end of data" in str(error) else str(error)


def _lone_quote(path: Path, line: int, field: str) -> RunError:
    quoted = '"' + field.replace('"', '""') + '"'
    return RunError(
        f"{path}, line {line} has a double quote inside the field {field}, which nothing closes. Take it out, or write "
        f"the field as {quoted}."
    )


def first_line(error: Exception) -> str:
    """Of the text of an error, without its point."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
