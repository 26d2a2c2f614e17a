"""The Mackey-Glass series."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.series.windowed import SeriesConfig, Windowed
from nnrun.schema import size

TRANSIENT = 500
"""Units of time that are left out, so that the series starts near the attractor."""


@dataclass(frozen=True)
class MackeyGlassConfig(SeriesConfig):
    """Keys of dataset=mackey_glass."""

    delay: int = size(17, "τ in units of time; chaotic from 17 on", changes="question")
    interval: int = size(1, "units of time from one step to the next", changes="question")


class MackeyGlass(Windowed):
    """dx/dt = 0.2 x(t-τ) / (1 + x(t-τ)^10) - 0.1 x(t), sampled every `interval`; chaotic, without a period.

    Source: Mackey & Glass, Oscillation and chaos in physiological control systems, Science 197 (1977).
    """

    config: MackeyGlassConfig

    def values(self, rng: np.random.Generator) -> np.ndarray:
        """(length, 1) the solution from a random constant history."""
        c = self.config
        path = integrate(float(rng.uniform(0.5, 1.5)), c.delay, TRANSIENT + c.length * c.interval)
        return path[TRANSIENT :: c.interval][: c.length, None]


def integrate(start: float, delay: int, duration: int, substeps: int = 10) -> np.ndarray:
    """x(0), x(1), ..., x(duration) for the constant history x(t <= 0) = start.

    Fourth-order Runge-Kutta with `substeps` steps per unit of time; the delayed value between two steps comes from the
    cubic Hermite polynomial, so the whole method is of fourth order.
    """
    h, lag = 1.0 / substeps, delay * substeps
    x, slope = [start] * (lag + 1), [0.0] * lag
    for k in range(duration * substeps):
        # x bends at time 0: the last piece of the history still ends flat.
        end_slope = slope[k + 1] if k + 1 != lag else 0.0
        middle = _growth((x[k] + x[k + 1]) / 2 + h * (slope[k] - end_slope) / 8)
        now, k1 = x[-1], _growth(x[k]) - 0.1 * x[-1]
        # The delayed term depends on the past alone: both slopes at the middle of the step share it.
        k2 = middle - 0.1 * (now + h / 2 * k1)
        k3 = middle - 0.1 * (now + h / 2 * k2)
        k4 = _growth(x[k + 1]) - 0.1 * (now + h * k3)
        slope.append(k1)
        x.append(now + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(x[lag::substeps])


def _growth(delayed: float) -> float:
    return 0.2 * delayed / (1.0 + delayed**10)
