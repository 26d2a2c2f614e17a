"""The point at which an acquisition function is largest: many candidates, then climbs from the best of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnrun.search.acquisition import Promise
from nnrun.search.encoding import Encoding

WIDE, NEAR = 1024, 256
"""Candidates drawn anywhere, and near good points."""
ROUNDS, AROUND = 2, 64
"""Rounds of that many neighbours for what has no slope."""
CLIMB = {"maxiter": 40, "ftol": 1e-6}
STARTS, APART = 4, 0.1
"""Climbs from wide candidates, and how far apart they start."""
SAME = 1e-4
"""Closer rows than this count as tried already."""


@dataclass(frozen=True)
class Proposal:
    """The search for one point: `model` predicts, `acquisition` judges, `random` draws, `tops` are good rows so far."""

    encoding: Encoding
    model: Any
    acquisition: Callable[[np.ndarray, np.ndarray], Promise]
    random: np.random.Generator
    tops: np.ndarray

    def best(self, tried: np.ndarray) -> np.ndarray | None:
        """The most promising row that is none of the rows `tried`; None where all candidates are."""
        candidates = self._candidates()
        promise = self.promise(candidates)
        order = np.argsort(-promise, kind="stable")
        row, reached = candidates[order[0]], promise[order[0]]
        if self.model.smooth:
            row, reached = self._highest(self._climb(self._starts(candidates, promise, order)))
        if not self.encoding.continuous.all():
            row = self._improve(row, reached)
        return next((found for found in (row, *candidates[order]) if not _among(found, tried)), None)

    def promise(self, rows: np.ndarray) -> np.ndarray:
        """The acquisition's values at rows."""
        return self.acquisition(*self.model.predict(self.encoding.features(rows)))[0]

    def _highest(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        promise = self.promise(rows)
        return rows[promise.argmax()], promise.max()

    def _candidates(self) -> np.ndarray:
        anywhere = self.random.random((WIDE, len(self.encoding.axes)))
        return self.encoding.snap(np.concatenate([anywhere, self._neighbours(self.tops, NEAR)]))

    def _neighbours(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Small and large steps from rows, in a random half of the dimensions."""
        encoding, shape = self.encoding, (count, len(self.encoding.axes))
        origin = np.nan_to_num(rows[self.random.integers(len(rows), size=count)], nan=0.5)
        width = 10 ** self.random.uniform(-2.5, -0.5, (count, 1))
        step = np.maximum(width, encoding.cell) * self.random.standard_normal(shape)
        moved = np.where(encoding.ordered, np.clip(origin + step, 0, 1), self.random.random(shape))
        return np.where(self.random.random(shape) < 0.5, moved, origin)

    def _starts(self, candidates: np.ndarray, promise: np.ndarray, order: np.ndarray) -> np.ndarray:
        """The best candidate, the best of those well apart, and the best near a good point."""
        leaders = candidates[order[:200]]
        # A key that does not apply is a place of its own, outside the cube.
        places, free = np.nan_to_num(leaders, nan=-1.0), np.ones(len(leaders), bool)
        chosen: list[np.ndarray] = []
        while len(chosen) < STARTS and free.any():
            first = int(free.argmax())
            chosen.append(leaders[first])
            free &= np.abs(places - places[first]).max(1) > APART
        return np.stack([*chosen, candidates[WIDE + promise[WIDE:].argmax()]])

    def _climb(self, rows: np.ndarray) -> np.ndarray:
        """L-BFGS over the continuous coordinates of all rows at once, where the model has slopes."""
        free = self.encoding.continuous & ~np.isnan(rows)
        if not (self.model.smooth and free.any()):
            return rows
        from scipy.optimize import minimize

        def loss(places: np.ndarray) -> tuple[float, np.ndarray]:
            moved[free] = places
            mean, deviation, mean_slope, deviation_slope = self.model.slopes(self.encoding.features(moved))
            value, by_mean, by_deviation = self.acquisition(mean, deviation)
            slope = by_mean[:, None] * mean_slope + by_deviation[:, None] * deviation_slope
            return -value.sum(), -slope[:, self.encoding.first_features][free]

        moved, bounds = rows.copy(), [(0, 1)] * free.sum()
        moved[free] = minimize(loss, rows[free], jac=True, method="L-BFGS-B", bounds=bounds, options=CLIMB).x
        return moved

    def _improve(self, row: np.ndarray, reached: float) -> np.ndarray:
        """Changes of listed values too, which no climb makes."""
        for _ in range(ROUNDS):
            better, promise = self._highest(self.encoding.snap(self._neighbours(row[None], AROUND)))
            if promise > reached:
                row, reached = self._highest(self._climb(better[None]))
        return row


def _among(row: np.ndarray, rows: np.ndarray) -> bool:
    filled = np.nan_to_num(rows, nan=-1.0) - np.nan_to_num(row, nan=-1.0)
    return bool((np.abs(filled).max(1) < SAME).any())
