"""The order of a sweep's trials, without JAX: what a folder holds is shown at once."""

import collections
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnrun.compose import compose
from nnrun.compose.grammar import value_text
from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.folders.ledger import Ledger
from nnrun.folders.results import with_spread
from nnrun.search.trial import Trial
from nnrun.sweeps import record as sweep_record
from nnrun.sweeps.record import Record
from nnrun.training.objective import Objective


def rank(trial: Trial, objective: Objective) -> tuple[bool, float, int]:
    """The order of trials with a result, smaller where better: those that were cut short come after all others."""
    return trial.state != "completed", objective.cost({objective.metric: trial.objective or 0.0}), trial.number


def ranked(trials: list[Trial], objective: Objective) -> list[Trial]:
    """Trials with a result, best first; those that were cut short come after all that ended."""
    return sorted((t for t in trials if t.objective is not None), key=lambda trial: rank(trial, objective))


def commonest(trials: list[Trial]) -> str:
    """The reason that most trials failed for."""
    reasons = collections.Counter(trial.error or "no reason given" for trial in trials if trial.state == "failed")
    ((reason, count),) = reasons.most_common(1)
    return f"The commonest reason ({count} of {reasons.total()}): {reason}"


def tabulated(trials: list[Trial], objective: Objective, keys: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """The head and rows of a table of trials with a result: values of the objective and of these keys."""
    compared, keys = any(trial.part for trial in trials), list(keys)
    rows = [
        [str(trial.number), *([trial.part or ""] if compared else [])]
        + [with_spread(trial.objective, trial.spread.get(objective.metric), 5)]
        + [short(trial.params[key]) if key in trial.params else "" for key in keys]
        for trial in trials
    ]
    return ["trial", *(["strategy"] if compared else []), objective.metric, *keys], rows


def short(value: Any) -> str:
    """A value of a hyperparameter as a table has it."""
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


@dataclass(frozen=True)
class Standing:
    """How a sweep stands, finished or not: its record and status, all trials, and those with a result, best first."""

    folder: Path
    record: Record
    status: str
    trials: list[Trial]
    objective: Objective

    @property
    def ranked(self) -> list[Trial]:
        """The trials with a result, best first."""
        return ranked(self.trials, self.objective)


def standing(folder: Path, trust: bool = False) -> Standing:
    """What the folder of a sweep holds. Raises ConfigError where it is damaged, or not to be trusted; see `record`."""
    record, status = sweep_record.read(folder, trust)
    with contextlib.closing(Ledger(folder, writes=False)) as ledger:
        trials = record.plan.strategy().labelled(ledger.trials())
    sweep_record.check_trials(record, folder, trust)
    return Standing(folder, record, status, trials, _objective(folder, record, trials))


def _objective(folder: Path, record: Record, trials: list[Trial]) -> Objective:
    """The metric and its direction; the latter from a trial's folder where the config leaves it to the task."""
    asked = compose.resolved(record.plan.first.plain)["objective"]
    if asked["direction"] != "auto":
        return Objective(asked["metric"], asked["direction"])
    for trial in trials:
        with contextlib.suppress(ConfigError):
            if trial.objective is not None and (best := reading.summary(folder / str(trial.number))["objective"]):
                return Objective(best["metric"], best["direction"])
    return sweep_record.objective(record)
