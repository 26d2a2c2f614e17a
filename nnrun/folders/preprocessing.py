"""preprocessing.json: what was fitted on the training data, so that new data can be read without the old."""

import contextlib
import dataclasses
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nnrun import schema
from nnrun.datasets.arrays.reader import ArrayReader
from nnrun.datasets.base import Data, DataSpec, Scaling, Series
from nnrun.datasets.part import Part
from nnrun.datasets.reader import Reader
from nnrun.errors import ConfigError
from nnrun.host import disk, own_code

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
        """What a loaded data set was fitted with. Raises ConfigError for a reader that cannot be kept."""
        reader = data.reader or ArrayReader.of(data.spec, data.input_names, data.target_names, data.class_names)
        _check_kept(reader)
        return cls(**{name: getattr(data, name) for name in _field_types()}, reader=reader)

    def data(self, part: Part) -> Data:
        """`part` as the test part of a data set that has no others."""
        nothing = {name: values[:0] for name, values in part.items()}
        return Data(train=nothing, val=nothing, test=part, **vars(self))

    def save(self, folder: Path) -> None:
        """Writes preprocessing.json."""
        content = vars(self) | {"reader": {"name": reader_name(self.reader), **_fields(self.reader)}}
        disk.write(folder / NAME, msgspec.json.format(_encoded(content), indent=1) + b"\n")


def read(folder: Path, own: bool = False) -> Preprocessing:
    """Reads a run's preprocessing.json. Raises ConfigError when it is missing, damaged or of another version.

    own: its data set is the user's own, let in by --trust, so that its reader may be, too; no other is ever imported.
    """
    path = folder / NAME
    again = f"Train again: nnrun repeat {shlex.quote(str(folder))}"
    with _whole(path, again):
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE} bytes")
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        kept = msgspec.convert(content.pop("reader"), dict[str, Any])
        name = msgspec.convert(kept.pop("name"), str)
    # Outside the guard: its errors are for the user as they are, not damage.
    kind = _own_class(name, path) if own and name not in READERS else None
    with _whole(path, again):
        reader = _convert(kept, kind or schema.locate(READERS[name]))
        kinds = {name: kind for name, kind in _field_types().items() if name in content or name not in LATER}
        fields = {name: _convert(content[name], kind) for name, kind in kinds.items()}
    found = Preprocessing(**fields, reader=reader)
    if impossible := _impossible(found):
        raise ConfigError(f"{path} says that {impossible[0]} {impossible[1]}, which no run writes. {again}")
    return found


@contextlib.contextmanager
def _whole(path: Path, again: str) -> Iterator[None]:
    """Raises ConfigError for a file that is missing, or whatever its damage ends in."""
    try:
        yield
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing. {again}") from None
    except DAMAGES as error:
        raise ConfigError(f"{path} is damaged or of another version ({str(error)[:200]}). {again}") from None


def reader_name(reader: Reader) -> str:
    """What preprocessing.json calls a reader: its key in READERS, or the dotted path of a class of the user's own."""
    path = f"{type(reader).__module__}.{type(reader).__qualname__}"
    return next((name for name, ours in READERS.items() if ours == path), path)


def _own_class(name: str, path: Path) -> Any:
    """The reader of the user's own that a file names: nothing but a Python file of the current folder is imported.

    Raises ConfigError for whatever else is named, and where the file fails.
    """
    is_path = re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name)
    file = Path(*name.split(".")[:-1])
    if is_path and (file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()):
        found = schema.locate(name)
        # A name that the file only imports is not that of a class of its own.
        if isinstance(found, type) and issubclass(found, Reader) and f"{found.__module__}.{found.__qualname__}" == name:
            return found
    raise ConfigError(
        f"{path} names the reader {name[:80]}, which is no Reader in a Python file of this folder. Start nnrun where "
        "./conf and the code lie."
    )


def _check_kept(reader: Reader) -> None:
    """Raises ConfigError for a reader of the user's own that would not come back from preprocessing.json as it is."""
    kind, name = type(reader), reader_name(reader)
    if name in READERS:
        return
    module = sys.modules[kind.__module__]
    try:
        if not issubclass(kind, Reader) or getattr(module, kind.__name__, None) is not kind:
            raise TypeError("it is no Reader at the top of its file")
        if not own_code.is_own(str(module.__file__)):
            raise TypeError(f"{module.__file__} is no file of yours")
        if "name" in _fields(reader):
            raise TypeError("it has a field called name")
        # There and back: a float64 array, for one, would come back as float32.
        kept = _encoded(_fields(reader))
        if _encoded(_fields(_convert(msgspec.json.decode(kept), kind))) != kept:
            raise ValueError("its fields come back as other values")
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The data set's reader {name} cannot be kept in {NAME} ({str(error)[:200]}). Make it a frozen dataclass "
            "in a Python file beside ./conf; its fields may be numbers, strings, booleans, None, float32 arrays, or "
            "tuples, dicts and frozen dataclasses of these."
        ) from None


def _fields(reader: Any) -> dict[str, Any]:
    return {field.name: getattr(reader, field.name) for field in dataclasses.fields(reader)}


def _impossible(found: Preprocessing) -> tuple[str, Any] | None:
    """The first thing that contradicts itself or would take any amount of memory, in words and as it stands there."""
    spec, series = found.spec, found.series
    targets = spec.targets or ()
    embedded_alone = bool(spec.categories) and spec.inputs == (0,)
    if not spec.inputs:
        return "an example has the shape", spec.inputs
    for name, one in spec.example.items():
        within = all(0 < bound <= LARGEST for bound in one.below)
        # As floats, because a product of int64 may overflow into a small number.
        is_possible = all(extent > 0 for extent in one.shape) and np.prod(one.shape, dtype=float) <= LARGEST
        if within and (is_possible or (name == "inputs" and embedded_alone)):
            continue
        if name == "targets":
            return "a target has the shape and number of classes", (targets, spec.classes)
        if name == "inputs":
            return "an example has the shape", spec.inputs
        return f"the field {name} has the shape and range", (one.shape, one.below)
    shape = found.reader.example_shape()
    if shape is not None and shape != spec.inputs:
        return f"an example has the shape {spec.inputs}, but its reader gives", shape
    further = {one.name for one in spec.fields if one.scaled} - {"inputs", "targets"}
    if further != found.scalings.keys():
        return f"these fields have scalings, not {sorted(further)}:", sorted(found.scalings)
    scalings = [("the inputs' scaling", found.input_scaling, spec.inputs)]
    if found.target_scaling is not None:
        # With the time axis of targets at every step in front; the scaling of others spreads over it.
        scalings.append(("the targets' scaling", found.target_scaling, (*spec.inputs[:1], *targets)))
    scalings += [(f"the scaling of {name}", one, spec.example[name].shape) for name, one in found.scalings.items()]
    for what, scaling, shape in scalings:
        if not _scales(scaling, shape):
            return f"{what} has the shape", np.shape(scaling.offset)
    if found.class_names and len(found.class_names) != spec.classes:
        return f"{spec.classes} classes have so many names:", len(found.class_names)
    variables = targets[-1] if targets else 1
    if series is not None and not {*series.target_columns} <= {*range(spec.inputs[-1])}:
        return "the targets are columns", series.target_columns
    if series is not None and np.shape(series.naive_error) != (variables,):
        return f"{variables} variables have naive errors of shape", np.shape(series.naive_error)
    if spec.classes is None and targets and len(found.target_names) > np.prod(targets):
        return f"targets of shape {targets} have so many names:", len(found.target_names)
    return None


def _scales(scaling: Scaling, shape: tuple[int, ...]) -> bool:
    """Whether offset and scale spread over an example of a shape without making it larger."""
    try:
        return np.broadcast_shapes(np.shape(scaling.offset), np.shape(scaling.scale), shape) == shape
    except ValueError:
        return False


def _field_types() -> dict[str, Any]:
    return {name: one.type for name, one in Preprocessing.__dataclass_fields__.items() if name != "reader"}


def _convert(content: Any, kind: Any) -> Any:
    return msgspec.convert(content, kind, dec_hook=_from_json)


def _encoded(content: Any) -> bytes:
    return msgspec.json.encode(content, enc_hook=_to_json)


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no part of a preprocessing.")


def _from_json(kind: type, value: Any) -> Any:
    if kind is np.ndarray:
        return np.asarray(value, np.float32)
    raise TypeError(f"{kind.__name__} is no part of a preprocessing.")
