"""The executor of this machine: a group of trials is one compiled program on its devices."""

import gc
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax

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
MOST_PROGRAMS = 16
"""Programs that are built before all are forgotten: each holds memory, in up to 400 maps, whoever let go of it."""
KEPT_DATA = 2
Trainer = GroupRun | SerialRun
Restore = Callable[[GroupSettings, Callable[[], State], Data], tuple[State, dict[str, Any]] | None]
"""Gives what `Saved` had of a group, for a state like that which is asked for, and these data; None where it begins."""


class Lockstep:
    """The jobs of a group while one trainer drives them: their rows so far, and which of them have not ended.

    seconds: of building, a job's share. Members of the trainer are the jobs in their order.
    """

    def __init__(self, jobs: list[Job], trainer: Trainer, prepared: Prepared, seconds: float) -> None:
        self._jobs, self._trainer, self._seconds = jobs, trainer, seconds
        self._epochs, self._objective = prepared.config.training.passes, prepared.objective
        self.histories: list[list[Row]] = [[] for _ in jobs]
        self.open = {i for i, job in enumerate(jobs) if not job.is_final}

    @property
    def by_number(self) -> dict[int, list[Row]]:
        """The rows of every job, by its number."""
        return {job.number: rows for job, rows in zip(self._jobs, self.histories, strict=True)}

    def resume(self, saved: tuple[State, dict[str, Any]]) -> Resumed:
        """Goes on from a saved state."""
        state, notes = saved
        self._trainer.restore(state, notes["layout"])
        self.histories = [notes["histories"][str(job.number)] for job in self._jobs]
        best = {number: self._objective.best(rows) for number, rows in self.by_number.items()}
        return Resumed({number: list(rows) for number, rows in self.by_number.items()}, best, self._epochs)

    def epoch(self, event: Epoch) -> Trained:
        """The outcomes of the jobs that had not ended before; those of the last epoch, or out of patience, end."""
        for i, outcome in event.outcomes.items():
            self.histories[i].append(outcome.row)
        outcomes = {i: outcome for i, outcome in event.outcomes.items() if i in self.open}
        finished = [i for i, outcome in outcomes.items() if outcome.stop or event.number == self._epochs]
        by_number = {self._jobs[i].number: outcome for i, outcome in outcomes.items()}
        return Trained(by_number, tuple(self._ended(i, "completed") for i in finished))

    def failed(self, event: Failure) -> Trained:
        """A job whose loss is no longer finite ends, unless it had ended before."""
        lost = [event.member] if event.member in self.open else []
        return Trained({}, tuple(self._ended(i, "failed", str(event.error)) for i in lost))

    def cut_short(self) -> Trained:
        """The time is over for all jobs that have not ended; one without an epoch has lost nothing, and begins anew."""
        reasons = {
            i: f"search.timeout_seconds ran out after {len(self.histories[i])} epochs."
            for i in sorted(self.open)
            if self.histories[i]
        }
        return Trained({}, tuple(self._ended(i, "pruned", reason) for i, reason in reasons.items()))

    def saved(self, examples: list[int]) -> Saved:
        """A state to go on from, with what `resume` needs beside it."""
        state, layout = self._trainer.snapshot()
        return Saved(state, {"layout": layout, "histories": self.by_number, "examples": examples})

    def _ended(self, i: int, state: str, error: str | None = None) -> Ended:
        self.open.discard(i)
        number, weights = self._jobs[i].number, partial(self._trainer.weights, i)
        return Ended(number, state, error, self._trainer.parameters, self._seconds, weights)


class Local:
    """Trains groups one after the other; programs and data are kept for groups that can share them.

    `deadline` is a time of `time.monotonic()` after which no trial goes on.
    """

    def __init__(self, watch: Watch, deadline: float, restore: Restore) -> None:
        self._watch, self._deadline, self._restore = watch, deadline, restore
        self._programs: dict[Any, Compiled] = {}
        self._built = 0
        self._data: dict[Any, Data] = {}

    def run(self, group: GroupSettings, jobs: list[Job]) -> Iterator[Event]:
        """Trains the jobs in lockstep, see Executor; states are saved every `training.checkpoint_seconds`."""
        prepared = self._prepare(jobs[0].config)
        training, examples, begun = prepared.config.training, counts(prepared.data), time.perf_counter()
        trainer = self._trainer(group, jobs, prepared.data)
        lockstep = Lockstep(jobs, trainer, prepared, (time.perf_counter() - begun) / len(jobs))
        if saved := self._restore(group, lambda: trainer.like, prepared.data):
            yield lockstep.resume(saved)
        # The state as it was read would stay in memory while the group trains.
        del saved
        # Under vmap every slot is computed anyway, so that only map saves by leaving members out.
        if group.batching == "map":
            trainer.stop(i for i, job in enumerate(jobs) if job.is_final)
        yield Started(tuple(job.number for job in jobs), training.passes)
        last = time.monotonic()
        self._watch.training = True
        try:
            for event in fit(trainer, prepared.task, prepared.data, training, prepared.objective, lockstep.histories):
                # A stretch that ends an epoch which is not yet evaluated leaves no state to go on from.
                is_whole = not isinstance(event, Stretch) or event.done < trainer.train_steps
                if isinstance(event, Failure):
                    yield lockstep.failed(event)
                    continue
                if isinstance(event, Epoch):
                    yield lockstep.epoch(event)
                    # Not before the consumer asks for more: until then it may take weights of members that left.
                    trainer.repack()
                is_due = time.monotonic() - last > training.checkpoint_seconds and lockstep.open
                if is_whole and (self._watch.heard() or is_due):
                    yield lockstep.saved(examples)
                    last = time.monotonic()
                    self._watch.check()
                if is_whole and time.monotonic() > self._deadline:
                    yield lockstep.cut_short()
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
            if self._built == MOST_PROGRAMS:
                self._forget()
            self._built += 1
            if group.batching == "serial":
                self._programs[key] = Compiled(static, data, Placement(group.devices))
            else:
                placement = TrialPlacement(group.devices, group.batching)
                self._programs[key] = CompiledGroup(static, data, placement)
        return self._programs[key]

    def _forget(self) -> None:
        """Gives back what programs take: JAX keeps every one, and a Compiled is part of a circle."""
        self._programs, self._built = {}, 0
        jax.clear_caches()
        gc.collect()
