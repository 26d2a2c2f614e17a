"""Trains a group of a sweep's trials: every epoch goes to the ledger, every end to the trial's folder."""

import math
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax

from nnrun.compose.compose import Composed
from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.errors import SweepError
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.prepared import Loaded, load
from nnrun.execution.serial import SerialRun, TrainedRun
from nnrun.execution.settings import GroupSettings
from nnrun.execution.vectorized import CompiledGroup, GroupRun, TrainedMember
from nnrun.folders.ledger import Ledger
from nnrun.folders.summary import new_summary, undefined
from nnrun.folders.sweep_folder import SweepFolder
from nnrun.host.interruption import Watch
from nnrun.runs import checkpointed
from nnrun.search.space import Params
from nnrun.search.trial import Trial
from nnrun.training.fit import Epoch, Failure, Stretch, fit
from nnrun.training.objective import Objective

KEPT_PROGRAMS = 4
KEPT_DATA = 2
Trainer = GroupRun | SerialRun
Row = dict[str, float]


@dataclass
class Member:
    """A trial in training; `best` is the row of the objective's best epoch, `compile_seconds` its share of building."""

    number: int
    params: Params
    composed: Composed
    config: RunConfig
    command: str
    history: list[Row] = field(default_factory=list)
    best: Row | None = None
    is_final: bool = False
    compile_seconds: float = 0.0

    def see(self, row: Row, improved: bool) -> None:
        """Takes in an epoch."""
        self.history.append(row)
        self.best = row if improved else self.best

    def ended(self, state: str, metric: str, error: str | None) -> Trial:
        """The trial as the ledger keeps it; one whose objective was never defined has failed."""
        if state == "completed" and self.best is None:
            state, error = "failed", undefined(metric)
        scored = self.best is not None and state != "failed"
        best = self.best if scored and self.best else {}
        metrics = {name: value for name, value in best.items() if "/" in name}
        seconds = sum(row["seconds"] for row in self.history)
        objective = best.get(metric)
        return Trial(self.number, state, {}, objective, metrics, None, seconds, error and " ".join(error.split()))


class GroupTraining:
    """Trains groups one after the other; programs and data are kept for groups that can share them.

    `tell(trial)` hears of every trial that ends; `progress(trials)` of how much was trained.
    """

    def __init__(
        self,
        folder: SweepFolder,
        ledger: Ledger,
        watch: Watch,
        tell: Callable[[Trial], None],
        progress: Callable[..., None],
        deadline: float,
    ) -> None:
        self.folder, self.ledger, self.watch, self.deadline = folder, ledger, watch, deadline
        self.tell, self.progress = tell, progress
        self.winner: tuple[bool, float, int] = (True, math.inf, -1)
        self._programs: dict[Any, Compiled] = {}
        self._data: dict[Any, Data] = {}

    def keep_only_better_than(self, trial: Trial, objective: Objective) -> None:
        """The weights of a trial are kept already."""
        self.winner = rank(trial, objective)

    def train(self, settings: GroupSettings, members: list[Member]) -> None:
        """Trains the members to their ends.

        Raises Interrupted with the group's state saved, RunError when the data cannot be loaded, and SweepError.
        """
        loaded = self.load(members[0].config)
        trainer = self._trainer(settings, members, loaded.data)
        examples = checkpointed.counts(loaded.data)
        self._restore(settings, trainer, members, loaded.objective, examples)
        if settings.batching == "map":
            trainer.stop(position for position, member in enumerate(members) if member.is_final)
        self.ledger.start(member.number for member in members)
        saved = time.monotonic()
        config, histories = members[0].config.training, [member.history for member in members]
        self.watch.training = True
        try:
            for event in fit(trainer, loaded.task, loaded.data, config, loaded.objective, histories):
                if isinstance(event, Failure):
                    self._end(event.member, members, "failed", loaded.objective, trainer, str(event.error))
                elif isinstance(event, Epoch):
                    self._epoch(event, members, config.epochs, loaded.objective, trainer)
                is_whole = not isinstance(event, Failure)
                if isinstance(event, Stretch):
                    is_whole = event.done < trainer.train_steps
                is_due = time.monotonic() - saved > config.checkpoint_seconds and not all(m.is_final for m in members)
                if is_whole and (self.watch.heard() or is_due):
                    self._save(settings, trainer, members, examples)
                    saved = time.monotonic()
                    self.watch.check()
                if is_whole and time.monotonic() > self.deadline:
                    for position, member in enumerate(members):
                        reason = f"search.timeout_seconds ran out after {len(member.history)} epochs."
                        self._end(position, members, "pruned", loaded.objective, trainer, reason)
                    break
        finally:
            self.watch.training = False
        self.folder.remove_group(settings.number)

    def load(self, config: RunConfig) -> Loaded:
        """What a config needs; the last data sets are kept."""
        if config.dataset not in self._data:
            self._data = dict(list(self._data.items())[1 - KEPT_DATA :])
            self._data[config.dataset] = load(config).data
        return load(config, self._data[config.dataset])

    def trained(self, settings: GroupSettings, config: RunConfig) -> tuple[Loaded, TrainedRun]:
        """What a trial of the group needs to be judged once more, and the network that takes over its weights."""
        loaded = self.load(config)
        compiled = self._compiled(settings, loaded.config.split()[0], loaded.data)
        if isinstance(compiled, CompiledGroup) and compiled.answers:
            return loaded, TrainedMember(loaded.config, loaded.data, compiled, settings.chunk)
        return loaded, TrainedRun(loaded.config, loaded.data)

    def _trainer(self, settings: GroupSettings, members: list[Member], data: Data) -> Trainer:
        begun = time.perf_counter()
        configs = [load(member.config, data).config for member in members]
        compiled = self._compiled(settings, configs[0].split()[0], data)
        trainer = (
            GroupRun(configs, compiled)
            if isinstance(compiled, CompiledGroup)
            else SerialRun(configs[0], data, compiled)
        )
        trainer.compile()
        for member in members:
            member.compile_seconds = (time.perf_counter() - begun) / len(members)
        return trainer

    def _compiled(self, settings: GroupSettings, static: RunConfig, data: Data) -> Compiled:
        key = (static, settings.batching, settings.devices)
        if key not in self._programs:
            self._programs = dict(list(self._programs.items())[1 - KEPT_PROGRAMS :])
            if settings.batching == "serial":
                self._programs[key] = Compiled(static, data, Placement(settings.devices))
            else:
                placement = TrialPlacement(settings.devices, settings.batching)
                self._programs[key] = CompiledGroup(static, data, placement)
        return self._programs[key]

    def _epoch(self, event: Epoch, members: list[Member], epochs: int, objective: Objective, trainer: Trainer) -> None:
        rows, finished = {}, []
        for position, outcome in event.outcomes.items():
            member = members[position]
            member.see(outcome.row, outcome.improved)
            if not member.is_final:
                rows[member.number] = outcome.row
                finished += [member] if outcome.stop or event.number == epochs else []
        self._close(finished, "completed", members, objective, trainer, rows)
        self.progress((len(rows) + len(finished) * (epochs - event.number)) / epochs)
        trainer.repack()

    def _end(
        self, position: int, members: list[Member], state: str, objective: Objective, trainer: Trainer, error: str
    ) -> None:
        """A trial ends before its last epoch."""
        member = members[position]
        if not member.is_final:
            self._close([member], state, members, objective, trainer, {}, error)
            self.progress(1 - len(member.history) / member.config.training.epochs)

    def _close(
        self,
        finished: list[Member],
        state: str,
        members: list[Member],
        objective: Objective,
        trainer: Trainer,
        rows: dict[int, Row],
        error: str | None = None,
    ) -> None:
        """Weights of a new winner and the trials' folders first, then the ledger: what it says is on the disk."""
        ended = [member.ended(state, objective.metric, error) for member in finished]
        self._keep_best(ended, members, objective, trainer)
        parameters = trainer.parameters if ended else None
        for member, trial in zip(finished, ended, strict=True):
            write_trial(self.folder, member, trial, objective, parameters)
        self.ledger.record(rows, ended)
        if ended and self.winner[-1] >= 0:
            self.folder.remove_weights_but(self.winner[-1])
        for trial in ended:
            self.tell(trial)

    def _keep_best(self, ended: list[Trial], members: list[Member], objective: Objective, trainer: Trainer) -> None:
        """Writes the weights of the best trial so far, before the ledger says that it ended."""
        if not (scored := [rank(trial, objective) for trial in ended if trial.objective is not None]):
            return
        if min(scored) < self.winner:
            self.winner = min(scored)
            position = next(i for i, member in enumerate(members) if member.number == self.winner[-1])
            self.folder.save_weights(self.winner[-1], trainer.weights(position))

    def _save(self, settings: GroupSettings, trainer: Trainer, members: list[Member], examples: list[int]) -> None:
        state, layout = trainer.snapshot()
        histories = {member.number: member.history for member in members}
        self.folder.save_group(settings.number, state, {"layout": layout, "histories": histories, "examples": examples})

    def _restore(
        self,
        settings: GroupSettings,
        trainer: Trainer,
        members: list[Member],
        objective: Objective,
        examples: list[int],
    ) -> None:
        """Takes over what an earlier process saved. Raises SweepError when it was trained on other data."""
        if not self.folder.has_group(settings.number):
            return
        try:
            state, notes = self.folder.load_group(settings.number, trainer.like, isinstance(trainer, GroupRun))
        except ValueError as error:
            self.folder.log(f"Warning: {error} The group starts anew.")
            return
        before, now = state.fitted, trainer.like.fitted
        if isinstance(trainer, GroupRun):
            before, now = jax.tree.map(lambda of_trials: of_trials[0], (before, now))
        if changes := checkpointed.changed_data(before, notes["examples"], now, examples):
            raise SweepError(
                f"The data of {self.folder.path} changed while its trials were trained: {changes}. Put the old data "
                f"back, then: nnrun resume {shlex.quote(str(self.folder.path))}"
            )
        trainer.restore(state, notes["layout"])
        for member in members:
            member.history += notes["histories"][str(member.number)]
            member.best = objective.best(member.history)
            if not member.is_final:
                self.progress(len(member.history) / member.config.training.epochs, before=True)


def write_trial(sweep: SweepFolder, member: Member, trial: Trial, objective: Objective, parameters: int | None) -> None:
    """The folder of a trial that ended."""
    member.is_final = True
    folder = sweep.trial(member.number)
    folder.write_config(member.composed.plain, member.composed.choices)
    folder.start_metrics(member.history)
    folder.write_summary(summary(member, trial, objective, parameters))


def summary(member: Member, trial: Trial, objective: Objective, parameters: int | None) -> dict[str, Any]:
    """summary.json of a trial: the same keys as a run's, without the test part, which no trial sees."""
    found = new_summary(member.config, member.composed.choices, member.command)
    found |= {"status": trial.state, "parameters": parameters, "epochs": len(member.history), "error": trial.error}
    found["stopped_early"] = trial.state == "completed" and len(member.history) < member.config.training.epochs
    if trial.objective is not None and member.best:
        found["objective"] = {"metric": objective.metric, "direction": objective.direction}
        found["objective"] |= {"value": trial.objective, "epoch": int(member.best["epoch"])}
    return found | {"metrics": trial.metrics, "seconds": {"compile": member.compile_seconds, "train": trial.seconds}}


def rank(trial: Trial, objective: Objective) -> tuple[bool, float, int]:
    """The order of trials with a result, smaller where better: those that were cut short come after all others."""
    return trial.state != "completed", objective.cost({objective.metric: trial.objective or 0.0}), trial.number
