"""A sweep as its report sees it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from nnrun.report.sweep.importance import Importance, importance
from nnrun.report.sweep.text import shown
from nnrun.search.points import Axis
from nnrun.search.space import Categorical, Dimension, dimension
from nnrun.search.trial import Trial

MOST_COLOURS = 6
"""Choices told apart by colour."""


@dataclass(frozen=True)
class Subject:
    """A sweep, finished or not.

    title: "random search: mlp on digits". command: what the user typed. metric: "val/accuracy".
    direction: minimize or maximize. space: the dimensions by their keys.
    best_command: trains the best trial again, to paste; empty where there is none.
    curves: trial number -> the objective's metric per epoch. notes: sentences on how the trials compare.
    bayes: the keys of search=bayes, where that was the strategy.
    losses: of few trials `train/loss` and `val/loss`, each like `curves`.
    """

    title: str
    command: str
    metric: str
    direction: str
    space: dict[str, Dimension]
    best_command: str
    trials: list[Trial]
    curves: dict[int, list[float]]
    notes: tuple[str, ...] = ()
    bayes: dict[str, Any] | None = None
    losses: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: dict[str, Any], trials: list[Trial], curves: dict[int, list[float]], **more: Any) -> "Subject":
        """The subject of the other fields as JSON knows them, with its trials, their curves, and `more` fields.

        `parts` of the facts names the part of a comparison of strategies by a trial's number.
        """
        space = {key: dimension(found) for key, found in facts["space"].items()}
        parts, notes = facts.get("parts", {}), tuple(facts.get("notes", ()))
        trials = [replace(trial, part=parts.get(str(trial.number))) for trial in trials]
        facts = {name: value for name, value in facts.items() if name != "parts"}
        return cls(**facts | {"space": space, "notes": notes}, trials=trials, curves=curves, **more)

    @cached_property
    def scored(self) -> list[Trial]:
        """The completed trials with a finite objective, in the order of their numbers."""
        done = [t for t in self.trials if t.state == "completed" and math.isfinite(objective(t))]
        return sorted(done, key=lambda trial: trial.number)

    @cached_property
    def ranked(self) -> list[Trial]:
        """The scored trials, best first; of equals the earlier first."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        return sorted(self.scored, key=lambda trial: sign * objective(trial))

    @cached_property
    def failed(self) -> list[Trial]:
        """The failed trials, in the order of their numbers."""
        return sorted((t for t in self.trials if t.state == "failed"), key=lambda trial: trial.number)

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """An axis per key of the space, in its order."""
        return {key: Axis(found) for key, found in self.space.items()}

    def having(self, key: str, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that the key applies to."""
        return [trial for trial in trials if key in trial.params and trial.params[key] in self.axes[key]]

    def places(self, key: str, trials: Sequence[Trial]) -> np.ndarray:
        """The places (trials,) of trials on the key's axis, from 0 to 1; NaN where the key does not apply."""
        known = {trial.number: self.axes[key].encode(trial.params[key]) for trial in self.having(key, trials)}
        return np.array([known.get(trial.number, math.nan) for trial in trials])

    @cached_property
    def importance(self) -> Importance | None:
        """What each hyperparameter explains of the objective; None with too few trials."""
        return importance({key: self.places(key, self.scored) for key in self.axes}, self.objectives)

    @property
    def objectives(self) -> list[float]:
        """The objectives of the scored trials."""
        return [objective(trial) for trial in self.scored]

    @cached_property
    def hue(self) -> tuple[str, tuple[str, ...]] | None:
        """The key that colours tell apart, and its values, of which there are few: the first choice of a member
        (`model=rnn,lstm,gru`), else of texts (`model.activation=relu,tanh`), else of the top level (`seed=0,1,2`)."""
        listed = {key: found.values for key, found in self.space.items() if isinstance(found, Categorical)}
        texts = {key for key, values in listed.items() if all(isinstance(value, str) for value in values)}
        for key in sorted(listed, key=lambda key: (key not in texts, "." in key)):
            if 2 <= len(listed[key]) <= MOST_COLOURS and (key in texts or "." not in key):
                return key, tuple(map(shown, listed[key]))
        return None


def objective(trial: Trial) -> float:
    """The trial's objective, NaN where there is none."""
    return math.nan if trial.objective is None else float(trial.objective)
