"""Hyperband: several successive halvings beside each other, from many trials judged early to few judged late."""

from collections.abc import Sequence

from nnrun.search.pruning.base import Contender, Rule, beyond


class Hyperband(Rule):
    """Trials are dealt to brackets by their number; each bracket is a successive halving that begins at its own rung.

    With R rungs there are R + 1 brackets; bracket s, of factor^s * (R + 1) / (s + 1) trials a round, begins at rung
    R - s, so that bracket 0 trains all of its trials to the end. The trials of a bracket are halved together, however
    many rounds there are. Source: Li et al., "Hyperband: a novel bandit-based approach to hyperparameter
    optimization", JMLR 18 (2018).
    """

    deepest = 3

    def sizes(self, rungs: int) -> list[int]:
        """How many trials of a round are in each bracket, the one that begins first before the others."""
        count = rungs + 1
        return [-(-count * self.factor**s // (s + 1)) for s in reversed(range(count))]

    def bracket(self, number: int, rungs: int) -> int:
        """The rung that a trial's bracket begins at; `rungs` where it trains to the end."""
        sizes = self.sizes(rungs)
        place = number % sum(sizes)
        return next(start for start in range(len(sizes)) if place < sum(sizes[: start + 1]))

    def losers(self, k: int, contenders: Sequence[Contender]) -> dict[int, str]:
        """Those behind the best of their bracket."""
        brackets: dict[int, list[Contender]] = {}
        for one in contenders:
            brackets.setdefault(self.bracket(one.number, len(self.rungs(one.epochs))), []).append(one)
        found: dict[int, str] = {}
        for start, members in brackets.items():
            if start <= k:
                found |= beyond(self.ranked(k, members), max(1, len(members) // self.factor ** (k - start + 1)))
        return found
