"""A sweep as the page and the pictures see it."""

import math
from dataclasses import dataclass
from functools import cached_property

from nnrun.report.sweep.axis import Axis
from nnrun.report.sweep.importance import Importance, importance
from nnrun.report.sweep.text import shown
from nnrun.search.space import Categorical, Space
from nnrun.search.trial import Trial

MOST_COLOURS = 6
"""Choices told apart by colour."""


@dataclass(frozen=True)
class SweepRecord:
    """A sweep, finished or not.

    title: "random search: mlp on digits". command: what the user typed. metric: "val/accuracy".
    direction: minimize or maximize. curves: trial number -> the objective's metric per epoch.
    best_command: trains the best trial again, to paste; empty where there is none.
    """

    title: str
    command: str
    metric: str
    direction: str
    space: Space
    trials: list[Trial]
    curves: dict[int, list[float]]
    best_command: str

    @cached_property
    def scored(self) -> list[Trial]:
        """The completed trials with a finite objective, in the order of their numbers."""
        done = [t for t in self.trials if t.state == "completed" and math.isfinite(objective(t))]
        return sorted(done, key=lambda trial: trial.number)

    @cached_property
    def ranked(self) -> list[Trial]:
        """The same, best first; of equals the earlier first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        return sorted(self.scored, key=lambda trial: sign * objective(trial))

    @cached_property
    def failed(self) -> list[Trial]:
        """The failed trials, in the order of their numbers."""
        return sorted((t for t in self.trials if t.state == "failed"), key=lambda trial: trial.number)

    @cached_property
    def axes(self) -> list[Axis]:
        """One axis per dimension of the space, in its order."""
        return [Axis.of(key, dimension) for key, dimension in self.space.dimensions.items()]

    @cached_property
    def importance(self) -> Importance | None:
        """What each hyperparameter explains of the objective; None with too few trials."""
        return importance(self.axes, [t.params for t in self.scored], self.objectives)

    @property
    def objectives(self) -> list[float]:
        """Those of the scored trials."""
        return [objective(trial) for trial in self.scored]

    @cached_property
    def hue(self) -> tuple[str, tuple[str, ...]] | None:
        """The first choice of a member (`model=rnn,lstm,gru`) and its values, where colours can tell these apart."""
        for key, dimension in self.space.dimensions.items():
            if isinstance(dimension, Categorical) and "." not in key and 2 <= len(dimension.values) <= MOST_COLOURS:
                return key, tuple(map(shown, dimension.values))
        return None


def objective(trial: Trial) -> float:
    """The trial's objective, NaN where there is none."""
    return math.nan if trial.objective is None else float(trial.objective)
