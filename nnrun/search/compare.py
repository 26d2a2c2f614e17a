"""Grid against random search at equal budget, in one sweep."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnrun.schema import size
from nnrun.search.base import Listed, SearchConfig
from nnrun.search.points import identity, product, unasked
from nnrun.search.random import distinct_draws
from nnrun.search.space import Categorical, Dimension, Interval, Params, Space


@dataclass(frozen=True)
class CompareConfig(SearchConfig):
    """Keys of `search=compare`."""

    points: int = size(4, "values of every interval in the grid, evenly spaced", least=2)
    repeats: int = size(1, "random searches, each as large as the grid, with seeds search.seed, search.seed + 1, ...")


class Compare(Listed):
    """A grid of `points` values per interval, then `repeats` random searches with as many trials each.

    Only the values of the important dimensions matter, and a grid tries few of each: points^1 of points^n trials.
    Source: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012), 281-305.
    """

    config: CompareConfig

    def __init__(self, config: CompareConfig, space: Space) -> None:
        super().__init__(config, space)
        listed = {key: _listed(dimension, config.points) for key, dimension in space.dimensions.items()}
        self._grid = list(unasked(product(Space(listed, space.choosers, space.lacking)), []))

    def points(self) -> Iterator[Params]:
        """The points of the grid, then those drawn."""
        return (point for _, point in self._named_points())

    def label(self, number: int) -> str:
        """Which of the searches a trial belongs to."""
        if number < len(self.first):
            return "first"
        place = number - len(self.first)
        return self._labels[place] if place < len(self._labels) else "random"

    @cached_property
    def _labels(self) -> list[str]:
        first = {identity(point) for point in self.first}
        return [name for name, point in self._named_points() if identity(point) not in first]

    def _named_points(self) -> Iterator[tuple[str, Params]]:
        """The points of the random searches, as many for each; one that an earlier search asked for is drawn anew."""
        given: list[Params] = []
        for name, points in self._searches():
            for point in itertools.islice(unasked(points, given), len(self._grid)):
                given.append(point)
                yield name, point

    def _searches(self) -> Iterator[tuple[str, Iterable[Params]]]:
        yield "grid", self._grid
        for seed in range(self.config.seed, self.config.seed + self.config.repeats):
            yield f"random, seed {seed}", distinct_draws(self.space, "uniform", seed)


def _listed(dimension: Dimension, points: int) -> Dimension:
    if not isinstance(dimension, Interval):
        return dimension
    space = np.geomspace if dimension.log else np.linspace
    values = space(dimension.low, dimension.high, points)
    kept = dict.fromkeys(round(v) if dimension.integer else float(v) for v in values)
    return Categorical(tuple(kept))
