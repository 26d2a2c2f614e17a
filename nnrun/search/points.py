"""Points of a space: all of them in order, those that are new, and their coordinates in the unit cube."""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from nnrun.errors import ConfigError
from nnrun.search.space import Categorical, Dimension, Interval, Params, Space, Steps


def identity(point: Params) -> str:
    """A text that equal points share, also one that was read back from JSON."""
    return json.dumps(point, sort_keys=True, default=repr)


def unasked(points: Iterable[Params], asked: Iterable[Params]) -> Iterator[Params]:
    """The points that are not among those asked for, each once."""
    seen = {identity(point) for point in asked}
    for point in points:
        if (name := identity(point)) not in seen:
            seen.add(name)
            yield point


def given(values: Params, space: Space, position: int) -> Params:
    """A point that was typed, one of `search.first`, as the space has it. Raises ConfigError where it has none such."""
    if wrong := misfit(values, space):
        raise ConfigError(
            f"search.first[{position}] must be a point of the space that is searched, but {wrong}. "
            f"Give a value to each of {', '.join(space)} that applies."
        )
    return {key: Axis(dimension).own(values[key]) for key, dimension in space.dimensions.items() if key in values}


def misfit(point: Params, space: Space) -> str:
    """What keeps a point from being one of the space, as words that follow "but"; empty where nothing does."""
    if unknown := [key for key in point if key not in space.dimensions]:
        return f"{unknown[0]} is not searched"
    for key, value in point.items():
        if value not in Axis(space.dimensions[key]):
            return f"{key}={value} is none of the values that are tried"
    if lacking := [key for key in space.choosers if key not in point]:
        return f"{lacking[0]} has no value"
    absent = space.absent(point)
    for key in space:
        if (key in absent) == (key in point):
            return f"{key} {'does not apply' if key in absent else 'has no value'}"
    return ""


def values(dimension: Dimension) -> tuple[Any, ...] | None:
    """All values of a dimension in order; None where there is no end of them."""
    if isinstance(dimension, Categorical | Steps):
        return dimension.values
    if dimension.integer:
        return tuple(range(math.ceil(dimension.low), math.floor(dimension.high) + 1))
    return (float(dimension.low),) if dimension.low == dimension.high else None


def finite(space: Space) -> bool:
    """Whether the space has an end."""
    return not any(isinstance(d, Interval) and not d.integer and d.low < d.high for d in space.dimensions.values())


def product(space: Space) -> Iterator[Params]:
    """Every point of a finite space; the last dimension varies fastest."""
    every = [values(dimension) or () for dimension in space.dimensions.values()]
    return (space.active(dict(zip(space, combination, strict=True))) for combination in itertools.product(*every))


class Axis:
    """A dimension as the unit interval: listed values are cells of equal width, numbers lie by size or by logarithm."""

    def __init__(self, dimension: Dimension) -> None:
        spans = isinstance(dimension, Interval) and dimension.low < dimension.high
        self.listed = None if spans else values(dimension)
        self.continuous = isinstance(dimension, Interval) and self.listed is None and not dimension.integer
        self.ordered = not isinstance(dimension, Categorical) or _numeric(dimension.values)
        self.log = isinstance(dimension, Interval) and dimension.log
        if isinstance(dimension, Categorical) and self.ordered:
            self.listed = tuple(sorted(dimension.values))
        if isinstance(dimension, Interval) and self.listed is None:
            self.low, self.high = dimension.low, dimension.high
            # Whole numbers get half a step beyond both ends, so that the first and the last are as wide as the others.
            margin = 0.0 if self.continuous else 0.5
            if not self.continuous:
                self.low, self.high = math.ceil(self.low), math.floor(self.high)
            self.scale: Callable = np.log if self.log else np.asarray
            self.unscale: Callable = np.exp if self.log else np.asarray
            self.start, self.stop = (float(self.scale(edge)) for edge in (self.low - margin, self.high + margin))
        # By text, because 1, 1.0 and True are one key of a dict; reversed, so that of equal values the first counts.
        self._cells = {identity({"": value}): cell for cell, value in reversed([*enumerate(self.listed or ())])}
        self.count = len(self.listed) if self.listed is not None else round(self.high - self.low) + 1
        """Values there are; without meaning for a continuous axis."""

    def __contains__(self, value: Any) -> bool:
        """Whether the dimension has the value."""
        if self.listed is not None:
            return identity({"": value}) in self._cells
        kinds = (int, float) if self.continuous else (int,)
        return type(value) in kinds and self.low <= value <= self.high

    def own(self, value: Any) -> Any:
        """A value that the dimension has, in its own type."""
        if self.listed is not None:
            return self.listed[self._cells[identity({"": value})]]
        return float(value) if self.continuous else value

    def decode(self, coordinates: np.ndarray) -> list[Any]:
        """Coordinates in [0, 1], (n,), as plain Python values."""
        if self.listed is not None:
            return [self.listed[cell] for cell in self.cells(coordinates)]
        numbers = self.unscale(self.start + coordinates * (self.stop - self.start))
        return np.clip(numbers if self.continuous else np.rint(numbers).astype(int), self.low, self.high).tolist()

    def encode(self, value: Any) -> float:
        """The coordinate of a value: the middle of its cell, or its place between the bounds."""
        if self.listed is not None:
            return (self._cells[identity({"": value})] + 0.5) / self.count
        return (float(self.scale(value)) - self.start) / (self.stop - self.start)

    def snap(self, coordinates: np.ndarray) -> np.ndarray:
        """The coordinates of the values that `decode` gives."""
        if self.continuous:
            return coordinates
        if self.listed is not None:
            return (self.cells(coordinates) + 0.5) / len(self.listed)
        numbers = np.asarray(self.decode(coordinates), float)
        return (self.scale(numbers) - self.start) / (self.stop - self.start)

    def cells(self, coordinates: np.ndarray) -> np.ndarray:
        """Positions among the listed values."""
        return np.minimum((coordinates * self.count).astype(int), self.count - 1)


def _numeric(listed: tuple[Any, ...]) -> bool:
    return len(listed) > 2 and all(type(value) in (int, float) for value in listed)


def decode(space: Space, rows: np.ndarray) -> list[Params]:
    """Rows of the unit cube, (n, dimensions), as points with their active keys."""
    columns = [Axis(d).decode(column) for d, column in zip(space.dimensions.values(), rows.T, strict=True)]
    if not columns:
        return [{} for _ in rows]
    return [space.active(dict(zip(space, row, strict=True))) for row in zip(*columns, strict=True)]
