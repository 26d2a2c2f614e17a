"""preprocessing.json: what was fitted on the training data, so that new data can be read without the old."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nnrun.datasets.arrays.reader import ArrayReader
from nnrun.datasets.base import Data, DataSpec, Scaling, Series
from nnrun.datasets.part import Part
from nnrun.datasets.reader import Reader
from nnrun.errors import ConfigError
from nnrun.host import disk

NAME = "preprocessing.json"
READERS = {
    "arrays": "nnrun.datasets.arrays.reader.ArrayReader",
    "images": "nnrun.datasets.images.reader.ImageReader",
    "idx": "nnrun.datasets.idx.IdxReader",
    "sequences": "nnrun.datasets.series.labelled_reader.SequencesReader",
    "table": "nnrun.datasets.tables.reader.TableReader",
    "timeseries": "nnrun.datasets.series.reader.TimeseriesReader",
}
LARGEST = 2**27
"""Most values of an example: more is a damaged or hostile file."""
LARGEST_FILE = 2**25
"""Bytes; numbers and texts take ten times as much memory as in the file."""
DAMAGES = (msgspec.MsgspecError, ConfigError, KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError)
"""What reading and converting a file may raise that no run wrote."""
LATER = ("scalings",)
"""What the files of earlier versions do not have."""


@dataclass(frozen=True)
class Preprocessing:
    """What a trained network needs to read new data and to name what it predicts; see `Data` for the fields."""

    spec: DataSpec
    input_scaling: Scaling
    target_scaling: Scaling | None
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    class_names: tuple[str, ...]
    series: Series | None
    error_threshold: float | None
    reader: Reader
    scalings: dict[str, Scaling] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Data) -> "Preprocessing":
        """What a loaded data set was fitted with."""
        return cls(
            data.spec,
            data.input_scaling,
            data.target_scaling,
            data.input_names,
            data.target_names,
            data.class_names,
            data.series,
            data.error_threshold,
            data.reader or ArrayReader.of(data.spec, data.input_names, data.target_names, data.class_names),
            data.scalings,
        )

    def data(self, part: Part) -> Data:
        """`part` as the test part of a data set that has no others."""
        nothing = {name: values[:0] for name, values in part.items()}
        return Data(
            self.spec,
            nothing,
            nothing,
            part,
            self.input_scaling,
            self.target_scaling,
            self.input_names,
            self.target_names,
            self.class_names,
            self.series,
            self.reader,
            error_threshold=self.error_threshold,
            scalings=self.scalings,
        )

    def save(self, folder: Path) -> None:
        """Writes preprocessing.json."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reader"}
        content = {**fields, "reader": {"name": self.reader.name, **vars(self.reader)}}
        encoded = msgspec.json.encode(content, enc_hook=_to_json)
        disk.write(folder / NAME, msgspec.json.format(encoded, indent=1) + b"\n")


def load(folder: Path) -> Preprocessing:
    """Reads a run's preprocessing.json. Raises ConfigError when it is missing, damaged or of another version."""
    path = folder / NAME
    again = f"Train again: nnrun repeat {folder}"
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE} bytes")
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        own = msgspec.convert(content.pop("reader"), dict[str, Any])
        reader = _convert(own, _reader_class(msgspec.convert(own.pop("name"), str)))
        kinds = {name: kind for name, kind in _field_types().items() if name in content or name not in LATER}
        fields = {name: _convert(content[name], kind) for name, kind in kinds.items()}
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing. {again}") from None
    except DAMAGES as error:
        raise ConfigError(f"{path} is damaged or of another version ({str(error)[:200]}). {again}") from None
    found = Preprocessing(**fields, reader=reader)
    for what, value in _impossible(found):
        raise ConfigError(f"{path} says that {what} {value}, which no run writes. {again}")
    return found


def _impossible(found: Preprocessing) -> Iterator[tuple[str, Any]]:
    """What contradicts itself or would take any amount of memory, in words and as it stands there."""
    spec, series = found.spec, found.series
    targets = spec.targets or ()
    embedded_alone = bool(spec.categories) and spec.inputs == (0,)
    if not spec.inputs:
        yield "an example has the shape", spec.inputs
        return
    for name, one in spec.example.items():
        within = all(0 < bound <= LARGEST for bound in one.below)
        if within and (_is_possible(one.shape) or (name == "inputs" and embedded_alone)):
            continue
        if name == "targets":
            yield "a target has the shape and number of classes", (targets, spec.classes)
        elif name == "inputs":
            yield "an example has the shape", spec.inputs
        else:
            yield f"the field {name} has the shape and range", (one.shape, one.below)
        return
    shape = found.reader.example_shape()
    if shape is not None and shape != spec.inputs:
        yield f"an example has the shape {spec.inputs}, but its reader gives", shape
    if not _scales(found.input_scaling, spec.inputs):
        yield "the inputs' scaling has the shape", np.shape(found.input_scaling.offset)
    if found.target_scaling is not None and not _scales(found.target_scaling, (*spec.inputs[:1], *targets)):
        yield "the targets' scaling has the shape", np.shape(found.target_scaling.offset)
    further = {one.name for one in spec.fields if one.scaled} - {"inputs", "targets"}
    if further != found.scalings.keys():
        yield f"these fields have scalings, not {sorted(further)}:", sorted(found.scalings)
        return
    for name, scaling in found.scalings.items():
        if not _scales(scaling, spec.example[name].shape):
            yield f"the scaling of {name} has the shape", np.shape(scaling.offset)
    if found.class_names and len(found.class_names) != spec.classes:
        yield f"{spec.classes} classes have so many names:", len(found.class_names)
    variables = targets[-1] if targets else 1
    if series is not None and not {*series.target_columns} <= {*range(spec.inputs[-1])}:
        yield "the targets are columns", series.target_columns
    if series is not None and np.shape(series.naive_error) != (variables,):
        yield f"{variables} variables have naive errors of shape", np.shape(series.naive_error)
    if spec.classes is None and targets and len(found.target_names) > np.prod(targets):
        yield f"targets of shape {targets} have so many names:", len(found.target_names)


def _is_possible(shape: tuple[int, ...]) -> bool:
    return all(extent > 0 for extent in shape) and np.prod(shape, dtype=float) <= LARGEST


def _scales(scaling: Scaling, shape: tuple[int, ...]) -> bool:
    """Whether offset and scale spread over an example of a shape without making it larger."""
    try:
        return np.broadcast_shapes(np.shape(scaling.offset), np.shape(scaling.scale), shape) == shape
    except ValueError:
        return False


def _field_types() -> dict[str, Any]:
    return {name: one.type for name, one in Preprocessing.__dataclass_fields__.items() if name != "reader"}


def _reader_class(name: str) -> type[Reader]:
    module, _, member = READERS[name].rpartition(".")
    found: type[Reader] = getattr(importlib.import_module(module), member)
    return found


def _convert(content: Any, kind: Any) -> Any:
    return msgspec.convert(content, kind, dec_hook=_from_json)


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no part of a preprocessing.")


def _from_json(kind: type, value: Any) -> Any:
    if kind is np.ndarray:
        return np.asarray(value, np.float32)
    raise TypeError(f"{kind.__name__} is no part of a preprocessing.")
