"""Labelled sequences from files: UCR/UEA `.ts` and `.tsv`, and `.npz`."""

from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnrun.datasets.arrays.file import Headers, npz_blocks
from nnrun.datasets.tables.file import stamp_of
from nnrun.datasets.tables.values import as_number
from nnrun.errors import ConfigError, RunError

SUFFIXES = (".ts", ".tsv", ".txt", ".npz")
MISSING = ("?", "nan", "")
MOST_SEQUENCES = 2**32


class Sequences(NamedTuple):
    """values: one array (time, channels) float32 each; labels (n,) as text, None where the file has none.

    rows: (n,) their numbers in the file from 1; blank lines count.
    """

    values: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    rows: np.ndarray


def read_sequences(path: str | Path) -> Sequences:
    """The sequences of a file, in its order; the same unchanged file is read once.

    `.ts` (sktime's format of the UEA archive): dimensions separated by colons, values by commas, the class label last;
    `.tsv` and `.txt` (UCR archive): a label, then one channel's values, separated by tabs, the short ones padded with
    NaN at the end; `.npz`: `inputs` (n, time[, channels]), and may have `lengths` (n,) and `targets` (n,).
    Raises ConfigError for a file that is missing, empty or of another kind, RunError for damaged lines.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} must be a file of sequences that ends in one of {', '.join(SUFFIXES)}.")
    try:
        return _cached(path, stamp_of(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check the path.") from None


@lru_cache(maxsize=4)
def _cached(path: Path, stamp: tuple[int, int]) -> Sequences:
    if path.suffix.lower() == ".npz":
        found = _read_npz(path)
    else:
        try:
            lines = path.read_bytes().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is no UTF-8 text. Save it as text, for example without packing it.") from None
        found = _read_ts(lines, path) if path.suffix.lower() == ".ts" else _read_tsv(lines, path)
    if not found.values:
        raise ConfigError(f"{path} holds no sequence. Name a file with at least one.")
    channels = found.values[0].shape[1]
    for row, values in zip(found.rows, found.values, strict=True):
        if values.shape[1] != channels or len(values) == 0:
            what = f"has {values.shape[1]} channels, but the first one {channels}" if len(values) else "has no values"
            raise RunError(f"{path}, row {row} {what}. Correct the file.")
        if not np.isfinite(values).all():
            step, channel = np.argwhere(~np.isfinite(values))[0]
            raise RunError(
                f"{path}, row {row}, step {step + 1}, channel {channel + 1} is missing or infinite. Fill it, or "
                "take the sequence out."
            )
    return found


def _read_ts(lines: list[str], path: Path) -> Sequences:
    header, first, body = _ts_header(lines, path)
    labelled = header.get("classlabel", "false").split()[:1] == ["true"]
    values, labels, rows = [], [], []
    for number, line in body:
        rows.append(number - first)
        dimensions = line.split(":")
        if labelled:
            labels.append(dimensions.pop().strip())
        if not dimensions or (labelled and not labels[-1]):
            raise _line(path, number, "has no label after its last colon. Set @classLabel false, or add it.")
        channels = [_floats(text.split(","), path, number) for text in dimensions]
        if len({len(channel) for channel in channels}) != 1:
            lengths = ", ".join(str(len(channel)) for channel in channels)
            raise _line(path, number, f"has dimensions of unequal length: {lengths}. Give every channel equal steps.")
        values.append(np.stack(channels, axis=1))
    return Sequences(tuple(values), np.array(labels) if labelled else None, np.array(rows))


def _ts_header(lines: list[str], path: Path) -> tuple[dict[str, str], int, list[tuple[int, str]]]:
    """The `@key value` lines in small letters, the number of `@data`, and the numbered lines below it."""
    header: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().lower()
        if text == "@data":
            if header.get("timestamps", "false") == "true":
                raise ConfigError(f"{path} has a time stamp for every value, which is not read. Save it without them.")
            body = [(i, row.strip()) for i, row in enumerate(lines[number:], number + 1)]
            return header, number, [(i, row) for i, row in body if row and not row.startswith("#")]
        if text.startswith("@"):
            key, _, value = text[1:].partition(" ")
            header[key] = value.strip()
        elif text and not text.startswith("#"):
            raise ConfigError(f"{path}, line {number} stands before @data and is no @key. Is it a .ts file?")
    raise ConfigError(f"{path} has no @data line, which a .ts file needs before its sequences.")


def _read_tsv(lines: list[str], path: Path) -> Sequences:
    values, labels, rows = [], [], []
    for number, line in enumerate(lines, 1):
        fields = line.split("\t") if "\t" in line else line.replace(",", " ").split()
        if not "".join(fields).strip():
            continue
        rows.append(number)
        labels.append(_class_name(fields[0].strip()))
        found = _floats(fields[1:], path, number)
        # The archive pads short sequences at their end; a gap inside is refused later.
        known = np.flatnonzero(~np.isnan(found))
        values.append(found[: known[-1] + 1 if len(known) else 0, None])
        if not len(known):
            raise _line(path, number, "has no values after its label. Separate label and values by tabs.")
    return Sequences(tuple(values), np.array(labels), np.array(rows))


def _class_name(text: str) -> str:
    """`1.0000000e+00` of the older archive is class 1."""
    value = as_number(text)
    return text if value is None or not value.is_integer() else str(int(value))


def _floats(fields: list[str], path: Path, number: int) -> np.ndarray:
    try:
        return np.array([np.nan if text.strip().lower() in MISSING else text for text in fields], np.float32)
    except ValueError:
        for i, text in enumerate(fields, 1):
            if as_number(text) is None and text.strip().lower() not in MISSING:
                raise _line(path, number, f"value {i} is {text!r}, which is no number. Correct it.") from None
        raise


def _line(path: Path, number: int, what: str) -> RunError:
    return RunError(f"{path}, line {number} {what}")


def _read_npz(path: Path) -> Sequences:
    check = partial(_check_layout, path)
    # All of them in one block.
    arrays = next(npz_blocks(path, MOST_SEQUENCES, ("inputs", "lengths", "targets"), check), None)
    if arrays is None:
        return Sequences((), None, np.empty(0, int))
    inputs, targets = arrays["inputs"], arrays.get("targets")
    lengths = arrays.get("lengths", np.full(len(inputs), inputs.shape[1]))
    wrong = np.flatnonzero((lengths < 1) | (lengths > inputs.shape[1]))
    if len(wrong):
        raise RunError(
            f"{path}: lengths[{wrong[0]}] is {lengths[wrong[0]]}, but a sequence has 1 to {inputs.shape[1]} steps."
        )
    values = inputs.reshape(*inputs.shape[:2], -1).astype(np.float32)
    cut = tuple(one[:length] for one, length in zip(values, lengths.tolist(), strict=True))
    return Sequences(cut, None if targets is None else targets.astype(str), np.arange(len(cut)) + 1)


def _check_layout(path: Path, layout: Headers) -> None:
    shape, kind = layout.get("inputs", ((), np.dtype("V")))
    if len(shape) not in (2, 3) or kind.kind not in "fiub":
        got = f"{kind} of shape {shape}" if "inputs" in layout else "none"
        raise ConfigError(f"{path} must hold numbers `inputs` of shape (n, time[, channels]), but got {got}.")
    for name, what, kinds in (("lengths", "whole number", "iu"), ("targets", "class, whole number or text,", "iubU")):
        own, kind = layout.get(name, (shape[:1], np.dtype(int)))
        if own != shape[:1] or kind.kind not in kinds:
            raise ConfigError(
                f"{path} must hold one {what} for each of the {shape[0]} sequences in `{name}`, but got {kind} of "
                f"shape {own}."
            )
