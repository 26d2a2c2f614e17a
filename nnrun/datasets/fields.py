"""What an example is made of: named arrays, which the rest of nnrun walks and never lists by name."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nnrun.datasets.part import Part
from nnrun.errors import ConfigError

FieldType = Literal["float32", "int32", "uint8", "bool"]
RESERVED = ("mask", "index")
"""Arrays that nnrun itself adds to a batch: which examples are real, and their numbers."""


@dataclass(frozen=True)
class Field:
    """One array of an example; a part and a batch have it under its name as (examples, *shape).

    name: its key in a part and in a batch.
    shape: of one example, () for a single number; a time axis is padded to the longest example.
    dtype: what the network is given. Floats follow training.precision, everything else reaches it as it is.
    time: the axis of `shape` that counts steps, None without one.
    lengths: the field that says how many of those steps are valid, None where all are.
    scaled: it lies in the data in its own units, as any kind of number, and reaches the network scaled, as a float.
    below: its whole numbers lie in 0 ... below - 1: one bound for all, or one for every column of the last axis.
    answer: it is to be predicted: files may lack it, and a network that predicts is not shown it.
    moves_with: the field of images whose pixels it describes, (height, width) or (height, width, channels):
        augmentation mirrors, turns and crops it with them.
    outside: its value where augmentation moves in what lies beyond the edge; None: the edge's own, as in the image.
    """

    name: str
    shape: tuple[int, ...]
    dtype: FieldType = "float32"
    time: int | None = None
    lengths: str | None = None
    scaled: bool = False
    below: tuple[int, ...] = ()
    answer: bool = False
    moves_with: str | None = None
    outside: int | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for a field that contradicts itself."""
        if self.name in RESERVED:
            raise ConfigError(
                f"A field of an example must not be called {self.name}, which is an array that nnrun adds to every "
                f"batch, but one of shape {self.shape} is. Give it another name."
            )
        if self.dtype not in get_args(FieldType):
            raise self._wrong("dtype", f"one of {', '.join(get_args(FieldType))}", self.dtype)
        if self.scaled and self.dtype != "float32":
            raise self._wrong("dtype", "float32, because it is scaled", self.dtype)
        if self.time is not None and not 0 <= self.time < len(self.shape):
            raise self._wrong("time", f"an axis of its shape {self.shape}, from 0", self.time)
        if self.lengths is not None and self.time is None:
            raise self._wrong("time", f"the axis whose valid steps {self.lengths} counts", None)
        if len(self.below) > 1 and self.shape[-1:] != (len(self.below),):
            raise self._wrong("below", f"one bound, or one for each column of its shape {self.shape}", self.below)

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers, and stay so up to the network."""
        return self.dtype != "float32"

    @property
    def size(self) -> int:
        """Numbers of one example."""
        return math.prod(self.shape)

    def outliers(self, values: np.ndarray) -> np.ndarray:
        """A mask of the values (examples, *shape) that are no whole numbers, or not in the field's range."""
        # NaN is unlike itself, so it counts as one of them.
        found = values != np.rint(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        return found | (values < 0) | (values >= np.array(self.below)) if self.below else found

    def _wrong(self, what: str, rule: str, got: object) -> ConfigError:
        return ConfigError(f"Field {self.name}: {what} must be {rule}, but got {got}. Correct it in the data set.")


def by_name(usual: Iterable[Field], own: Iterable[Field]) -> dict[str, Field]:
    """All fields of an example: one of a data set's own stands in the place of a usual one of the same name."""
    return {field.name: field for field in (*usual, *own)}


def check(usual: tuple[Field, ...], own: tuple[Field, ...]) -> None:
    """Raises ConfigError where the fields of a data set's own do not fit each other or the usual ones."""
    shapes, all_shapes = ({field.name: field.shape for field in some} for some in (usual, (*usual, *own)))
    lengths = {field.name for field in by_name(usual, own).values() if field.whole and field.shape == ()}
    if len({field.name for field in own}) < len(own):
        raise ConfigError(
            f"Every field needs a name of its own, but got {', '.join(field.name for field in own)}. Rename one."
        )
    for field in own:
        if shapes.get(field.name, field.shape) != field.shape:
            raise field._wrong("shape", f"{shapes[field.name]}, as DataSpec has it", field.shape)
        if field.lengths is not None and field.lengths not in lengths:
            raise field._wrong("lengths", "the name of a field of single whole numbers", field.lengths)
        images = all_shapes.get(field.moves_with or "", ())
        if field.moves_with is not None and not (len(images) == 3 and images[:2] == field.shape[:2]):
            sides = f"the name of images (height, width, channels) with the sides of its own shape {field.shape}"
            raise field._wrong("moves_with", sides, field.moves_with)


def check_part(part: Part, fields: Iterable[Field]) -> None:
    """Raises ConfigError where the arrays of a part are not what the fields say."""
    for field in fields:
        values = part.get(field.name)
        if values is None and not field.answer:
            raise ConfigError(f"Every part needs the field {field.name}, but has {', '.join(part)}. Add it.")
        if values is None:
            continue
        kinds = "iub" if field.whole else "fiub"
        if values.shape[1:] != field.shape or values.dtype.kind not in kinds:
            numbers = "whole numbers" if field.whole else "numbers"
            raise ConfigError(
                f"The field {field.name} must hold {numbers} {rows(field.shape)}, but got {values.dtype} of "
                f"shape {values.shape}. Correct it in the data set."
            )


def rows(shape: tuple[int, ...]) -> str:
    """The shape of any number of examples, in words."""
    return f"(n, {', '.join(map(str, shape))})" if shape else "(n,)"
