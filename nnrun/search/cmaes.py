"""Covariance matrix adaptation evolution strategy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnrun.host.libraries import check_installed
from nnrun.schema import size
from nnrun.search.base import SearchConfig
from nnrun.search.encoding import Encoding
from nnrun.search.guided import Guided
from nnrun.search.points import unasked
from nnrun.search.space import Params, Space

SPREAD = 0.3
"""The first standard deviation, as a share of each range; that of even draws is 0.29."""
ATTEMPTS = 8
"""Points that may be known ones before one that is evenly drawn takes their place."""


@dataclass(frozen=True)
class CmaesConfig(SearchConfig):
    """Keys of `search=cmaes`."""

    trials: int | None = size(64, "at most this many trials; null: all of a finite space")
    parallel_trials: int | None = size(8, "trials asked for and trained at once; null: all")
    population: int = size(8, "trials of a generation; the first is drawn from a Sobol sequence", least=4)


class Cmaes(Guided):
    """Draws points from a normal distribution that every generation moves and shapes towards its better half.

    For numbers: whole and listed ones are rounded, and values without an order are drawn evenly. A generation is
    `population` trials by their numbers; one that is not told to its end has not moved anything yet. Needs the package
    cmaes: `pip install '.[cmaes]'`. Source: Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772 (2016).
    """

    config: CmaesConfig

    def __init__(self, config: CmaesConfig, space: Space) -> None:
        check_installed("search=cmaes", ("cmaes",), "cmaes", "search=bayes needs nothing more.")
        super().__init__(config, space)
        self.encoding = Encoding(space)
        self._ordered = np.flatnonzero(self.encoding.ordered)

    @property
    def initial(self) -> int:
        """The first generation is drawn."""
        return self.config.population

    def promising(self, asked: list[Params], count: int) -> list[Params]:
        """Draws of the distribution that the generations so far have made."""
        if not len(self._ordered):
            return self.drawn(asked, count)
        distribution, points = self._distribution(asked), list(asked)
        for _ in range(count):
            attempts = (self._point(distribution, self.seed_of(len(points), i)) for i in range(ATTEMPTS))
            found = next(unasked(attempts, points), None) or next(iter(self.drawn(points, 1)), None)
            if found is None:
                break
            points.append(found)
        return points[len(asked) :]

    def _point(self, distribution: Any, seed: int) -> Params:
        row = np.random.default_rng(seed).random(len(self.encoding.axes))
        distribution.reseed_rng(seed)
        row[self._ordered] = distribution.ask()
        return self.encoding.decode(row)

    def _distribution(self, asked: list[Params]) -> Any:
        """The distribution after all generations that are told to their end; one that has narrowed begins anew."""
        costs, population = self.costs(), self.config.population
        rows = self.encoding.encode(asked)[:, self._ordered]
        found = self._begun()
        for start in range(0, len(asked) - population + 1, population):
            numbers = range(start, start + population)
            if not all(number in costs for number in numbers):
                break
            # A key that does not apply pulls nowhere.
            places = np.where(np.isnan(rows[start : start + population]), found.mean, rows[start : start + population])
            found.tell([(place, costs[number]) for place, number in zip(places, numbers, strict=True)])
            if found.should_stop():
                found = self._begun()
        return found

    def _begun(self) -> Any:
        import cmaes

        width = len(self._ordered)
        bounds = np.tile([0.0, 1.0], (width, 1))
        return cmaes.CMA(np.full(width, 0.5), SPREAD, bounds, population_size=self.config.population)
