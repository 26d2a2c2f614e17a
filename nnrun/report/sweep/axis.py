"""Where the values of a hyperparameter and of the objective lie on an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from nnrun.report.sweep.text import shown
from nnrun.search.space import Categorical, Dimension, Interval, Params

MOST_CATEGORIES = 12
"""More choices than these, if numbers, lie on an axis of numbers."""
LEAST_DECADES, MANY_DECADES = 0.7, 2.5
"""Between these lengths a logarithmic axis has ticks at 1, 2 and 5; below them evenly spaced ones."""
MOST_DECADES = 6
"""Ticks of an axis over many decades, roughly."""
LOG_FROM = 20.0
"""Positive values to minimize whose extremes differ by this factor lie on a logarithmic axis."""


@dataclass(frozen=True)
class Axis:
    """The axis of a hyperparameter: of numbers (`whole` ones alone), or with a place for each of its `categories`."""

    key: str
    categories: tuple[str, ...] = ()
    log: bool = False
    whole: bool = False

    @classmethod
    def of(cls, key: str, dimension: Dimension) -> "Axis":
        """The axis that suits a dimension."""
        if isinstance(dimension, Interval):
            return cls(key, log=dimension.log, whole=dimension.integer)
        values = dimension.values
        numbers = all(is_number(value) for value in values)
        if numbers and (len(values) > MOST_CATEGORIES or not isinstance(dimension, Categorical)):
            wide = min(values) > 0 and max(values) > LOG_FROM * min(values)
            return cls(key, log=wide, whole=all(isinstance(value, int) for value in values))
        return cls(key, tuple(dict.fromkeys(map(shown, sorted(values) if numbers else values))))

    def place(self, params: Params) -> float:
        """The number, or the position of the category; NaN where the key does not apply."""
        if self.key not in params:
            return math.nan
        value = params[self.key]
        if self.categories:
            return float(self.categories.index(shown(value))) if shown(value) in self.categories else math.nan
        return float(value) if is_number(value) and (value > 0 or not self.log) else math.nan

    def places(self, points: Sequence[Params]) -> np.ndarray:
        """Of every point, (points,)."""
        return np.array([self.place(params) for params in points], dtype=float)


class Scale(NamedTuple):
    """An axis for the objective: from `low` to `high` (exponents of ten where `log`).

    `beyond` values lie outside, the worst of all at `worst`.
    """

    log: bool
    low: float
    high: float
    beyond: int
    worst: float

    def places(self, values: Sequence[float]) -> np.ndarray:
        """Values as positions between `low` and `high`, those outside at the nearer end."""
        return np.clip(np.log10(values) if self.log else np.asarray(values, dtype=float), self.low, self.high)


def objective_scale(values: Sequence[float], direction: str, keep: float = 0.9) -> Scale:
    """A scale on which a few values far worse than the `keep` best do not hide what the others do."""
    found = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
    log = bool(direction == "minimize" and found.min() > 0 and found.max() > LOG_FROM * found.min())
    found = np.log10(found) if log else found
    best, sign = (found.max(), -1.0) if direction == "maximize" else (found.min(), 1.0)
    worse = np.abs(found - best)
    usual, most = np.quantile(worse, keep, method="lower"), worse.max()
    reach = 1.5 * usual if 0 < 3 * usual < most else most
    margin = 0.05 * reach or 0.05 * abs(best) or 0.05
    low, high = sorted((best - sign * margin, best + sign * (reach + margin)))
    return Scale(log, float(low), float(high), int((worse > reach + margin).sum()), float(best + sign * most))


def ticks(low: float, high: float, log: bool, whole: bool = False) -> dict[float, str]:
    """Places of round numbers from low to high (exponents of ten where log), and their texts; a lone value is its own.

    On a logarithmic axis these are 1, 2 and 5 times powers of ten, over many decades such powers only.
    """
    if low == high:
        at = np.array([low])
    elif log and high - low >= LEAST_DECADES:
        at = _decades(low, high)
    else:
        at = _evenly_spaced(low, high, log, whole)
    at = at[(at >= low - 1e-9) & (at <= high + 1e-9)]
    return {float(value): f"{10.0**value if log else value:.6g}" for value in at}


def _evenly_spaced(low: float, high: float, log: bool, whole: bool) -> np.ndarray:
    locator, ends = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=whole), np.array([low, high])
    if not log:
        return np.asarray(locator.tick_values(*ends))
    values = np.asarray(locator.tick_values(*(10.0**ends)))
    return np.asarray(np.log10(values[values > 0]))


def _decades(low: float, high: float) -> np.ndarray:
    """Exponents that reach from low to high."""
    exponents = np.arange(math.floor(low), math.ceil(high) + 1.0)
    if high - low < MANY_DECADES:
        return np.add.outer(exponents, np.log10([1, 2, 5])).ravel()
    return exponents[exponents % math.ceil((high - low) / MOST_DECADES) == 0]


def is_number(value: Any) -> bool:
    """Whether it has a place on an axis of numbers: true and false have none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
