"""Successive halving: at every rung the best part of all trials goes on, however the trials are trained."""

from collections.abc import Sequence

from nnrun.search.pruning.base import Contender, Rule, beyond


class SuccessiveHalving(Rule):
    """Of n trials that were asked for together the best n / factor^(k+1) go on after rung k, and at least one.

    Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization",
    AISTATS 2016.
    """

    def losers(self, k: int, contenders: Sequence[Contender]) -> dict[int, str]:
        """Those behind the best of all."""
        return beyond(self.ranked(k, contenders), max(1, len(contenders) // self.factor ** (k + 1)))
