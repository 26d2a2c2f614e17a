"""Grid against random search at equal budget, in one sweep."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nnrun.schema import size
from nnrun.search.base import SearchConfig, Strategy
from nnrun.search.points import product, unasked
from nnrun.search.random import distinct_draws
from nnrun.search.space import Categorical, Dimension, Interval, Params, Space


@dataclass(frozen=True)
class CompareConfig(SearchConfig):
    """Keys of `search=compare`."""

    points: int = size(4, "values of every interval in the grid, evenly spaced", least=2)
    repeats: int = size(1, "random searches, each as large as the grid, with seeds search.seed, search.seed + 1, ...")


class Compare(Strategy):
    """A grid of `points` values per interval, then `repeats` random searches with as many trials each.

    Only the values of the important dimensions matter, and a grid tries few of each: points^1 of points^n trials.
    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012), 281-305.
    """

    config: CompareConfig

    def __init__(self, config: CompareConfig, space: Space) -> None:
        super().__init__(config, space)
        listed = {key: _listed(dimension, config.points) for key, dimension in space.dimensions.items()}
        self._grid = list(unasked(product(Space(listed, space.choosers, space.lacking)), []))
        self._rest = unasked(self._points(), [])

    def restore(self, asked: list[Params]) -> None:
        """Goes on behind the trials of an earlier process."""
        super().restore(asked)
        self._rest = unasked(self._points(), asked)

    def propose(self, count: int) -> list[Params]:
        """The next points: those of the grid, then those drawn."""
        return list(itertools.islice(self._rest, count))

    def label(self, number: int) -> str:
        """Which of the searches a trial belongs to."""
        search = number // len(self._grid)
        return "grid" if search == 0 else f"random, seed {self.config.seed + search - 1}"

    def _points(self) -> Iterator[Params]:
        yield from self._grid
        for repeat in range(self.config.repeats):
            draws = distinct_draws(self.space, "uniform", self.config.seed + repeat)
            yield from itertools.islice(draws, len(self._grid))


def _listed(dimension: Dimension, points: int) -> Dimension:
    if not isinstance(dimension, Interval):
        return dimension
    space = np.geomspace if dimension.log else np.linspace
    values = space(dimension.low, dimension.high, points)
    kept = dict.fromkeys(round(v) if dimension.integer else float(v) for v in values)
    return Categorical(tuple(kept))
