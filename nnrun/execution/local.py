"""The executor of this machine: a group of trials is one compiled program on its devices."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.executor import Ended, Event, Job, Resumed, Row, Saved, Started, Trained
from nnrun.execution.prepared import Prepared, counts, prepare
from nnrun.execution.serial import Judged, SerialRun
from nnrun.execution.settings import GroupSettings
from nnrun.execution.vectorized import CompiledGroup, GroupRun, TrainedMember
from nnrun.host.interruption import Watch
from nnrun.training.fit import Epoch, Failure, Stretch, fit
from nnrun.training.state import State

KEPT_PROGRAMS = 4
KEPT_DATA = 2
Trainer = GroupRun | SerialRun
Restore = Callable[[GroupSettings, Callable[[], State], Data], tuple[State, dict[str, Any]] | None]
"""Gives what `Saved` had of a group, for a state like that which is asked for, and these data; None where it begins."""


class Local:
    """Trains groups one after the other; programs and data are kept for groups that can share them.

    `deadline` is a time of `time.monotonic()` after which no trial goes on.
    """

    def __init__(self, watch: Watch, deadline: float, restore: Restore) -> None:
        self._watch, self._deadline, self._restore = watch, deadline, restore
        self._programs: dict[Any, Compiled] = {}
        self._data: dict[Any, Data] = {}

    def run(self, group: GroupSettings, jobs: list[Job]) -> Iterator[Event]:
        """Trains the jobs in lockstep, see Executor; states are saved every `training.checkpoint_seconds`."""
        begun = time.perf_counter()
        prepared = self._prepare(jobs[0].config)
        trainer = self._trainer(group, jobs, prepared.data)
        training, open_jobs = prepared.config.training, {i for i, job in enumerate(jobs) if not job.is_final}
        histories: list[list[Row]] = [[] for _ in jobs]
        seconds, examples = (time.perf_counter() - begun) / len(jobs), counts(prepared.data)

        def ended(i: int, state: str, error: str | None = None) -> Ended:
            open_jobs.discard(i)
            return Ended(jobs[i].number, state, error, trainer.parameters, seconds, partial(trainer.weights, i))

        if saved := self._restore(group, lambda: trainer.like, prepared.data):
            state, notes = saved
            trainer.restore(state, notes["layout"])
            histories = [notes["histories"][str(job.number)] for job in jobs]
            yield Resumed({job.number: list(rows) for job, rows in zip(jobs, histories, strict=True)})
        # Under vmap every slot is computed anyway, so that only map saves by leaving members out.
        if group.batching == "map":
            trainer.stop(i for i, job in enumerate(jobs) if job.is_final)
        yield Started(tuple(job.number for job in jobs))
        last = time.monotonic()
        self._watch.training = True
        try:
            for event in fit(trainer, prepared.task, prepared.data, training, prepared.objective, histories):
                is_whole = True
                if isinstance(event, Failure):
                    is_whole = False
                    if event.member in open_jobs:
                        yield Trained({}, (ended(event.member, "failed", str(event.error)),))
                elif isinstance(event, Stretch):
                    is_whole = event.done < trainer.train_steps
                else:
                    yield self._epoch(event, jobs, histories, open_jobs, training.epochs, ended)
                    # Not before the consumer has asked for more: until then it may take weights of members that left.
                    trainer.repack()
                is_due = time.monotonic() - last > training.checkpoint_seconds and open_jobs
                # An epoch that is trained but not yet evaluated is no state to go on from.
                if is_whole and (self._watch.heard() or is_due):
                    state, layout = trainer.snapshot()
                    rows = {job.number: history for job, history in zip(jobs, histories, strict=True)}
                    yield Saved(state, {"layout": layout, "histories": rows, "examples": examples})
                    last = time.monotonic()
                    self._watch.check()
                if is_whole and time.monotonic() > self._deadline:
                    reason = "search.timeout_seconds ran out after {} epochs."
                    yield Trained(
                        {}, tuple(ended(i, "pruned", reason.format(len(histories[i]))) for i in sorted(open_jobs))
                    )
                    break
        finally:
            self._watch.training = False

    def judged(self, group: GroupSettings | None, config: RunConfig) -> tuple[Prepared, Judged]:
        """The network is judged by the group's own program where that answers, so that no other is compiled."""
        prepared = self._prepare(config)
        if group is not None:
            compiled = self._compiled(group, prepared.config.split()[0], prepared.data)
            if isinstance(compiled, CompiledGroup) and compiled.answers:
                return prepared, TrainedMember(prepared.config, prepared.data, compiled, group.chunk)
        return prepared, Judged(prepared.config, prepared.data)

    def _epoch(
        self,
        event: Epoch,
        jobs: list[Job],
        histories: list[list[Row]],
        open_jobs: set[int],
        epochs: int,
        ended: Callable[[int, str], Ended],
    ) -> Trained:
        """The outcomes of the jobs that had not ended before; those of the last epoch, or out of patience, end."""
        for i, outcome in event.outcomes.items():
            histories[i].append(outcome.row)
        outcomes = {i: outcome for i, outcome in event.outcomes.items() if i in open_jobs}
        finished = [i for i, outcome in outcomes.items() if outcome.stop or event.number == epochs]
        return Trained(
            {jobs[i].number: outcome for i, outcome in outcomes.items()}, tuple(ended(i, "completed") for i in finished)
        )

    def _prepare(self, config: RunConfig) -> Prepared:
        if config.dataset not in self._data:
            self._data = dict(list(self._data.items())[1 - KEPT_DATA :])
            self._data[config.dataset] = prepare(config).data
        return prepare(config, self._data[config.dataset])

    def _trainer(self, group: GroupSettings, jobs: list[Job], data: Data) -> Trainer:
        configs = [prepare(job.config, data).config for job in jobs]
        compiled = self._compiled(group, configs[0].split()[0], data)
        if isinstance(compiled, CompiledGroup):
            trainer: Trainer = GroupRun(configs, compiled)
        else:
            trainer = SerialRun(configs[0], data, compiled)
        trainer.compile()
        return trainer

    def _compiled(self, group: GroupSettings, static: RunConfig, data: Data) -> Compiled:
        key = (static, group.batching, group.devices)
        if key not in self._programs:
            self._programs = dict(list(self._programs.items())[1 - KEPT_PROGRAMS :])
            if group.batching == "serial":
                self._programs[key] = Compiled(static, data, Placement(group.devices))
            else:
                placement = TrialPlacement(group.devices, group.batching)
                self._programs[key] = CompiledGroup(static, data, placement)
        return self._programs[key]
