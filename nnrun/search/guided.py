"""Strategies that learn from what was told: even draws first, then points that promise most."""

import abc
import itertools
import math
from typing import Any

import numpy as np

from nnrun.search.base import Strategy
from nnrun.search.points import unasked
from nnrun.search.random import check_trials, distinct_draws
from nnrun.search.space import Params, Space


class Guided(Strategy):
    """Base of strategies that learn: `initial` points of a Sobol sequence, then those that `promising` gives."""

    def __init__(self, config: Any, space: Space) -> None:
        super().__init__(config, space)
        check_trials(config, space)
        self._known: list[Params] = []
        self._costs: list[float] = []

    def know(self, trials: list[tuple[Params, float]]) -> None:
        """Trials of an earlier sweep count as asked for and told, before the own ones."""
        self._known, self._costs = [point for point, _ in trials], [cost for _, cost in trials]

    @property
    def batch(self) -> int | None:
        """As many as are trained at once."""
        return self.config.parallel_trials

    @property
    def every(self) -> list[Params]:
        """All trials so far, those of an earlier sweep first."""
        return self._known + self.asked

    @property
    def is_blind(self) -> bool:
        """Whether there is nothing to learn from yet, or nothing to choose."""
        return sum(map(math.isfinite, self.outcomes().values())) < 2 or not self.space.dimensions

    @property
    @abc.abstractmethod
    def initial(self) -> int:
        """How many points are drawn before any is reasoned out."""

    @abc.abstractmethod
    def promising(self, asked: list[Params], count: int) -> list[Params]:
        """Up to `count` new points, where at least two trials have a finite cost and there is something to choose.

        asked: all trials so far, those of an earlier sweep first; `outcomes` are by their places in it.
        """

    def propose(self, count: int) -> list[Params]:
        """Points of a Sobol sequence first, then the most promising ones."""
        asked, points = self.every, list[Params]()
        if (initial := self.initial - len(asked)) > 0:
            points = self.drawn(asked, min(count, initial))
        if missing := count - len(points):
            asked = asked + points
            points += self.drawn(asked, missing) if self.is_blind else self.promising(asked, missing)
        return points

    def drawn(self, asked: list[Params], count: int) -> list[Params]:
        """New points of the Sobol sequence, or what is left of a finite space."""
        draws = unasked(distinct_draws(self.space, "sobol", self.config.seed), asked)
        return list(itertools.islice(draws, count))

    def outcomes(self) -> dict[int, float]:
        """The costs told, in the order of the trials; not a number where one failed."""
        own = {len(self._known) + number: cost for number, cost in sorted(self.told.items())}
        return dict(enumerate(self._costs)) | own

    def costs(self) -> dict[int, float]:
        """The costs told, in the order of the trials; a failed one counts as the worst of the others."""
        outcomes = self.outcomes()
        worst = max(cost for cost in outcomes.values() if math.isfinite(cost))
        return {place: cost if math.isfinite(cost) else worst for place, cost in outcomes.items()}

    def seed_of(self, number: int, attempt: int = 0) -> int:
        """A seed for what is drawn for one trial, so that a search that is restored draws what it would have drawn."""
        return int(np.random.SeedSequence((self.config.seed, number, attempt)).generate_state(1)[0])
