"""Events of an executor become rows of the ledger and folders of trials, here and nowhere else."""

import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from nnrun.compose.compose import Composed
from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.errors import SweepError
from nnrun.execution.executor import Ended, Event, Job, Noted, Resumed, Row, Saved, Started, Trained
from nnrun.execution.prepared import changed_data, counts
from nnrun.execution.settings import GroupSettings
from nnrun.folders.ledger import Ledger
from nnrun.folders.preprocessing import Preprocessing
from nnrun.folders.run_folder import with_epochs
from nnrun.folders.summary import new_summary, spread, undefined
from nnrun.folders.sweep_folder import SweepFolder
from nnrun.search.space import Params
from nnrun.search.trial import Trial
from nnrun.sweeps.ranking import rank
from nnrun.training.objective import Objective
from nnrun.training.state import State


@dataclass
class Training:
    """A trial in training; `best` is the row of the best epoch, `epochs` how many it trains, where that is known."""

    number: int
    params: Params
    composed: Composed
    config: RunConfig
    command: str
    is_final: bool = False
    pruned_after: int | None = None
    history: list[Row] = field(default_factory=list)
    best: Row | None = None
    epochs: int | None = None
    parameters: int | None = None

    def share(self, rows: int) -> float:
        """How much of the training so many epochs are; nothing as long as its length is not known."""
        return rows / self.epochs if self.epochs else 0.0

    @property
    def job(self) -> Job:
        """The trial as an executor takes it."""
        return Job(self.number, self.config, self.is_final, self.pruned_after)

    def ended(self, end: Ended, metric: str) -> Trial:
        """The trial as the ledger keeps it; one whose objective was never defined has failed."""
        state, error = end.state, end.error
        if end.summary is not None:
            done, seconds = state == "completed", end.summary["seconds"].get("train")
            objective = end.summary["objective"]["value"] if done else None
            # Without those of single targets, classes and steps ahead: columns of a table of trials.
            values = end.summary["metrics"].items() if done else ()
            metrics = {name: value for name, value in values if value is not None and name.count("/") == 1}
            return Trial(self.number, state, {}, objective, metrics, None, seconds, error)
        if state == "completed" and self.best is None:
            state, error = "failed", undefined(metric)
        best = self.best if self.best and state != "failed" else {}
        metrics = {name: value for name, value in best.items() if "/" in name}
        seconds = sum(row["seconds"] for row in self.history)
        return Trial(
            self.number, state, {}, best.get(metric), metrics, None, seconds, error and " ".join(error.split())
        )


@dataclass
class Recorder:
    """Keeps what executors report of a sweep's trials.

    `tell(trial)` hears of every trial that ends, once the ledger has it; `progress(trials)` of how much was trained;
    `note(sentence)` of what the user should know, each once, whatever numbers it has.
    """

    folder: SweepFolder
    ledger: Ledger
    objective: Objective
    tell: Callable[[Trial], None]
    progress: Callable[..., None]
    note: Callable[[str], None]
    _noted: set[str] = field(default_factory=set)
    # Worse than any trial with a result; no trial has the number -1.
    _winner: tuple[bool, float, int] = (True, math.inf, -1)

    def keep_only_better_than(self, trial: Trial) -> None:
        """The weights of a trial are kept already."""
        self._winner = rank(trial, self.objective)

    def record(self, group: GroupSettings, trials: dict[int, Training], event: Event) -> None:
        """Takes in one event of a group; `trials` are its trials by number. Raises what `tell` raises."""
        match event:
            case Resumed(histories, best, epochs):
                for number, rows in histories.items():
                    trial = trials[number]
                    trial.history, trial.best, trial.epochs = rows, best[number], epochs
                    if not trial.is_final:
                        self.progress(trial.share(len(rows)), before=True)
            case Started(numbers, epochs, parameters):
                for number in numbers:
                    trials[number].epochs, trials[number].parameters = epochs, parameters
                self.ledger.start(numbers, epochs)
            case Trained(outcomes, ended):
                self.ledger.record_members({n: outcome.members for n, outcome in outcomes.items() if outcome.members})
                for number, outcome in outcomes.items():
                    trial = trials[number]
                    trial.history.append(outcome.row)
                    trial.best = outcome.row if outcome.improved else trial.best
                self._close(trials, {number: outcome.row for number, outcome in outcomes.items()}, ended)
            case Noted(notes):
                for note in notes:
                    # Seeds and limits of a data set give the same sentence with other counts.
                    if (kind := re.sub(r"\d[\d.,]*", "0", note)) not in self._noted:
                        self._noted.add(kind)
                        self.note(note)
            case Saved(state, notes):
                self.folder.save_group(group.number, state, notes)

    def fail(self, trials: list[Training], reason: str) -> None:
        """Trials of a group that cannot be built or trained have failed."""
        ended = tuple(Ended(trial.number, "failed", reason) for trial in trials if not trial.is_final)
        self._close({trial.number: trial for trial in trials}, {}, ended)

    def prune(self, trials: list[Training], reasons: dict[int, str]) -> None:
        """Trials of groups that pause are trained no further."""
        ended = tuple(Ended(one.number, "pruned", reasons[one.number], one.parameters) for one in trials)
        self._close({trial.number: trial for trial in trials}, {}, ended)

    def restore(
        self, group: GroupSettings, like: Callable[[], State], data: Data
    ) -> tuple[State, dict[str, Any]] | None:
        """What was saved of a group, where it is whole; `like()` is a state of its shapes, with what was fitted.

        Raises SweepError when it was trained on other data, and ConfigError for what a run's folder cannot keep of
        them: now, and not once all trials are trained.
        """
        Preprocessing.of(data)
        if not self.folder.has_group(group.number):
            return None
        examples, stacked, wanted = counts(data), group.batching != "serial", like()
        try:
            state, notes = self.folder.load_group(group.number, wanted, stacked)
        except ValueError as error:
            self.folder.log(f"Warning: {error} The group starts anew.")
            return None
        if changes := changed_data(state.fitted, notes["examples"], wanted.fitted, examples, stacked):
            raise SweepError(
                f"The data of {self.folder.path} changed while its trials were trained: {changes}. Put the old data "
                f"back, then: nnrun resume {shlex.quote(str(self.folder.path))}"
            )
        return state, notes

    def _close(self, trials: dict[int, Training], rows: dict[int, Row], ended: tuple[Ended, ...]) -> None:
        """Weights of a new winner and the trials' folders first, then the ledger: what it says is on the disk."""
        closed = [self._with_spread(trials[end.number], end) for end in ended]
        self._keep_best(closed, ended)
        trained = 0.0
        for end, trial in zip(ended, closed, strict=True):
            training = trials[end.number]
            training.is_final = True
            # A trial that ended counts as whole, however early that was.
            trained += 1 - training.share(len(training.history))
            if end.summary is None:
                self._write(training, trial, end)
        self.ledger.record(rows, closed)
        if closed and self._winner[-1] >= 0:
            self.folder.remove_weights_but(self._winner[-1])
        for trial in closed:
            self.tell(trial)
        self.progress(trained + sum(trials[number].share(1) for number in rows))

    def _with_spread(self, training: Training, end: Ended) -> Trial:
        """The trial that ended, with how its metrics differ between folds and repeats."""
        trial, found = training.ended(end, self.objective.metric), self._spread(training)
        return replace(trial, spread={name: found[name]["std"] for name in trial.metrics if name in found})

    def _spread(self, training: Training) -> dict[str, dict[str, Any]]:
        """What folds and repeats measured in the best epoch; nothing where there is one network, or no best epoch."""
        if training.best is None or training.config.training.members == 1:
            return {}
        return spread(self.ledger.members(training.number, int(training.best["epoch"])))

    def _keep_best(self, closed: list[Trial], ended: tuple[Ended, ...]) -> None:
        """Writes the weights of the best trial so far, before the ledger says that it ended."""
        scored = [
            (rank(trial, self.objective), end)
            for trial, end in zip(closed, ended, strict=True)
            if trial.objective is not None and end.weights
        ]
        if scored and (best := min(scored, key=lambda pair: pair[0]))[0] < self._winner:
            self._winner, end = best
            assert end.weights is not None
            self.folder.save_weights(end.number, end.weights())

    def _write(self, training: Training, trial: Trial, end: Ended) -> None:
        """The folder of a trial that ended: the files of a run but for the test part, which no trial sees."""
        objective, found = self.objective, new_summary(training.config, training.composed.choices, training.command)
        found |= {"status": trial.state, "parameters": end.parameters, "epochs": len(training.history)}
        found |= {"error": trial.error, "metrics": trial.metrics, "spread": self._spread(training)}
        found |= {"seconds": {"compile": end.compile_seconds, "train": trial.seconds}}
        found["stopped_early"] = trial.state == "completed" and len(training.history) < (training.epochs or 0)
        if trial.objective is not None and training.best:
            found["objective"] = {"metric": objective.metric, "direction": objective.direction}
            found["objective"] |= {"value": trial.objective, "epoch": int(training.best["epoch"])}
        folder = self.folder.trial(trial.number)
        folder.write_config(with_epochs(training.composed.plain, training.epochs), training.composed.choices)
        folder.start_metrics(training.history)
        folder.write_summary(found)
