"""A sweep from its command to its finished folder: ask, train, tell, until the budget or the space ends."""

import collections
import contextlib
import dataclasses
import itertools
import math
import sqlite3
import sys
import time
import traceback
from pathlib import Path

from nnrun.config import run_config
from nnrun.config.run_config import RunConfig
from nnrun.errors import OUT_OF_MEMORY, ConfigError, NnrunError, RunError, SweepError
from nnrun.execution import devices, groups
from nnrun.execution.executor import Executor
from nnrun.execution.groups import MOST_TRIALS
from nnrun.execution.local import Local
from nnrun.execution.prepared import Prepared
from nnrun.execution.serial import Judged
from nnrun.execution.settings import GroupSettings
from nnrun.folders import reading, strangers
from nnrun.folders.ledger import Ledger
from nnrun.folders.sweep_folder import SweepFolder
from nnrun.host.interruption import Interrupted, Watch
from nnrun.host.terminal import SweepProgress, Terminal
from nnrun.runs.start import gone
from nnrun.search.trial import FINAL, Trial
from nnrun.sweeps import ranking
from nnrun.sweeps import record as sweep_record
from nnrun.sweeps.drawing import Drawing
from nnrun.sweeps.jobs import Launch, Launched, check_launched
from nnrun.sweeps.pruner import Pruner
from nnrun.sweeps.record import Record
from nnrun.sweeps.recording import Recorder, Training
from nnrun.sweeps.results import Results

UNWRITABLE = (OSError, sqlite3.Error)
"""The disk is full, or the folder can no longer be written to."""


class Sweep:
    """Trains the trials of a record in its folder; `drawing` draws the report.

    `launch` hands the trials to a launcher of Hydra's instead; `resume` says that the folder holds the sweep already.
    """

    def __init__(
        self,
        record: Record,
        path: Path,
        started: float,
        drawing: Drawing,
        launch: Launch | None = None,
        resume: bool = False,
    ) -> None:
        self._is_new = not resume
        self.record, self.started, self.drawing, self.launch = record, started, drawing, launch
        self.search = record.plan.search()
        self.strategy = record.strategy()
        self.objective = sweep_record.objective(record)
        self.folder = SweepFolder(path)
        self.terminal = Terminal(self.folder.log)
        self.failures: collections.Counter[str] = collections.Counter()
        self._unloaded: RunError | None = None
        self._is_spent = False
        typed = any(word.startswith("search.trials=") for word in record.typed)
        self._tells_end = typed or record.plan.first.sweep["strategy"] != "grid"
        self._trainings: dict[int, Training] = {}
        self.progress = SweepProgress(
            self.terminal, self.objective.metric, maximize=self.objective.direction == "maximize"
        )

    def execute(self) -> float:
        """Trains what is missing and returns the best objective.

        Raises RunError when all trials or too many failed or the folder cannot be written, ConfigError for a mistake
        that only the data tell, and Interrupted after a signal; nothing that was measured is lost.
        """
        with contextlib.closing(self.terminal):
            try:
                self.ledger = Ledger(self.folder.path)
            except UNWRITABLE as error:
                raise self._stopped(error) from error
            self.results = Results(self.record, self.folder, self.ledger, self.objective, self.terminal, self.drawing)
            self.recorder = Recorder(
                self.folder, self.ledger, self.objective, self._tell, self.progress.trained, self._note
            )
            try:
                with Watch(self._emergency) as watch:
                    return self._recorded(watch)
            except (*UNWRITABLE, *devices.FAILURES) as error:
                raise self._stopped(error) from error
            finally:
                self.ledger.close()
                devices.trim_programs()

    def _stopped(self, error: BaseException) -> RunError:
        """What the disk or the device is told of; a folder that could not be begun is given back."""
        if not self.folder.path.is_dir():
            return RunError(gone(self.folder.path))
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        reason = f"{self.folder.path} cannot be written: the disk is full" if full else str(error)
        if self._is_new and not reading.is_sweep(self.folder.path):
            self.folder.discard()
            return RunError(
                f"{reason}. Nothing was trained. Make room, or set another hydra.sweep.dir, and start again."
            )
        return RunError(f"{reason}. What was measured is kept. {self._to_continue()}")

    def _recorded(self, watch: Watch) -> float:
        """The work, with its outcome as the status in sweep.yaml."""
        try:
            self._write("running")
            best = self._work(watch)
            self._write("completed" if self._is_done() else "interrupted")
            return best
        except (Interrupted, KeyboardInterrupt):
            self._write("interrupted")
            self.terminal.line(self._to_continue())
            raise
        except ConfigError:
            # A folder that an earlier process made is not given back: its trials wait for data that can be put back.
            if self._is_new and not self._has_begun():
                self.folder.discard()
            else:
                self._failed()
            raise
        except BaseException:
            self._failed()
            raise

    def _failed(self) -> None:
        reason = traceback.format_exc()
        with contextlib.suppress(*UNWRITABLE):
            self._write("failed")
            self.folder.log(reason)

    def _work(self, watch: Watch) -> float:
        deadline = time.monotonic() + (self.search.timeout_seconds or math.inf)
        self.pruner = Pruner(self.search, self.ledger, self.objective, self._note)
        self.executor = self._executor(watch, deadline)
        self._remember(self.ledger.trials())
        for note in self.record.notes:
            self._note(note)
        with self.progress:
            while time.monotonic() < deadline and self._next_batch():
                for stage in itertools.count():
                    self._train_all(stage, watch, deadline)
                    if not self.pruner.paused or time.monotonic() > deadline:
                        break
                    self._prune()
                self._check_loaded()
        best = self.results.finish(self.started, self._trained)
        if not self._is_done():
            self.terminal.line(self._of_the_rest())
        return best

    def _train_all(self, stage: int, watch: Watch, deadline: float) -> None:
        """Trains the groups of a batch, to their ends or to where they wait for each other."""
        self._plan([trial for trial in self.ledger.unfinished() if trial.group_id is None])
        self.pruner.begin(stage, len(self._groups_of_batch()))
        for number in sorted({trial.group_id or 0 for trial in self.ledger.unfinished()}):
            if time.monotonic() < deadline:
                self._train(number)
                watch.check()

    def _groups_of_batch(self) -> set[int | None]:
        """The groups of trials that were asked for together with those that have not ended."""
        trials = self.ledger.trials()
        batches = {trial.batch for trial in trials if trial.state not in FINAL}
        return {trial.group_id for trial in trials if trial.batch in batches}

    def _prune(self) -> None:
        """Lets trials of the groups that wait go; what was saved of a group that none is left of is not needed."""
        reasons = self.pruner.judge()
        groups = self._groups_of_batch()
        self.recorder.prune([self._trainings[number] for number in reasons], reasons)
        for number in groups - {trial.group_id for trial in self.ledger.unfinished()}:
            self.folder.remove_group(number or 0)

    def _note(self, sentence: str) -> None:
        self.terminal.line(f"Note: {sentence}")

    def _trained(self, trial: Trial, config: RunConfig) -> tuple[Prepared, Judged]:
        group = None if trial.group_id is None else self.record.groups[trial.group_id]
        return self.executor.judged(group, config)

    def _executor(self, watch: Watch, deadline: float) -> Executor:
        if self.launch is None:
            return Local(watch, deadline, self.recorder.restore, self.pruner)
        check_launched(self.record.plan)
        return Launched(self.folder.path, self.launch, self._overrides)

    def _overrides(self, number: int) -> list[str]:
        """What Hydra composes a trial from; unlike us it cannot find out what `task=auto` is."""
        trial = self._trainings[number]
        words = [word for word in self.record.overrides_of(trial.params) if not word.startswith("task=")]
        return [*words, f"task={trial.composed.choices['task']}"]

    def _remember(self, trials: list[Trial]) -> None:
        """Takes over what an earlier process left."""
        self.strategy.restore([trial.params for trial in trials])
        ended = [trial for trial in trials if trial.state in FINAL]
        for trial in ended:
            self._count(trial)
        self.progress.trained(len(ended), before=True)
        numbers = [trial.group_id for trial in trials if trial.group_id is not None]
        if any(not 0 <= number < len(self.record.groups) for number in numbers):
            raise ConfigError(
                f"{self.folder.path}: sweep.db has trials in groups that sweep.yaml lacks: one of them is of another "
                "sweep or damaged. Put the right one back."
            )
        # A group that no trial belongs to was recorded just before the end, and is made again.
        del self.record.groups[max(numbers, default=-1) + 1 :]
        if best := ranking.ranked(trials, self.objective):
            self.recorder.keep_only_better_than(best[0])

    def _tell(self, trial: Trial) -> None:
        self._count(trial)
        most = self.search.max_failures
        if most is not None and self.failures.total() > most:
            self.results.tabulate()
            self.drawing.end()
            raise SweepError(
                f"More trials failed ({self.failures.total()}) than search.max_failures={most} allows. "
                f"{ranking.commonest(self.ledger.trials())} What was measured is in {self.folder.path}. "
                "Start a new sweep where fewer fail, or with a larger search.max_failures."
            )

    def _count(self, trial: Trial) -> None:
        cost = None if trial.objective is None else self.objective.cost({self.objective.metric: trial.objective})
        # What a pruned trial would have cost is known once the others have ended.
        if trial.state != "pruned":
            self.strategy.tell(trial.number, cost if trial.state == "completed" else None)
        self.progress.ended(trial.objective, failed=trial.state == "failed")
        if trial.state == "failed":
            self.failures[trial.error or ""] += 1

    def _next_batch(self) -> bool:
        """Whether there are trials to train: those left over, else new ones."""
        budget = self._budget
        left = budget - len(self.strategy.asked)
        at_once = self.search.patience or (MOST_TRIALS if self.search.timeout_seconds else left)
        wanted = int(min(left, self.search.parallel_trials or at_once, sys.maxsize))
        leftover = self.ledger.unfinished()
        if not leftover:
            for number, cost in self.pruner.estimates().items():
                self.strategy.tell(number, cost)
        is_over = not leftover and self._is_over()
        points = [] if leftover or is_over else self.strategy.ask(wanted)
        self.ledger.ask(points)
        self._is_spent = not leftover and len(points) < wanted
        self.progress.asked(len(self.strategy.asked), math.nan if self._is_spent else budget)
        if self._is_spent and budget != math.inf and self._tells_end and not is_over:
            self._tells_end = False
            self.terminal.line(f"The space has {len(self.strategy.asked)} different trials and no more.")
        return bool(leftover or points)

    def _is_over(self) -> bool:
        """Whether `search.patience` trials in a row have not improved, which the user is told."""
        trials = self.ledger.trials()
        best = ranking.ranked(trials, self.objective)
        since = len(trials) - (best[0].number + 1 if best else 0)
        if self.search.patience is None or since < self.search.patience:
            return False
        what = f"improved on trial {best[0].number}" if best else "had a result"
        self._note(
            f"None of the last {since} trials {what}, so the sweep ends: search.patience={self.search.patience}."
        )
        return True

    def _plan(self, waiting: list[Trial]) -> None:
        if not waiting:
            return
        first, execution = len(self.record.groups), self.record.execution()
        planned = groups.plan([self._training(trial).config for trial in waiting], execution, self.strategy.batch)
        for number, group in enumerate(planned, first):
            self.record.groups.append(group.settings(number))
        self._write("running")
        self.ledger.assign(
            {waiting[i].number: number for number, group in enumerate(planned, first) for i in group.members}
        )

    def _trials_of(self, group: int) -> list[Training]:
        trained = self.ledger.epochs()
        found = []
        for trial in self.ledger.group(group):
            training = self._training(trial)
            training.pruned_after = trained.get(trial.number) if trial.state == "pruned" else None
            found.append(training)
        return found

    def _training(self, trial: Trial) -> Training:
        """A trial as it begins anew, or goes on from what its group saved; its config is built once."""
        if trial.number not in self._trainings:
            composed = self.record.plan.composed(trial.params)
            config, command = run_config.build(composed.plain), self.record.command_of(trial.params)
            self._trainings[trial.number] = Training(trial.number, trial.params, composed, config, command)
        found = dataclasses.replace(self._trainings[trial.number], is_final=trial.state in FINAL, history=[], best=None)
        self._trainings[trial.number] = found
        return found

    def _train(self, number: int) -> None:
        """Trains a group to its end; one that cannot be built or trained fails, and the others go on.

        One whose data cannot be loaded waits for a later try.
        """
        group, trials = self.record.groups[number], self._trials_of(number)
        try:
            self._follow(group, trials)
            return
        except (Interrupted, SweepError, *UNWRITABLE):
            raise
        except RunError as error:
            self._unloaded = self._unloaded or error
            return
        except Exception as error:
            if isinstance(error, ConfigError) and not self._has_begun():
                raise
            self.folder.log(traceback.format_exc())
            reason = str(error) if isinstance(error, NnrunError) else f"{type(error).__name__}: {error}"
        # Only here has the memory that the group took been given back.
        if OUT_OF_MEMORY in reason and group.slots:
            self.record.groups[number] = dataclasses.replace(group, slots=None)
            self._train(number)
        elif OUT_OF_MEMORY in reason and len(trials) > 1:
            self._halve(number, len(trials))
        else:
            self.recorder.fail(trials, reason)

    def _follow(self, group: GroupSettings, trials: list[Training]) -> None:
        """Records what the executor reports of a group. The last event holds its memory, until this returns."""
        by_number = {trial.number: trial for trial in trials}
        for event in self.executor.run(group, [trial.job for trial in trials]):
            self.recorder.record(group, by_number, event)
        # Where trials of a group wait for those of others, it goes on from what was saved.
        if all(trial.state in FINAL for trial in self.ledger.group(group.number)):
            self.folder.remove_group(group.number)

    def _check_loaded(self) -> None:
        """Raises what kept a group's data from being loaded, once all others are trained; its trials still wait."""
        if self._unloaded:
            self.results.tabulate()
            self.drawing.end()
            raise RunError(f"{self._unloaded} What was measured is kept. {self._to_continue()}")

    def _halve(self, number: int, count: int) -> None:
        """Splits a group that is too large for the memory in two, which start anew."""
        self.terminal.line(f"{count} trials do not fit into memory together: trying half of them at a time.")
        self.folder.remove_group(number)
        other = self.record.halve(number)
        self._write("running")
        self.ledger.assign({trial.number: other for trial in self.ledger.group(number)[count // 2 :]})
        for part in (number, other):
            self._train(part)

    def _is_done(self) -> bool:
        """Whether nothing is left to train, or to ask for."""
        return not self.ledger.unfinished() and (self._is_spent or len(self.strategy.asked) >= self._budget)

    @property
    def _budget(self) -> float:
        return math.inf if self.search.trials is None else self.search.trials

    def _of_the_rest(self) -> str:
        """What the time did not last for, and how it goes on."""
        begun = len(self.strategy.asked) - len(self.ledger.unfinished())
        of = "" if self._budget == math.inf else f" of {self._budget}"
        seconds = self.search.timeout_seconds
        return (
            f"search.timeout_seconds={seconds:g} ran out after {begun}{of} trials; the others wait. "
            f"To go on: {self._continued()} search.timeout_seconds=N"
        )

    def _has_begun(self) -> bool:
        return any(trial.state != "waiting" for trial in self.ledger.trials())

    def _write(self, status: str) -> None:
        self.folder.write_record(self.record.content(status))

    def _emergency(self, interrupted: Interrupted) -> None:
        with contextlib.suppress(OSError):
            self._write("interrupted")
        self.terminal.line(self._to_continue())
        sys.stdout.flush()

    def _to_continue(self) -> str:
        return f"To continue: {self._continued()}"

    def _continued(self) -> str:
        configs = [base.plain for base in self.record.plan.bases.values()]
        return strangers.continuing(self.folder.path, *configs)
