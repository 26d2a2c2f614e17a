"""Labelled sequences from your own files."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnrun.datasets.base import Data, DatasetConfig, DataSpec
from nnrun.datasets.part import Part, take
from nnrun.datasets.parts.scaling import fit_inputs
from nnrun.datasets.parts.split import FEWEST, Divided, cut, share, stratified_order, streams
from nnrun.datasets.series.labelled_files import Sequences as Found
from nnrun.datasets.series.labelled_files import read_sequences
from nnrun.datasets.series.labelled_reader import SequencesReader
from nnrun.datasets.tables.values import as_number
from nnrun.errors import ConfigError
from nnrun.schema import setting


@dataclass(frozen=True)
class SequencesConfig(DatasetConfig):
    """Keys of dataset=sequences."""

    path: str | None = setting(None, "a .ts, .tsv or .npz file of labelled sequences", changes="examples")
    val_path: str | None = setting(
        None, "a file for validation; null: a share of the training file", changes="examples"
    )
    test_path: str | None = setting(None, "a file for the test; null: a share of the training file")


class Sequences(Divided):
    """One class for each sequence; sequences of unequal length are padded, and every example tells its length.

    Parts come from files of their own, or are stratified shares of `path`: val_fraction and test_fraction of all of it.
    The classes are those of the training file, in order (numbers by value, then texts). Scaling is per channel, over
    the valid steps of the training part. Inputs (time, channels).
    """

    config: SequencesConfig

    def spec(self) -> DataSpec:
        """Longest sequence, channels and classes of the files."""
        reader = self.reader
        shape, classes = (reader.length, reader.channels), len(reader.class_names)
        return DataSpec("series", shape, (), "classification", classes=classes, lengths=reader.unequal)

    def load(self) -> Data:
        """Reads the files, splits by `dataset.seed` and fits the scaling on the training part."""
        c, reader = self.config, self.reader
        files = {
            role: {**reader.part(found, self._paths[role]), "row": found.rows} for role, found in self._files.items()
        }
        parts = self._limited(self._split(files))
        (train, val, test), rows = parts, [part.pop("row") for part in parts]
        return Data(
            self.spec(),
            train,
            val,
            test,
            fit_inputs(train, c.scaling),
            input_names=tuple(f"channel_{i + 1}" for i in range(reader.channels)),
            target_names=("class",),
            class_names=reader.class_names,
            reader=reader,
            labels={"row": rows[2]},
        )

    @cached_property
    def reader(self) -> SequencesReader:
        """Reads further files like these. Raises ConfigError when they cannot be trained on."""
        for role, found in self._files.items():
            if found.labels is None:
                raise ConfigError(
                    f"{self._paths[role]} has no labels, which dataset=sequences learns. Give every sequence one."
                )
        train = self._files["train"]
        assert train.labels is not None
        names = tuple(sorted(set(train.labels.tolist()), key=_by_value))
        counts = {name: int((train.labels == name).sum()) for name in names}
        # One for every part that is cut from this file.
        least = 1 + (self.config.val_path is None) + (self.config.test_path is None)
        rare = min(counts, key=lambda name: counts[name])
        if len(names) < 2 or len(train.values) < 3 * FEWEST or counts[rare] < least:
            what = f"class {rare} has {counts[rare]} sequences" if len(names) > 1 else f"there is one class, {rare}"
            raise ConfigError(
                f"{self._paths['train']}: {what} among {len(train.values)} sequences, but it needs two classes or "
                f"more, each with {least} sequences or more, and {3 * FEWEST} in total."
            )
        lengths = {len(values) for found in self._files.values() for values in found.values}
        return SequencesReader(max(lengths), train.values[0].shape[1], len(lengths) > 1, names)

    @cached_property
    def _paths(self) -> dict[str, str]:
        c = self.config
        if c.path is None:
            raise ConfigError("dataset=sequences needs a file. Set dataset.path, for example dataset.path=TRAIN.ts.")
        paths = {"train": c.path, "val": c.val_path, "test": c.test_path}
        return {role: path for role, path in paths.items() if path is not None}

    @cached_property
    def _files(self) -> dict[str, Found]:
        return {role: read_sequences(path) for role, path in self._paths.items()}

    def _split(self, files: dict[str, Part]) -> tuple[Part, Part, Part]:
        """Training, validation and test part; those without a file are cut from the training file."""
        c, (_, rng) = self.config, streams(self.config.seed)
        order = stratified_order(files["train"]["targets"], rng)
        if "val" in files and "test" in files:
            return files["train"], files["val"], files["test"]
        if "val" not in files and "test" not in files:
            train, val, test = cut(order, c.val_fraction, c.test_fraction)
            return tuple(take(files["train"], index) for index in (train, val, test))  # type: ignore[return-value]
        fraction = c.val_fraction if "test" in files else c.test_fraction
        size = min(max(round(len(order) * fraction), FEWEST), len(order) - FEWEST)
        held, left = take(files["train"], order[:size]), take(files["train"], order[size:])
        return left, files.get("val", held), files.get("test", held)

    def _limited(self, parts: tuple[Part, Part, Part]) -> tuple[Part, ...]:
        """A stratified choice of every part, in proportion."""
        counts = share(tuple(len(part["inputs"]) for part in parts), self.config.limit)
        rng = np.random.default_rng(self.config.seed)
        return tuple(
            part if n == len(part["inputs"]) else take(part, np.sort(stratified_order(part["targets"], rng)[:n]))
            for part, n in zip(parts, counts, strict=True)
        )


def _by_value(name: str) -> tuple[bool, float, str]:
    value = as_number(name)
    return value is None, value or 0.0, name
