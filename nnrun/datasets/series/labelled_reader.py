"""Labelled sequences, padded to one length, for training and for newer files alike."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.parts import classes
from nnrun.datasets.reader import Block, Reader
from nnrun.datasets.series.labelled_files import Sequences, read_sequences
from nnrun.errors import ConfigError


@dataclass(frozen=True)
class SequencesReader(Reader):
    """Sequences of at most `length` steps, padded with zeros at the end; their classes where a file has labels.

    unequal: the training files had sequences of unequal length, so examples carry `lengths`.
    """

    length: int
    channels: int
    unequal: bool
    class_names: tuple[str, ...]

    def part(self, found: Sequences, source: str | Path) -> Part:
        """Arrays of the sequences. Raises ConfigError for what does not fit."""
        self._check(found, source)
        inputs = np.zeros((len(found.values), self.length, self.channels), np.float32)
        for row, values in zip(inputs, found.values, strict=True):
            row[: len(values)] = values
        part: Part = {"inputs": inputs}
        # Where all are equally long the network is built without lengths, and so are its later inputs.
        if self.unequal:
            part["lengths"] = np.array([len(values) for values in found.values], np.int32)
        if found.labels is not None:
            numbers = {name: i for i, name in enumerate(self.class_names)}
            part["targets"] = np.array([numbers[label] for label in found.labels.tolist()], np.int32)
        return part

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The sequences of a file, told apart by their `row` in it from 1."""
        found = read_sequences(source)
        # Some at a time: padded to one length, all of them may take far more memory than as they came.
        for start in range(0, len(found.values), size):
            taken = slice(start, start + size)
            labels = None if found.labels is None else found.labels[taken]
            some = Sequences(found.values[taken], labels, found.rows[taken])
            yield Block(self.part(some, source), {"row": some.rows})

    def block(self, values: Any) -> Block:
        """An array (n, time, channels), or a list of arrays (time, channels) or (time,) of unequal length."""
        arrays = [np.asarray(one, np.float32) for one in values]
        shaped = tuple(one[:, None] if one.ndim == 1 else one for one in arrays)
        found = Sequences(shaped, None, np.arange(len(shaped)) + 1)
        return Block(self.part(found, "What was given"), {"row": found.rows})

    def _check(self, found: Sequences, source: str | Path) -> None:
        for row, values in zip(found.rows, found.values, strict=True):
            if values.ndim != 2 or values.shape[1] != self.channels:
                raise ConfigError(
                    f"{source}, row {row} has the shape {values.shape}, but must be (time, {self.channels}) like "
                    "those of the training."
                )
            if len(values) > self.length or not (self.unequal or len(values) == self.length):
                limit = "at most" if self.unequal else "exactly"
                raise ConfigError(
                    f"{source}, row {row} has {len(values)} steps, but the network reads {limit} {self.length}, as "
                    "in the training. Cut or resample it."
                )
        labels = [] if found.labels is None else found.labels.tolist()
        counts = Counter(labels)
        if lost := {label: counts[label] for label in counts if label not in self.class_names}:
            first = next(row for row, label in zip(found.rows, labels, strict=True) if label in lost)
            raise classes.strange(f"{source}, from row {first} on,", lost, self.class_names, "sequences")
