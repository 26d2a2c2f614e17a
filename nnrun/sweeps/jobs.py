"""The executor of Hydra's launchers (joblib, a cluster): trials are jobs that write their folders, which we read."""

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nnrun.config.run_config import RunConfig
from nnrun.errors import ConfigError, NnrunError, SweepError
from nnrun.execution.executor import Ended, Event, Job, Started, Trained
from nnrun.execution.prepared import Prepared, prepare
from nnrun.execution.serial import Judged
from nnrun.execution.settings import GroupSettings
from nnrun.folders.reading import read_trial
from nnrun.sweeps.plan import Plan, several
from nnrun.training.fit import Outcome

Launch = Callable[..., Any]
"""A launcher's own method: `launch(overrides of every job, initial_job_idx=)`."""


def check_launched(plan: Plan) -> None:
    """Raises ConfigError for what needs trials that nnrun trains itself."""
    if (pruning := plan.search().pruning) != "none":
        raise ConfigError(
            f"search.pruning={pruning} needs trials that nnrun trains itself, but a launcher of Hydra's trains these "
            "to their end. Leave hydra/launcher out, or set search.pruning=none."
        )
    if several(plan.first):
        raise ConfigError(
            "training.folds and training.repeats are trained together by nnrun itself, but a launcher of Hydra's "
            "trains one network a trial. Leave hydra/launcher out."
        )


class Launched:
    """Trains jobs through `launch`; `overrides(number)` is what Hydra composes a trial from."""

    def __init__(self, folder: Path, launch: Launch, overrides: Callable[[int], list[str]]) -> None:
        self._folder, self._launch, self._overrides = folder, launch, overrides

    def run(self, group: GroupSettings, jobs: list[Job]) -> Iterator[Event]:
        """Launches the jobs that have not ended. Raises SweepError when the launcher fails: then none has ended."""
        missing = [job.number for job in jobs if not job.is_final]
        yield Started(tuple(missing))
        for numbers in _consecutive(missing):
            # What an interrupted launch left would be taken for the results of this one.
            for number in numbers:
                shutil.rmtree(self._folder / str(number), ignore_errors=True)
            try:
                self._launch([self._overrides(number) for number in numbers], initial_job_idx=numbers[0])
            except NnrunError:
                raise
            except Exception as error:
                raise SweepError(
                    f"The launcher failed, not its trials: {type(error).__name__}: {error} Set it right, then "
                    f"continue: nnrun resume {shlex.quote(str(self._folder))}"
                ) from error
            for number in numbers:
                yield from self._read(number)

    def judged(self, group: GroupSettings | None, config: RunConfig) -> tuple[Prepared, Judged]:
        """A program is compiled for the trial: that of its job is in another process."""
        prepared = prepare(config)
        return prepared, Judged(prepared.config, prepared.data)

    def _read(self, number: int) -> Iterator[Trained]:
        """What a job left: its epochs, and its end."""
        try:
            history, summary = read_trial(self._folder / str(number))
        except (ConfigError, OSError, ValueError):
            history, summary = [], {"status": "failed", "error": "The job left no results.", "seconds": {}}
        for row in history:
            # Which epoch was the best is in the summary that the job wrote, and goes with its end.
            yield Trained({number: Outcome(row, improved=False, stop=False)}, ())
        state = "completed" if summary["status"] == "completed" else "failed"
        yield Trained({}, (Ended(number, state, summary["error"], summary=summary),))


def _consecutive(numbers: list[int]) -> list[list[int]]:
    """Numbers in stretches without a gap: a launcher numbers its jobs from a first one."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs
