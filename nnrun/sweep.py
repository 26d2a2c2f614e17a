"""A sweep from its command to its finished folder: ask, train, tell, until the budget or the space ends."""

import collections
import dataclasses
import math
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from nnrun import config, sweep_record, sweep_results
from nnrun.errors import ConfigError, RunError
from nnrun.execution import groups
from nnrun.group_training import GroupSettings, GroupTraining, Member
from nnrun.interruption import Interrupted, Watch
from nnrun.launched_training import Launch, LaunchedTraining
from nnrun.ledger import FINAL, Ledger, Trial
from nnrun.sweep_outputs import SweepFolder
from nnrun.sweep_record import Record
from nnrun.terminal import SweepProgress, Terminal


class Sweep:
    """Trains the trials of a record in its folder. `launch` hands them to a launcher of Hydra's instead."""

    def __init__(self, record: Record, path: Path, started: float, launch: Launch | None = None) -> None:
        self.record, self.started, self.launch = record, started, launch
        self.folder = SweepFolder(path)
        self.search = record.trials.search()
        self.strategy = record.trials.strategy()
        self.objective = sweep_record.objective(record)
        self.terminal = Terminal(self.folder.log)
        self.failures: collections.Counter[str] = collections.Counter()

    def execute(self) -> float:
        """Trains what is missing and returns the best objective.

        Raises RunError when all trials or too many failed, and Interrupted after a signal; nothing is lost.
        """
        self.ledger = Ledger(self.folder.path)
        self._write("running")
        with Watch(self._emergency) as watch:
            try:
                best = self._work(watch)
                self._write("completed")
                return best
            except Interrupted:
                self._write("interrupted")
                self.terminal.line(self._to_continue())
                raise
            except BaseException:
                self._write("failed")
                self.folder.log(traceback.format_exc())
                raise
            finally:
                self.terminal.close()
                self.ledger.close()

    def _work(self, watch: Watch) -> float:
        epochs = self.record.trials.first.plain["training"]["epochs"]
        maximize = self.objective.direction == "maximize"
        self.progress = SweepProgress(self.terminal, self._budget(), epochs, self.objective.metric, maximize)
        deadline = time.monotonic() + (self.search.timeout_seconds or math.inf)
        self.training = self._training(watch, deadline)
        self._remember(self.ledger.trials())
        with self.progress:
            while time.monotonic() < deadline and self._next_batch():
                for settings, members in self._groups():
                    if time.monotonic() < deadline:
                        self._train(settings, members)
                        watch.check()
        return sweep_results.finish(self.record, self.folder, self.ledger, self.objective, self.terminal, self.started)

    def _training(self, watch: Watch, deadline: float) -> GroupTraining | LaunchedTraining:
        if self.launch:
            return LaunchedTraining(self.folder.path, self.ledger, self.record, self.launch, self._tell)
        return GroupTraining(self.folder, self.ledger, watch, self._tell, self.progress.trained, deadline)

    def _remember(self, trials: list[Trial]) -> None:
        """Takes over what an earlier process left."""
        self.strategy.restore([trial.params for trial in trials])
        self.progress.asked(len(trials))
        for trial in trials:
            if trial.state in FINAL:
                self._count(trial)
                self.progress.trained(self.record.epochs(trial))
        if isinstance(self.training, GroupTraining) and (best := sweep_results.ranked(trials, self.objective)):
            self.training.keep_only_better_than(best[0], self.objective)

    def _tell(self, trial: Trial) -> None:
        self._count(trial)
        most = self.search.max_failures
        if most is not None and self.failures.total() > most:
            raise RunError(
                f"{self.failures.total()} trials failed, more than search.max_failures={most}. "
                f"{sweep_results.commonest(self.ledger.trials())} {self._to_continue()}"
            )

    def _count(self, trial: Trial) -> None:
        cost = None if trial.objective is None else self.objective.cost({self.objective.metric: trial.objective})
        self.strategy.tell(trial.number, cost if trial.state == "completed" else None)
        self.progress.ended(trial.objective)
        if trial.state == "failed":
            self.failures[trial.error or ""] += 1

    def _budget(self) -> float:
        return math.inf if self.search.trials is None else self.search.trials

    def _next_batch(self) -> bool:
        """Whether there are trials to train: those left over, else new ones."""
        if self.ledger.unfinished():
            return True
        left = self._budget() - len(self.strategy.asked)
        points = self.strategy.ask(int(min(left, self.search.parallel_trials or left, sys.maxsize)))
        self.ledger.ask(points)
        self.progress.asked(len(self.strategy.asked))
        return bool(points)

    def _groups(self) -> Iterator[tuple[GroupSettings, list[Member]]]:
        """Groups with trials that have not ended, new trials put into groups first."""
        self._plan([trial for trial in self.ledger.unfinished() if trial.group_id is None])
        for number in sorted({trial.group_id for trial in self.ledger.unfinished() if trial.group_id is not None}):
            yield self.record.groups[number], [self._member(trial) for trial in self.ledger.group(number)]

    def _plan(self, waiting: list[Trial]) -> None:
        if not waiting:
            return
        first, execution = len(self.record.groups), self.record.execution()
        planned = groups.plan([self._member(trial).config for trial in waiting], execution)
        for number, group in enumerate(planned, first):
            self.record.groups.append(GroupSettings(number, group.batching, group.devices))
        self._write("running")
        self.ledger.assign(
            {waiting[i].number: number for number, group in enumerate(planned, first) for i in group.members}
        )

    def _member(self, trial: Trial) -> Member:
        composed = self.record.trials.composed(trial.params)
        built = config.build(composed.plain)
        command = self.record.command_of(trial.params)
        return Member(trial.number, trial.params, composed, built, command, is_final=trial.state in FINAL)

    def _train(self, settings: GroupSettings, members: list[Member]) -> None:
        try:
            self.training.train(settings, members)
        except (Interrupted, RunError, ConfigError):
            raise
        except Exception as error:
            if "RESOURCE_EXHAUSTED" in str(error) and len(members) > 1:
                self._halve(settings, members)
            else:
                self._fail(members, error)

    def _halve(self, settings: GroupSettings, members: list[Member]) -> None:
        """Splits a group that is too large for the memory in two."""
        self.terminal.line(f"{len(members)} trials do not fit into memory together: trying half of them at a time.")
        number = len(self.record.groups)
        self.record.groups.append(dataclasses.replace(settings, number=number))
        self._write("running")
        self.ledger.assign({member.number: number for member in members[len(members) // 2 :]})
        for part in (settings.number, number):
            self._train(self.record.groups[part], [self._member(trial) for trial in self.ledger.group(part)])

    def _fail(self, members: list[Member], error: Exception) -> None:
        """A group that cannot be built or trained ends; the others go on."""
        self.folder.log(traceback.format_exc())
        for member in members:
            if not member.is_final:
                trial = member.ended("failed", self.objective.metric, f"{type(error).__name__}: {error}")
                self.ledger.record({}, [trial])
                self._tell(trial)

    def _write(self, status: str) -> None:
        self.folder.write_record(self.record.content(status))

    def _emergency(self, interrupted: Interrupted) -> None:
        self._write("interrupted")
        self.terminal.line(self._to_continue())
        sys.stdout.flush()

    def _to_continue(self) -> str:
        return f"To continue: nnrun resume {self.folder.path}"
