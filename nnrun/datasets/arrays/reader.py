"""Arrays of raw inputs, for data sets without a file format of their own."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.datasets.arrays import file
from nnrun.datasets.arrays.file import Arrays, Headers
from nnrun.datasets.base import DataSpec
from nnrun.datasets.fields import Field, rows
from nnrun.datasets.part import Part, count
from nnrun.datasets.parts import classes
from nnrun.datasets.parts.anomalies import marks
from nnrun.datasets.reader import Block, Reader, lacking
from nnrun.datasets.tables.values import as_number
from nnrun.errors import ConfigError, RunError

SUFFIXES = (".npy", ".npz", ".csv")
NAMES = ("inputs", "targets", "lengths", "anomaly")
"""Arrays that every source may have."""


@dataclass(frozen=True)
class ArrayReader(Reader):
    """Reads raw inputs (n, *shape), and targets where a source has them.

    `.npy` is the inputs alone; `.npz` has them as `inputs`, and may have `targets`, `lengths` and `anomaly`; a `.csv`
    of numbers has a column for each of `columns` (in any order; for every input in order where there are no names)
    and may have the target's columns. `fields` are `inputs` of whole numbers, and further arrays of which a source
    may lack those that are answers. A class is its name, by value where that is a number (1.0 is class 1), or, where
    no class is called by a number, its position from 0.
    """

    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    targets: tuple[int, ...] | None = None
    target_names: tuple[str, ...] = ()
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()

    @classmethod
    def of(
        cls,
        spec: DataSpec,
        columns: tuple[str, ...] = (),
        target_names: tuple[str, ...] = (),
        class_names: tuple[str, ...] = (),
    ) -> "ArrayReader":
        """The reader of a data set's own arrays."""
        example = spec.example
        targets = example["targets"].shape if "targets" in example else None
        named = columns if len(columns) == math.prod(spec.inputs) else ()
        further = tuple(f for name, f in example.items() if name not in NAMES or (name == "inputs" and not f.scaled))
        return cls(spec.inputs, named, targets, target_names, spec.classes, class_names, further)

    def blocks(self, source: Path, size: int) -> Iterator[Block]:
        """The rows of the file's array."""
        start = 0
        for arrays in self._read(source, size):
            yield self._block(arrays, start, str(source))
            start += count(arrays)

    def block(self, values: Any) -> Block:
        """All rows of an array (n, *shape), a dict of arrays as in an `.npz`, or a data frame as in a `.csv`."""
        if hasattr(values, "columns"):
            arrays = self._of_columns([str(name) for name in values.columns], values, "The data frame")
        elif isinstance(values, Mapping):
            arrays = {name: np.asarray(values[name]) for name in self._names() if name in values}
        else:
            arrays = {"inputs": np.asarray(values)}
        self._check({name: (array.shape, array.dtype) for name, array in arrays.items()}, "What was given")
        return self._block(arrays, 0, "The array")

    def example_shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.shape

    def unknown(self, source: Path) -> tuple[str, ...]:
        """Columns of a `.csv` that are not used, where the inputs have names."""
        if source.suffix != ".csv" or not self.columns:
            return ()
        return tuple(n for n in file.csv_header(source) if n not in {*self.columns, *self.target_names})

    def _read(self, source: Path, size: int) -> Iterator[Arrays]:
        check = partial(self._check, what=str(source))
        if source.suffix == ".npy":
            yield from file.npy_blocks(source, size, check)
        elif source.suffix == ".npz":
            yield from file.npz_blocks(source, size, self._names(), check)
        elif source.suffix == ".csv":
            for line, frame in file.csv_blocks(source, size, lambda names: self._chosen(names, str(source))):
                yield self._of_columns(frame.columns, frame, f"{source}, line", line)
        else:
            raise ConfigError(f"{source} must end in one of {', '.join(SUFFIXES)} and hold raw inputs of {self.shape}.")

    def _check(self, layout: Headers, what: str) -> None:
        """Raises ConfigError for arrays of another shape or type, before anything of them is read."""
        if "inputs" not in layout:
            raise ConfigError(f"{what} must have an array inputs: numbers of shape {rows(self.shape)}.")
        self._check_complete(layout, what)
        (shape, _), flat = layout["inputs"], math.prod(self.shape)
        further = {field.name: field for field in self.fields}
        wanted = {"inputs": self.shape, "targets": self.targets, "lengths": (), "anomaly": ()}
        wanted |= {name: field.shape for name, field in further.items()}
        for name, (got, dtype) in layout.items():
            flattened = name == "inputs" and got[1:] == (flat,)
            # Classes may be called by their names instead.
            if name == "targets" and self.classes is not None and dtype.kind in "US":
                dtype = np.dtype(int)
            alike = _without_last_one(got[1:]) == _without_last_one(wanted[name])
            whole = name in further and further[name].whole
            if not (alike or flattened) or not got or dtype.kind not in ("iub" if whole else "fiub"):
                raise ConfigError(
                    f"{what} must hold {name} of shape {rows(wanted[name] or ())}, all {'whole ' if whole else ''}"
                    f"numbers, but got {dtype} of shape {got}. Save the raw values, one example per row."
                )
            if got[0] != shape[0]:
                raise ConfigError(f"{what} has {shape[0]} inputs, but {got[0]} {name}. Give one for each.")

    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*NAMES, *(field.name for field in self.fields))))

    def _check_complete(self, arrays: Iterable[str], what: str) -> None:
        """Raises ConfigError where a field that the network is shown is not there."""
        for field in self.fields:
            if not field.answer and field.name not in arrays:
                raise ConfigError(
                    f"{what} must have an array {field.name}: numbers of shape {rows(field.shape)}. Give an .npz file "
                    "or a dict with all arrays."
                )

    def _chosen(self, header: list[str], what: str) -> list[str]:
        """The columns to read. Raises ConfigError when one is missing."""
        named = self.columns or tuple(name for name in header if name not in self.target_names)
        if missing := [name for name in named if name not in header]:
            extra = [name for name in header if name not in {*named, *self.target_names}]
            raise lacking(what, missing, extra)
        if len(named) != math.prod(self.shape):
            raise ConfigError(f"{what} must have {math.prod(self.shape)} columns of inputs, but has {len(named)}.")
        labels = [name for name in self.target_names if name in header]
        return [*named, *(labels if len(labels) == len(self.target_names) else [])]

    def _of_columns(self, names: list[str], frame: Any, where: str, line: int = 0) -> Arrays:
        """Inputs, and targets where the frame has them, of named columns."""
        chosen = self._chosen(names, where) if not line else names
        count = math.prod(self.shape)
        arrays = {"inputs": np.stack([_numbers(frame[n], n, where, line) for n in chosen[:count]], 1)}
        if chosen[count:] and self.classes is not None and self.targets == ():
            arrays["targets"] = np.asarray(frame[chosen[count]]).astype(str)
        elif chosen[count:] and self.targets is not None:
            columns = [_numbers(frame[n], n, where, line) for n in chosen[count:]]
            arrays["targets"] = np.stack(columns, 1).reshape(-1, *self.targets)
        return arrays

    def _block(self, arrays: Arrays, start: int, what: str) -> Block:
        self._check_complete(arrays, what)
        part: Part = {"inputs": arrays["inputs"].reshape(-1, *self.shape)}
        if part["inputs"].dtype != np.uint8 and "inputs" not in (field.name for field in self.fields):
            part["inputs"] = _finite(part["inputs"].astype(np.float32), "an input", start, what)
        if "targets" in arrays:
            part["targets"] = self._targets(arrays["targets"].reshape(-1, *(self.targets or ())), what)
        if "lengths" in arrays:
            part["lengths"] = arrays["lengths"].astype(np.int32)
        if "anomaly" in arrays:
            part["anomaly"] = marks(arrays["anomaly"], f"{what}, anomaly")
        part |= {one.name: _of_field(one, arrays[one.name], start, what) for one in self.fields if one.name in arrays}
        return Block(part, {"row": np.arange(start, start + count(part))})

    def _targets(self, values: np.ndarray, what: str) -> np.ndarray:
        """Raw values, or class numbers of names or numbers. Raises ConfigError for a class that is none."""
        if self.classes is None:
            return values.astype(np.float32)
        found, inverse = np.unique(values.astype(str), return_inverse=True)
        names = self.class_names or tuple(map(str, range(self.classes or 0)))
        by_name = {name: number for number, name in enumerate(names)}
        by_value: dict[float | None, int]
        by_value = {value: number for number, name in enumerate(names) if (value := as_number(name)) is not None}
        # A number can only mean a position where it is the name of no class.
        by_value = by_value or {float(number): number for number in range(len(names))}
        numbers = [by_name.get(label, by_value.get(as_number(label))) for label in found.tolist()]
        if None in numbers:
            counts = dict(zip(found.tolist(), np.bincount(inverse.reshape(-1)).tolist(), strict=True))
            lost = {label: counts[label] for label, number in zip(counts, numbers, strict=True) if number is None}
            raise classes.strange(what, lost, names)
        return np.array(numbers, np.int32)[inverse].reshape(values.shape)


def _of_field(field: Field, values: np.ndarray, start: int, what: str) -> np.ndarray:
    """The values of a field (n, *shape) in its type. Raises RunError for those that it cannot have, with their row."""
    values = values.reshape(-1, *field.shape)
    if not field.whole:
        return _finite(values.astype(np.float32), f"a value of {field.name}", start, what)
    if (wrong := np.argwhere(field.outliers(values))).size:
        at = tuple(wrong[0])
        limit = f" from 0 to {field.below[at[-1] if len(field.below) > 1 else 0] - 1}" if field.below else ""
        raise RunError(
            f"{what}: {field.name} of row {start + at[0]} (counted from 0) must be whole numbers{limit}, but one is "
            f"{values[at]}. Correct it."
        )
    return values.astype(field.dtype)


def _finite(values: np.ndarray, name: str, start: int, what: str) -> np.ndarray:
    """The values. Raises RunError with the row of the first that is no number."""
    if not np.isfinite(values).all():
        row = start + int(np.argwhere(~np.isfinite(values))[0][0])
        raise RunError(f"{what}: {name} of row {row} (counted from 0) is missing or infinite. Fill it in.")
    return values


def _without_last_one(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Grey images without their channel, and single targets without their column, are taken as well."""
    return shape[:-1] if shape and shape[-1] == 1 else shape


def _numbers(column: Any, name: str, where: str, line: int) -> np.ndarray:
    """(n,) float32. Raises RunError for what is no number, with its line."""
    import polars

    if not isinstance(column, polars.Series):
        column = polars.Series(name, np.asarray(column))
    numbers = column.cast(polars.Float32, strict=False)
    if bad := (numbers.is_null() & column.is_not_null()).arg_true().to_list()[:1]:
        at = f"{where} {line + bad[0]}" if line else f"{where}, row {bad[0]}"
        raise RunError(f"{at}: {name} must be a number, but is {column[bad[0]]!r}.")
    return numbers.to_numpy()
