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

    @property
    @abc.abstractmethod
    def initial(self) -> int:
        """How many points are drawn before any is reasoned out."""

    @abc.abstractmethod
    def promising(self, asked: list[Params], count: int) -> list[Params]:
        """Up to `count` new points, where at least two trials have a finite cost and there is something to choose."""

    def propose(self, count: int) -> list[Params]:
        """Points of a Sobol sequence first, then the most promising ones."""
        points: list[Params] = []
        if (initial := self.initial - len(self.asked)) > 0:
            points = self.drawn(self.asked, min(count, initial))
        if missing := count - len(points):
            asked = self.asked + points
            is_blind = sum(map(math.isfinite, self.told.values())) < 2 or not self.space.dimensions
            points += self.drawn(asked, missing) if is_blind else self.promising(asked, missing)
        return points

    def drawn(self, asked: list[Params], count: int) -> list[Params]:
        """New points of the Sobol sequence, or what is left of a finite space."""
        draws = unasked(distinct_draws(self.space, "sobol", self.config.seed), asked)
        return list(itertools.islice(draws, count))

    def costs(self) -> dict[int, float]:
        """The costs told, by trial in the order of their numbers; a failed one counts as the worst of the others."""
        worst = max(cost for cost in self.told.values() if math.isfinite(cost))
        return {number: cost if math.isfinite(cost) else worst for number, cost in sorted(self.told.items())}

    def seed_of(self, number: int, attempt: int = 0) -> int:
        """A seed for what is drawn for one trial, so that a search that is restored draws what it would have drawn."""
        return int(np.random.SeedSequence((self.config.seed, number, attempt)).generate_state(1)[0])
