"""How the objective lies on an axis, and round numbers along any axis."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator

FEW_TIMES, MANY_TIMES = 5.0, 300.0
"""Between these ratios of its ends a logarithmic axis has ticks at 1, 2 and 5; below them evenly spaced ones."""
MOST_DECADES = 6
"""Ticks of an axis over many decades, roughly."""
LOG_FROM = 20.0
"""Positive values to minimize whose extremes differ by this factor lie on a logarithmic axis."""


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

    def within(self, values: np.ndarray) -> np.ndarray:
        """Values in their own units, those outside as the nearer end."""
        ends = np.array([self.low, self.high])
        return np.clip(values, *(10.0**ends if self.log else ends))

    def ticks(self) -> dict[float, str]:
        """Round values within the scale and their texts."""
        return ticks(10.0**self.low, 10.0**self.high, True) if self.log else ticks(self.low, self.high, False)


def objective_scale(values: Sequence[float], direction: str, keep: float = 0.9) -> Scale:
    """A scale on which a few values far worse than the `keep` best do not hide what the others do."""
    found = np.asarray([value for value in values if math.isfinite(value)], dtype=float)
    log = bool(direction == "minimize" and found.min() > 0 and found.max() > LOG_FROM * found.min())
    found = np.log10(found) if log else found
    best, sign = (found.max(), -1.0) if direction == "maximize" else (found.min(), 1.0)
    worse = np.abs(found - best)
    # Distances from the best, so that one rule serves both directions. The axis ends at the worst value, unless the
    # `keep` best lie within a third of the way: then it ends a little behind these.
    usual, most = np.quantile(worse, keep, method="lower"), worse.max()
    reach = 1.5 * usual if 0 < 3 * usual < most else most
    # Of equal values, whose reach is 0, five percent of the value itself, and of zeros some number.
    margin = 0.05 * reach or 0.05 * abs(best) or 0.05
    low, high = sorted((best - sign * margin, best + sign * (reach + margin)))
    return Scale(log, float(low), float(high), int((worse > reach + margin).sum()), float(best + sign * most))


def ticks(low: float, high: float, log: bool, whole: bool = False) -> dict[float, str]:
    """Round numbers from low to high and their texts.

    Where `log` these are 1, 2 and 5 times powers of ten, over many decades such powers alone.
    """
    if log and high > FEW_TIMES * low:
        subs = (1.0, 2.0, 5.0) if high < MANY_TIMES * low else (1.0,)
        at = LogLocator(subs=subs, numticks=MOST_DECADES + 2).tick_values(low, high)
    else:
        at = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
    # The locators give one more on either side; an end that is round itself may be off by its last digit.
    inside = np.isclose(np.clip(at, low, high), at, rtol=1e-9, atol=0)
    return {float(value): f"{value:.6g}" for value in np.asarray(at)[inside]}
