"""Acquisition functions: how much a point promises, from the mean and the deviation that a model expects there."""

from collections.abc import Callable
from typing import Literal

import numpy as np

Acquisition = Literal["log_ei", "ei", "pi", "lcb"]
Promise = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The promise, larger where better, and its derivatives by mean and by deviation; each (n,)."""

CAUTION = 1.96
"""Deviations below the mean that the lower confidence bound looks at."""
MARGIN = 0.1
"""An improvement counts from there on: without it the probability is largest next to the best point."""
FAR = -100.0
"""Number of deviations below which the asymptotic form of the improvement is exact to rounding."""


def _log_ei(mean: np.ndarray, deviation: np.ndarray, best: float) -> Promise:
    """log E[max(best - f, 0)], f ~ N(mean, deviation^2).

    log h(z) + log deviation with z = (best - mean) / deviation, h(z) = phi(z) + z Phi(z), through erfcx where phi
    underflows. Source: Ament et al., "Unexpected Improvements to Expected Improvement", NeurIPS 2023.
    """
    from scipy.special import erfcx

    z = np.clip((best - mean) / deviation, -1e3, 30)
    ratio = np.sqrt(np.pi / 2) * erfcx(-z / np.sqrt(2))  # Phi / phi
    improvement = np.where(z < FAR, 1 / np.minimum(z, FAR) ** 2, 1 + z * ratio)  # h / phi
    value = -0.5 * z * z - 0.5 * np.log(2 * np.pi) + np.log(improvement) + np.log(deviation)
    return value, -ratio / improvement / deviation, 1 / improvement / deviation


def _ei(mean: np.ndarray, deviation: np.ndarray, best: float) -> Promise:
    """E[max(best - f, 0)] = deviation (phi(z) + z Phi(z)). Source: Jones et al., J. Global Optimization 13 (1998)."""
    from scipy.special import ndtr

    z = (best - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return deviation * (density + z * ndtr(z)), -ndtr(z), density


def _pi(mean: np.ndarray, deviation: np.ndarray, best: float) -> Promise:
    """log P(f < best - 0.1) = log Phi(z); costs are standardised. Source: Kushner, J. Basic Engineering 86 (1964)."""
    from scipy.special import log_ndtr

    z = (best - MARGIN - mean) / deviation
    slope = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_ndtr(z))
    return log_ndtr(z), -slope / deviation, -z * slope / deviation


def _lcb(mean: np.ndarray, deviation: np.ndarray, best: float) -> Promise:
    """-(mean - 1.96 deviation). Source: Cox and John, IEEE SMC (1992)."""
    return CAUTION * deviation - mean, np.full_like(mean, -1.0), np.full_like(mean, CAUTION)


ACQUISITIONS: dict[str, Callable[[np.ndarray, np.ndarray, float], Promise]] = {
    "log_ei": _log_ei,
    "ei": _ei,
    "pi": _pi,
    "lcb": _lcb,
}
LOGARITHMIC = ("log_ei", "pi")
"""Acquisitions that are a logarithm."""
