"""Asynchronous successive halving: nothing waits for the trials that reach a rung later."""

from collections.abc import Sequence

from nnrun.search.pruning.base import Contender, Rule, beyond


class Asha(Rule):
    """A trial goes on where it is among the best 1 / factor of all that have reached its rung so far.

    Source: Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020, in the form without
    promotion later on: who has left does not come back.
    """

    waits = False

    def losers(self, k: int, contenders: Sequence[Contender]) -> dict[int, str]:
        """Those behind the best of the trials that came so far."""
        ranked = self.ranked(k, contenders)
        return beyond(ranked, max(1, len(ranked) // self.factor))
