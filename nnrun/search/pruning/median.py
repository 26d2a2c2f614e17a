"""The median rule: who is worse than half of the others at the same epoch leaves."""

from collections.abc import Sequence
from statistics import median

from nnrun.search.pruning.base import Contender, Rule, beyond

LEAST = 5
"""Trials below which a median says too little."""


class Median(Rule):
    """A trial leaves after an epoch where its best cost is above the median of all best costs until then.

    Trials that have left count with their best cost, so that half leave at first and few later on.
    Source: Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017, section 3.2.
    """

    waits = False

    def rungs(self, epochs: int) -> list[int]:
        """Every epoch from the first on, but for the last."""
        return list(range(self.first(epochs), epochs))

    def losers(self, k: int, contenders: Sequence[Contender]) -> dict[int, str]:
        """Those above the median of all that reached the first rung."""
        ranked = self.ranked(k, contenders)
        here = {one.number for _, one in ranked}
        before = [one for one in contenders if one.number not in here and one.reached(self.first(one.epochs))]
        costs = [cost for cost, _ in ranked] + [one.best(one.epochs) for one in before if one.state == "left"]
        if len(costs) < LEAST:
            return {}
        middle = median(costs)
        return beyond(ranked, sum(cost <= middle for cost, _ in ranked))
