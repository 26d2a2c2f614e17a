"""Lets trials of a sweep go before their last epoch, by the rule of `search.pruning` and what the ledger holds."""

import math
from collections.abc import Callable, Iterable
from statistics import median

from nnrun.errors import ConfigError
from nnrun.folders.ledger import Ledger
from nnrun.search.base import SearchConfig
from nnrun.search.pruning.base import Contender, Rule, State
from nnrun.search.pruning.rules import RULES
from nnrun.search.trial import Trial
from nnrun.training.objective import Objective

STATES: dict[str, State] = {"running": "open", "completed": "completed"}


class Pruner:
    """Answers an executor, see execution.executor.Pruning; `note(sentence)` is told of rungs that judge nobody.

    Where a rule waits for all trials that were asked for together, and these are in several groups, groups pause at the
    rung of `stage` and are judged by `judge`; one group alone is judged while it trains.
    """

    def __init__(self, search: SearchConfig, ledger: Ledger, objective: Objective, note: Callable[[str], None]) -> None:
        self._search, kind = search, RULES.get(search.pruning)
        self._rule = kind(search.pruning_first_epoch, search.pruning_factor) if kind else None
        self._ledger, self._objective, self._note = ledger, objective, note
        self.stage, self.apart, self.paused = 0, False, False

    def begin(self, stage: int, groups: int) -> None:
        """The groups of a batch, so many, train to the rung of this stage where they have to wait for each other."""
        self.stage, self.paused = stage, False
        self.apart = groups > 1 and self._rule is not None and self._rule.waits

    def check(self, epochs: int) -> None:
        """Raises ConfigError where no rung lies before the last epoch."""
        if self._rule is None or self._rule.rungs(epochs):
            return
        first = self._search.pruning_first_epoch
        value = "" if first is None else f" and search.pruning_first_epoch={first}"
        raise ConfigError(
            f"search.pruning={self._search.pruning} lets trials go after an epoch that others follow, but "
            f"training.epochs={epochs}{value} leaves none. Train for more epochs, or set search.pruning=none."
        )

    def losers(self, numbers: Iterable[int], epoch: int, epochs: int) -> dict[int, str]:
        """Trials of a group in training that leave after this epoch, and why."""
        if self._rule is None or self.apart or epoch not in (rungs := self._rule.rungs(epochs)):
            return {}
        found = self._losers(self._rule, rungs.index(epoch))
        return {number: found[number] for number in numbers if number in found}

    def pauses(self, epoch: int, epochs: int) -> bool:
        """Whether a group waits here for those that are judged with it."""
        if self._rule is None or not self.apart:
            return False
        rungs = self._rule.rungs(epochs)
        waits = self.stage < len(rungs) and epoch >= rungs[self.stage]
        self.paused |= waits
        return waits

    def judge(self) -> dict[int, str]:
        """The trials of all groups that leave at the rung of this stage, and why."""
        return {} if self._rule is None else self._losers(self._rule, self.stage)

    def _losers(self, rule: Rule, k: int) -> dict[int, str]:
        trials = self._ledger.trials()
        if rule.waits:
            batch = next((trial.batch for trial in trials if trial.state in ("waiting", "running")), None)
            trials = [trial for trial in trials if trial.batch == batch]
        contenders = self._contenders(trials)
        if not any(math.isfinite(cost) for cost, _ in rule.ranked(k, contenders)):
            self._note(f"{self._objective.metric} is undefined so early for all trials: none leaves at rung {k + 1}.")
            return {}
        epochs = {one.number: rule.rungs(one.epochs) for one in contenders}
        found = rule.losers(k, contenders)
        return {number: f"{place} after epoch {epochs[number][k]}" for number, place in found.items()}

    def _contenders(self, trials: list[Trial]) -> list[Contender]:
        curves = self._ledger.curves(self._objective.metric)
        found = []
        for trial in trials:
            # One that has not begun is known to have no epochs yet.
            if trial.epochs is not None:
                state = STATES.get(trial.state, "left")
                found.append(Contender(trial.number, self._costs(curves.get(trial.number, [])), trial.epochs, state))
        return found

    def _costs(self, values: list[float]) -> list[float]:
        return [self._objective.cost({self._objective.metric: value}) for value in values]

    def estimates(self) -> dict[int, float]:
        """What trials that left would have cost at their end: their best cost and what others still gained, the median.

        Told as they stand they would mislead a strategy: those that stayed have had more epochs.
        """
        trials, curves = self._ledger.trials(), self._ledger.curves(self._objective.metric)
        pruned = [trial for trial in trials if trial.state == "pruned" and trial.number in curves]
        if not pruned:
            return {}
        whole = [
            Contender(t.number, self._costs(curves.get(t.number, [])), 0) for t in trials if t.state == "completed"
        ]
        found = {}
        for trial in pruned:
            costs = self._costs(curves[trial.number])
            epoch = len(costs)
            gains = [one.best(len(one.costs)) - one.best(epoch) for one in whole if math.isfinite(one.best(epoch))]
            found[trial.number] = Contender(trial.number, costs, 0).best(epoch) + (median(gains) if gains else 0.0)
        return found
