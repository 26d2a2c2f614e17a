"""What is known of values that come block by block: how many, their mean, standard deviation and bounds."""

import math

import numpy as np


class Range:
    """Count, mean, standard deviation and bounds of the values so far, in double precision; `gaps` were missing."""

    def __init__(self) -> None:
        self.count, self.gaps, self._total, self._squares, self.low, self.high = 0, 0, 0.0, 0.0, math.inf, -math.inf

    def update(self, given: np.ndarray) -> None:
        """Adds values (n,), NaN where missing; the squares as Chan et al. (1979) join those of two samples."""
        values = given[~np.isnan(given)]
        self.gaps += len(given) - len(values)
        if len(values):
            # The sum of squared distances of both samples, from their own means and between these.
            apart = float(values.mean(dtype=np.float64)) - (self.mean if self.count else 0.0)
            self._squares += len(values) * float(values.var(dtype=np.float64))
            self._squares += apart**2 * self.count * len(values) / (self.count + len(values))
            self.count, self._total = self.count + len(values), self._total + float(values.sum(dtype=np.float64))
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @property
    def mean(self) -> float:
        """The mean of all values so far."""
        return self._total / self.count

    @property
    def std(self) -> float:
        """The standard deviation of all values so far."""
        return math.sqrt(self._squares / self.count)

    @property
    def varies(self) -> bool:
        """Whether two values differ."""
        return self.low < self.high

    @property
    def tells(self) -> bool:
        """Whether a column of these values tells anything: two of them differ, or some are missing beside others."""
        return self.count > 0 and (self.varies or self.gaps > 0)
