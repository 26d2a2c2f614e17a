"""preprocessing.json: what was fitted on the training data, so that new data can be read without the old."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nnrun import checkpoint
from nnrun.datasets.array_reader import ArrayReader
from nnrun.datasets.base import Data, DataSpec, Part, Scaling, Series
from nnrun.datasets.reader import Reader
from nnrun.errors import ConfigError

NAME = "preprocessing.json"
READERS = {
    "arrays": "nnrun.datasets.array_reader.ArrayReader",
}
LARGEST = 2**27
"""Most values of an example: more is a damaged or hostile file."""


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
    reader: Reader

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
            data.reader or ArrayReader(data.spec.inputs),
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
        )

    def save(self, folder: Path) -> None:
        """Writes preprocessing.json."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reader"}
        content = {**fields, "reader": {"name": self.reader.name, **vars(self.reader)}}
        encoded = msgspec.json.encode(content, enc_hook=_to_json)
        checkpoint.write_atomically(folder / NAME, msgspec.json.format(encoded, indent=1) + b"\n")


def load(folder: Path) -> Preprocessing:
    """Reads a run's preprocessing.json. Raises ConfigError when it is missing, damaged or of another version."""
    path = folder / NAME
    again = f"Train again: nnrun repeat {folder}"
    try:
        content = msgspec.json.decode(path.read_bytes())
        own = content.pop("reader")
        reader = _convert(own, _reader_class(own.pop("name")))
        fields = {name: _convert(content[name], kind) for name, kind in _field_types().items()}
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing. {again}") from None
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise ConfigError(f"{path} is damaged or of another version ({error}). {again}") from None
    if not 0 < np.prod(fields["spec"].inputs, dtype=float) <= LARGEST:
        raise ConfigError(f"{path} says that an example has the shape {fields['spec'].inputs}, which no run writes.")
    return Preprocessing(**fields, reader=reader)


def _field_types() -> dict[str, Any]:
    return {name: field.type for name, field in Preprocessing.__dataclass_fields__.items() if name != "reader"}


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
