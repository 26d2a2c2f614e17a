"""Outcomes as a model wants them: which of many, failures as finite costs, without outliers, near to normal."""

import numpy as np

OUTLIER = 10.0
"""Costs this many times as far above the median as the best one is below it say no more than "bad"."""

LARGEST = 1e100
"""Squares of larger costs overflow."""
POWERS = np.arange(-5.05, 7.1, 0.1)
"""Exponents of the transformation; none of them is 0 or 2, where its formula is a logarithm."""


def chosen(costs: np.ndarray, limit: int) -> np.ndarray:
    """Positions of at most `limit` costs, in order: of the best, the latest, and evenly of the rest, a third each."""
    positions = np.arange(len(costs))
    if len(costs) <= limit:
        return positions
    third = limit // 3
    order = np.argsort(np.where(np.isfinite(costs), costs, np.inf), kind="stable")
    kept = np.union1d(order[:third], positions[-third:])
    rest = np.setdiff1d(positions, kept)
    spread = rest[np.linspace(0, len(rest) - 1, limit - len(kept)).astype(int)]
    return np.union1d(kept, spread)


def standardized(costs: np.ndarray) -> np.ndarray:
    """Costs with mean 0 and deviation 1 after a Yeo-Johnson transformation; a failed one counts as the worst.

    Source: Yeo and Johnson, Biometrika 87 (2000).
    """
    if not np.isfinite(costs).any():
        return np.zeros(len(costs))
    scaled = _scaled(_sound(costs))
    return _scaled(_normalized(scaled)[0]) if scaled.any() else scaled


def original(values: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The costs that `standardized(costs)` would turn into `values`; infinite where these lie beyond any of them."""
    sound = _sound(costs)
    scaled = _scaled(sound)
    if not scaled.any():
        return np.full(len(values), sound.mean())
    normal, power = _normalized(scaled)
    transformed = normal.mean() + normal.std() * values
    side = np.where(transformed < 0, 2 - power, power)
    with np.errstate(divide="ignore"):
        size = np.expm1(np.log1p(np.maximum(side * np.abs(transformed), -1)) / side)
    return sound.mean() + sound.std() * np.sign(transformed) * size


def _sound(costs: np.ndarray) -> np.ndarray:
    """Finite costs without outliers, of which at least one is finite."""
    finite = np.isfinite(costs)
    sound = np.clip(np.where(finite, costs, costs[finite].max()), -LARGEST, LARGEST)
    return np.minimum(sound, _ceiling(sound))


def _normalized(costs: np.ndarray) -> tuple[np.ndarray, float]:
    """The transformation of the power under which normal costs are likeliest, of a fixed grid, and that power."""
    transformed = _yeo_johnson(costs, POWERS[:, None])  # (powers, costs)
    stretched = (np.sign(costs) * np.log1p(np.abs(costs))).sum()
    likelihood = (POWERS - 1) * stretched - len(costs) / 2 * np.log(transformed.var(axis=1))
    likeliest = np.argmax(likelihood)
    return transformed[likeliest], POWERS[likeliest]


def _yeo_johnson(costs: np.ndarray, power: np.ndarray) -> np.ndarray:
    """((1 + y)^p - 1) / p for y >= 0, and -((1 - y)^(2 - p) - 1) / (2 - p) below."""
    side = np.where(costs < 0, 2 - power, power)
    return np.sign(costs) * np.expm1(side * np.log1p(np.abs(costs))) / side


def _scaled(costs: np.ndarray) -> np.ndarray:
    centred = costs - costs.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 0 else np.zeros(len(costs))


def _ceiling(costs: np.ndarray) -> float:
    """The largest cost that still counts as such."""
    best = costs.min()
    # Many trials may cost exactly as much as the best one: then the median says nothing of the others.
    typical = next((mark for mark in np.quantile(costs, [0.5, 0.75, 0.9, 1.0]) if mark > best), best)
    return float(typical + OUTLIER * (typical - best))
