"""The text of a table: its encoding, separator and names, and what is wrong with a damaged one."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from nnrun.datasets.tables.values import as_number
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
    # Before OS X, Macs ended lines with a carriage return alone.
    return text if "\n" in text else text.replace("\r", "\n")


def undecodable(path: Path, error: UnicodeDecodeError, encoding: str) -> ConfigError:
    """The error for the first byte that is no text of the encoding."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return ConfigError(
        f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not {encoding} text. Save the file as UTF-8, "
        "or set dataset.encoding, for example dataset.encoding=latin-1."
    )


def check_packed(path: Path, start: bytes) -> None:
    """Refuses, by a ConfigError, a file that begins as a compressed one does."""
    for magic, kind in PACKED.items():
        if start.startswith(magic):
            raise ConfigError(f"{path} is {kind}, not text. Unpack it, or save the table as csv or parquet.")


class Head(NamedTuple):
    """What the first line of a table tells.

    titled: whether that line holds the names. before: how many blank lines stand before it.
    """

    names: tuple[str, ...]
    separator: str
    titled: bool
    before: int


def head(path: Path, text: str, separator: Separator, header: Header) -> Head:
    """The head of a text, of which the first line suffices.

    Raises ConfigError for blank lines alone, for two equal names, and where it is unclear what the first line is.
    """
    below = text.lstrip("\r\n")
    mark = _separator(path, below.partition("\n")[0]) if separator == "auto" else SEPARATORS[separator]
    fields = next(csv.reader(io.StringIO(below, newline=""), delimiter=mark), [])
    if not any(field.strip() for field in fields):
        raise ConfigError(f"{path} holds nothing but blank lines. Name a table with at least a header and one row.")
    numeric = [as_number(field) is not None for field in fields]
    if header == "auto" and any(numeric) and not all(numeric):
        raise ConfigError(
            f"{path}: the first line holds numbers and texts ({', '.join(fields[:4])}, ...), so it may be names or a "
            "row. Set dataset.header=true or dataset.header=false."
        )
    titled = not all(numeric) if header == "auto" else header
    names = tuple((titled and field.strip()) or f"column_{i + 1}" for i, field in enumerate(fields))
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(
                f"{path} has two columns named {name}: columns {names.index(name) + 1} and {i + 1}. Rename one."
            )
    return Head(names, mark, titled, text[: len(text) - len(below)].count("\n"))


def _separator(path: Path, line: str) -> str:
    """The tab of a .tsv, else the mark that the line has most of outside of quotes."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    # Every other piece between double quotes lies outside of them.
    outside = "".join(line.split('"')[::2])
    counts = {mark: outside.count(mark) for mark in ",;\t|"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def damage(path: Path, lines: Iterable[str], separator: str, width: int) -> NnrunError | None:
    """An error for the first line that is not `width` fields, or for a quote that nothing closes or opens."""
    record, start = list[str](), 1

    def kept() -> Iterator[str]:
        # The parser alone knows where a record ends, but not how its quotes were written.
        for line in lines:
            record.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=separator, strict=True)
    try:
        for fields in reader:
            if fields and len(fields) != width:
                return RunError(
                    f"{path}, line {start} has {len(fields)} fields, but the first line has {width}. "
                    "Put fields that hold the separator into double quotes, or set dataset.separator."
                )
            if "".join(record).count('"') % 2:
                field = next(field for field in fields if '"' in field)
                quoted = '"' + field.replace('"', '""') + '"'
                return RunError(
                    f"{path}, line {start} has a double quote inside the field {field}, which nothing closes. Take it "
                    f"out, or write the field as {quoted}."
                )
            start = reader.line_num + 1
            record.clear()
    except csv.Error as error:
        open_quote = "unexpected end of data" in str(error)
        reason = "a double quote is opened and never closed" if open_quote else str(error)
        return RunError(f"{path}, line {start}: {reason}. Check the double quotes of the row that begins there.")
    return None


def first_line(error: Exception) -> str:
    """The first line of what an error says, without its point."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
