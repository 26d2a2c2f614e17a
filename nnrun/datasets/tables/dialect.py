"""The text of a table: its encoding, separator and names, and what is wrong with a damaged one."""

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from nnrun.errors import ConfigError, NnrunError, RunError

Separator = Literal["auto", "comma", "semicolon", "tab", "pipe", "space"]
Header = bool | Literal["auto"]
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "a zip archive or a spreadsheet", b"\x28\xb5\x2f\xfd": "zstd"}
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decoded(path: Path, encoding: str) -> str:
    """The text of a file. Raises ConfigError for a compressed one, another encoding, or zero bytes."""
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
    return text if "\n" in text else text.replace("\r", "\n")


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
