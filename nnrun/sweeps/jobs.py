"""A sweep's trials as jobs of one of Hydra's launchers (joblib, a cluster): each writes its folder, we read it."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnrun.errors import ConfigError, NnrunError, SweepError
from nnrun.execution.settings import GroupSettings
from nnrun.folders.ledger import Ledger
from nnrun.folders.reading import read_trial
from nnrun.search.trial import Trial
from nnrun.sweeps.record import Record
from nnrun.sweeps.recording import Member

Launch = Callable[..., Any]


class LaunchedTraining:
    """Trains members through `launch(job_overrides, initial_job_idx=)`; `tell(trial)` hears of every one that ends."""

    def __init__(
        self, folder: Path, ledger: Ledger, record: Record, launch: Launch, tell: Callable[[Trial], None]
    ) -> None:
        self.folder, self.ledger, self.record, self.launch, self.tell = folder, ledger, record, launch, tell

    def train(self, settings: GroupSettings, members: list[Member]) -> None:
        """Runs the members that have not ended, and writes down what came of them.

        Raises SweepError when the launcher itself fails: then none of its trials has ended.
        """
        missing = [member for member in members if not member.is_final]
        self.ledger.start(member.number for member in missing)
        for batch in _consecutive(missing):
            for member in batch:
                shutil.rmtree(self.folder / str(member.number), ignore_errors=True)
            self._launch(batch)
            for member in batch:
                self._read(member)

    def _launch(self, batch: list[Member]) -> None:
        try:
            self.launch([self._job(member) for member in batch], initial_job_idx=batch[0].number)
        except NnrunError:
            raise
        except Exception as error:
            raise SweepError(
                f"The launcher failed, not its trials: {type(error).__name__}: {error} Set it right, then continue: "
                f"nnrun resume {shlex.quote(str(self.folder))}"
            ) from error

    def _job(self, member: Member) -> list[str]:
        """What Hydra composes a job from; unlike ours it cannot find out what `task=auto` is."""
        words = [word for word in self.record.overrides_of(member.params) if not word.startswith("task=")]
        return [*words, f"task={member.composed.choices['task']}"]

    def _read(self, member: Member) -> None:
        try:
            member.history, summary = read_trial(self.folder / str(member.number))
        except (ConfigError, OSError, ValueError):
            summary = {"status": "failed", "error": "The job left no results.", "seconds": {}}
        for row in member.history:
            self.ledger.record({member.number: row})
        if summary["status"] == "completed":
            state, objective = "completed", summary["objective"]["value"]
            metrics = {name: value for name, value in summary["metrics"].items() if value is not None}
        else:
            state, objective, metrics = "failed", None, {}
        seconds, error = summary["seconds"].get("train"), summary["error"]
        trial = Trial(member.number, state, {}, objective, metrics, None, seconds, error)
        self.ledger.record({}, [trial])
        self.tell(trial)


def _consecutive(members: list[Member]) -> list[list[Member]]:
    """Runs of members with consecutive numbers: a launcher numbers its jobs from a first one."""
    runs: list[list[Member]] = []
    for member in members:
        if runs and runs[-1][-1].number + 1 == member.number:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs
