"""A space as a model sees it: coordinates in the unit cube, and features made of them."""

from collections.abc import Sequence

import numpy as np

from nnrun.search.points import Axis
from nnrun.search.space import Params, Space

INSIDE = 1e-6
"""How near to an end of its interval a value is tried, as a share of it."""


class Encoding:
    """Points as rows of coordinates, (n, dimensions), not a number where a key does not apply.

    Features, (n, features), are what distances are taken of: the coordinate itself where values have an order,
    an indicator per value where they have none. A key that does not apply gets the middle, or no indicator at all.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = [Axis(dimension) for dimension in space.dimensions.values()]
        self.continuous = np.array([axis.continuous for axis in self.axes], bool)
        # Two listed values need one feature: any two numbers are in some order.
        self.ordered = np.array([axis.ordered or len(axis.listed or ()) <= 2 for axis in self.axes], bool)
        self.cell = np.array([0.0 if axis.continuous else 1 / axis.count for axis in self.axes])
        self.widths = [1 if ordered else axis.count for ordered, axis in zip(self.ordered, self.axes, strict=True)]
        self.first_features = np.cumsum([0, *self.widths[:-1]])

    def encode(self, points: Sequence[Params]) -> np.ndarray:
        """Coordinates of points."""
        named = list(zip(self.space, self.axes, strict=True))
        rows = [[axis.encode(point[key]) if key in point else np.nan for key, axis in named] for point in points]
        return np.array(rows, float).reshape(len(points), len(self.axes))

    def decode(self, row: np.ndarray) -> Params:
        """The point at one row of coordinates.

        An end of an interval is approached and not reached: a 0 may leave something out of the program, which is then
        another one to compile.
        """
        middle = np.clip(np.where(np.isnan(row), 0.5, row), INSIDE, 1 - INSIDE)
        named = zip(self.space, self.axes, middle, strict=True)
        return self.space.active({key: axis.decode(np.array([place]))[0] for key, axis, place in named})

    def snap(self, rows: np.ndarray) -> np.ndarray:
        """The nearest rows that are coordinates of points."""
        rows = np.clip(np.where(np.isnan(rows), 0.5, rows), INSIDE, 1 - INSIDE)
        snapped = np.stack([axis.snap(column) for axis, column in zip(self.axes, rows.T, strict=True)], axis=1)
        snapped[self._lacking(snapped)] = np.nan
        return snapped

    def _lacking(self, rows: np.ndarray) -> np.ndarray:
        """Which coordinates belong to keys that do not apply, (n, dimensions)."""
        keys = list(self.space)
        lacking = np.zeros(rows.shape, bool)
        for choice, absent in self.space.lacking.items():
            chosen = np.ones(len(rows), bool)
            for name, value in zip(self.space.choosers, choice, strict=True):
                column = keys.index(name)
                chosen &= np.isclose(rows[:, column], self.axes[column].encode(value))
            lacking[np.ix_(chosen, np.array([key in absent for key in keys]))] = True
        return lacking

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Features of rows of coordinates."""
        middle = np.where(np.isnan(rows), 0.5, rows)
        columns = [
            middle[:, [i]] if self.ordered[i] else self._indicators(i, rows[:, i]) for i in range(len(self.axes))
        ]
        return np.concatenate(columns, axis=1)

    def _indicators(self, dimension: int, column: np.ndarray) -> np.ndarray:
        axis = self.axes[dimension]
        cells = axis.cells(np.where(np.isnan(column), 0.0, column))
        return np.where(np.isnan(column)[:, None], 0.0, np.eye(axis.count)[cells])
