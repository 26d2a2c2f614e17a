"""What the headers of an `.npz` file tell of a data set, checked before its arrays are read."""

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnrun.datasets.arrays.file import Headers, check_claim, npz_blocks, npz_layout
from nnrun.datasets.base import DataSpec, Kind
from nnrun.errors import ConfigError

PARTS = ("train", "val", "test")
NAMES = ("inputs", "targets", "lengths", "anomaly")
KERAS = {"inputs": "x", "targets": "y"}
"""Names that a part is put behind: x_train, y_train, x_test, y_test."""
BLOCK_ROWS = 1024
MOST_CLASSES = 1000
"""Largest number of different whole numbers that are taken for classes, unless that is stated."""
KINDS: dict[int, tuple[Kind, str]] = {
    2: ("table", "(n, features)"),
    3: ("series", "(n, steps, channels)"),
    4: ("image", "(n, height, width, channels)"),
}
Members = dict[str, str]
"""Name of an array -> its name in the file."""


class Plan(NamedTuple):
    """Spec, the arrays of the training, validation and test part, and what was found in the targets.

    members: empty for a part that was not given. classes: (classes,) the different targets, None for numbers.
    """

    spec: DataSpec
    members: tuple[Members, ...]
    classes: np.ndarray | None


@lru_cache(maxsize=4)
def plan(path: Path, kind: str, targets: str, marks: bool, stamp: tuple[int, int]) -> Plan:
    """Reads the headers and, for classes, the training targets; `stamp` tells whether the file was changed.

    marks: whether an array anomaly is read.
    Raises ConfigError for arrays that are missing, do not fit, or cannot be what the file says; RunError for a damaged
    file.
    """
    layout = npz_layout(path)
    members = tuple(_members(layout, part, marks) for part in PARTS)
    train = members[0]
    if "inputs" not in train:
        held = ", ".join(f"{name} of shape {layout[name][0]}" for name in sorted(layout)) or "nothing"
        raise ConfigError(
            f"{path} must hold an array inputs, but holds {held}. Save it with names that are known: "
            "numpy.savez(FILE, inputs=X, targets=y), or x_train and y_train, x_test and y_test."
        )
    for part in members:
        for name, member in part.items():
            _check_type(path, name, member, *layout[member])
        _check_part(path, layout, train, part)
    anomalies = any("anomaly" in part for part in members)
    tested = members[2] or train
    if anomalies and "anomaly" not in tested:
        raise ConfigError(
            f"{path} marks anomalous examples, but has no array anomaly for {tested['inputs']}, from which the test "
            "part comes. Add one, or set dataset.anomaly=null."
        )
    every = [layout[member] for part in members for member in part.values()]
    check_claim(path, sum(math.prod(shape) * dtype.itemsize for shape, dtype in every))
    inputs, what = _inputs(path, *layout[train["inputs"]], kind)
    spec = DataSpec(what, inputs, None, "reconstruction", lengths="lengths" in train, anomalies=anomalies)
    found = Plan(spec, members, None)
    if "targets" not in train:
        return found
    found = _with_targets(path, found, layout, targets)
    # Where some examples are marked, what is usual is to be learned, whatever else is known of them.
    return found._replace(spec=replace(found.spec, task="reconstruction")) if anomalies else found


def _with_targets(path: Path, found: Plan, layout: Headers, targets: str) -> Plan:
    train = found.members[0]
    shape, dtype = layout[train["targets"]]
    # Whole numbers that nobody calls classes are such up to MOST_CLASSES of them.
    if targets == "classes" or (targets == "auto" and dtype.kind in "iubU"):
        stated = targets == "classes" or dtype.kind not in "iu"
        return _with_classes(path, found, shape, stated)
    return _with_numbers(path, found, shape, dtype)


def read(path: Path, member: str) -> np.ndarray:
    """One array of the file, filled block by block. Raises RunError for a damaged file."""
    layout: Headers = {}
    found, rows = np.empty(0), 0
    for block in npz_blocks(path, BLOCK_ROWS, (member,), layout.update):
        values = block[member]
        if not rows:
            found = np.empty(*layout[member])
        found[rows : rows + len(values)] = values
        rows += len(values)
    return found


def _members(layout: Headers, part: str, marks: bool) -> Members:
    prefix = "" if part == "train" else f"{part}_"
    wanted = NAMES if marks else NAMES[:-1]
    names = {name: (prefix + name, f"{KERAS.get(name, name)}_{part}") for name in wanted}
    found = {name: [key for key in keys if key in layout] for name, keys in names.items()}
    return {name: keys[0] for name, keys in found.items() if keys}


def _check_type(path: Path, name: str, member: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    # NumPy's letters: f floats, i and u whole numbers, b booleans, U texts.
    if dtype.kind not in ("fiubU" if name == "targets" else "fiub"):
        raise ConfigError(f"{path}: {member} must be numbers, but is of type {dtype}. Save it with another dtype.")
    if not shape or any(extent < 1 for extent in shape):
        raise ConfigError(f"{path}: {member} has the shape {shape}, in which there is no example.")


def _check_part(path: Path, layout: Headers, train: Members, part: Members) -> None:
    """A part that was given has what the training part has, of the same shapes."""
    if not part:
        return
    # Who gives no marks of a part says that all of it is normal.
    if lacking := sorted((set(train) ^ set(part)) - {"anomaly"}):
        raise ConfigError(
            f"{path} gives {lacking[0]} for some parts alone. Give them for training, validation and test, or for none "
            f"but the training part; it holds {', '.join(sorted(layout))}."
        )
    rows = layout[part["inputs"]][0][0]
    for name, member in part.items():
        shape = layout[member][0]
        wanted = (rows, *(() if name == "anomaly" else layout[train[name]][0][1:]))
        if shape != wanted:
            raise ConfigError(
                f"{path}: {member} must have the shape {wanted}, but has {shape}. Give one row for each example, and "
                "examples of one shape."
            )


def _inputs(path: Path, shape: tuple[int, ...], dtype: np.dtype, kind: str) -> tuple[tuple[int, ...], Kind]:
    """Shape of an example, and what it is."""
    if len(shape) == 3 and (kind == "image" or (kind == "auto" and dtype == np.uint8)):
        return (*shape[1:], 1), "image"
    for axes, (known, described) in KINDS.items():
        if kind in ("auto", known) and axes == len(shape):
            return shape[1:], known
        if kind == known:
            raise ConfigError(
                f"{path}: inputs must have the shape {described} of dataset.kind={kind}, but have the shape {shape}. "
                "Reshape them or leave dataset.kind=auto."
            )
    raise ConfigError(f"{path}: inputs must have 2, 3 or 4 axes, but have the shape {shape}. Reshape them.")


def _is_stepwise(spec: DataSpec, shape: tuple[int, ...], axes: int) -> bool:
    """Whether targets have a row for every step of a series."""
    return spec.kind == "series" and len(shape) == axes and shape[1] == spec.inputs[0]


def _with_classes(path: Path, found: Plan, shape: tuple[int, ...], stated: bool) -> Plan:
    per_step = _is_stepwise(found.spec, shape, 2)
    if shape[1:] not in ((), (1,)) and not per_step:
        raise ConfigError(
            f"{path}: classes must be (n,), or (n, steps) for series, but targets have the shape {shape}. Save the "
            "number of the class, or set dataset.targets=numbers for several values."
        )
    classes = np.unique(read(path, found.members[0]["targets"]))
    if not stated and len(classes) > MOST_CLASSES:
        raise ConfigError(
            f"{path}: targets are {len(classes)} different whole numbers. Set dataset.targets=numbers, or "
            "dataset.targets=classes if each is a class."
        )
    spec = replace(found.spec, targets=(), task="classification", classes=len(classes), per_step=per_step)
    return found._replace(spec=spec, classes=classes)


def _with_numbers(path: Path, found: Plan, shape: tuple[int, ...], dtype: np.dtype) -> Plan:
    per_step = _is_stepwise(found.spec, shape, 3)
    if dtype.kind == "U" or len(shape) > 2 + per_step:
        raise ConfigError(
            f"{path}: numbers to predict must be (n,) or (n, values), or (n, steps, values) for series, but targets "
            f"are {dtype} of shape {shape}. Reshape them, or set dataset.targets=classes."
        )
    values = shape[-1] if len(shape) > 1 else 1
    return found._replace(spec=replace(found.spec, targets=(values,), task="regression", per_step=per_step))
