"""The executor of this machine: a group of trials is one compiled program on its devices."""

import dataclasses
import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.executor import Ended, Event, Job, Noted, Pruning, Resumed, Row, Saved, Started, Trained
from nnrun.execution.prepared import Prepared, counts, prepare
from nnrun.execution.serial import Judged, SerialRun
from nnrun.execution.settings import GroupSettings
from nnrun.execution.vectorized import CompiledGroup, GroupRun, TrainedMember
from nnrun.host.interruption import Watch
from nnrun.training.fit import Epoch, Failure, Stretch, fit, members
from nnrun.training.state import State

MOST_PROGRAMS = 16
"""Programs that are built before all are forgotten: each holds memory, in up to 400 maps, whoever let go of it."""
KEPT_DATA = 2
Trainer = GroupRun | SerialRun
Restore = Callable[[GroupSettings, Callable[[], State], Data], tuple[State, dict[str, Any]] | None]
"""Gives what `Saved` had of a group, for a state like that which is asked for, and these data; None where it begins."""


class Lockstep:
    """The jobs of a group while one trainer drives them: their rows so far, and which of them have not ended.

    seconds: of building, a job's share. Units of the trainer are the jobs in their order.
    """

    def __init__(self, jobs: list[Job], trainer: Trainer, prepared: Prepared, seconds: float) -> None:
        self._jobs, self._trainer, self._seconds = jobs, trainer, seconds
        training = prepared.config.training
        self._epochs, self._objective, self._members = training.passes, prepared.objective, training.members
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
        lost = [event.unit] if event.unit in self.open else []
        return Trained({}, tuple(self._ended(i, "failed", str(event.error)) for i in lost))

    def cut_short(self) -> Trained:
        """The time is over for all jobs that have not ended; one without an epoch has lost nothing, and begins anew."""
        reasons = {
            i: f"search.timeout_seconds ran out after {len(self.histories[i])} epochs."
            for i in sorted(self.open)
            if self.histories[i]
        }
        return Trained({}, tuple(self._ended(i, "pruned", reason) for i, reason in reasons.items()))

    def pruned(self, reasons: dict[int, str]) -> Trained:
        """The jobs with these numbers are trained no further."""
        leaving = [i for i in sorted(self.open) if self._jobs[i].number in reasons]
        self.stop(leaving)
        return Trained({}, tuple(self._ended(i, "pruned", reasons[self._jobs[i].number]) for i in leaving))

    def late(self, event: Epoch, deadline: float) -> dict[int, str]:
        """Jobs that leave so that the best are trained to their end by the deadline, at the pace of this epoch."""
        left = self._epochs - event.number
        training = [i for i in event.outcomes if i in self.open]
        seconds = left * sum(event.outcomes[i].row["seconds"] for i in training)
        remaining = deadline - time.monotonic()
        if not 0 < remaining < seconds:
            return {}
        fitting = max(1, int(len(training) * remaining / seconds))
        best = {i: self._objective.cost(self._objective.best(self.histories[i]) or {}) for i in training}
        training.sort(key=lambda i: best[i] if math.isfinite(best[i]) else math.inf)
        reason = f"search.timeout_seconds leaves time for {fitting} of {len(training)} after epoch {event.number}"
        return {self._jobs[i].number: reason for i in training[fitting:]}

    def leave(self, epoch: int) -> None:
        """Jobs that an earlier process let go leave where they did: under vmap the size of a group changes bits."""
        gone = [i for i, job in enumerate(self._jobs) if job.pruned_after is not None and job.pruned_after <= epoch]
        self.stop(gone)

    def stop(self, leaving: Iterable[int]) -> None:
        """Trains some units no further."""
        self._trainer.stop(members(leaving, self._members))

    @property
    def trained(self) -> int:
        """How many epochs the jobs that go on have."""
        return max((len(self.histories[i]) for i in self.open), default=self._epochs)

    @property
    def numbers(self) -> list[int]:
        """The jobs that have not ended."""
        return [self._jobs[i].number for i in sorted(self.open)]

    def saved(self, examples: list[int]) -> Saved:
        """A state to go on from, with what `resume` needs beside it."""
        state, layout = self._trainer.snapshot()
        return Saved(state, {"layout": layout, "histories": self.by_number, "examples": examples})

    def _ended(self, i: int, state: str, error: str | None = None) -> Ended:
        self.open.discard(i)
        number = self._jobs[i].number
        return Ended(number, state, error, self._trainer.parameters, self._seconds, partial(self._weights, i))

    def _weights(self, i: int) -> Any:
        """Those of a job's network; of several, with a leading axis of them."""
        found = [self._trainer.weights(member) for member in members([i], self._members)]
        return found[0] if len(found) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *found)


class Local:
    """Trains groups one after the other; programs and data are kept for groups that can share them.

    `deadline` is a time of `time.monotonic()` after which no trial goes on.
    """

    def __init__(self, watch: Watch, deadline: float, restore: Restore, pruning: Pruning) -> None:
        self._watch, self._deadline, self._restore, self._pruning = watch, deadline, restore, pruning
        self._programs: dict[Any, Compiled] = {}
        self._data: dict[Any, Data] = {}
        self._remarks: dict[Any, tuple[str, ...]] = {}

    def run(self, group: GroupSettings, jobs: list[Job]) -> Iterator[Event]:
        """Trains the jobs in lockstep, see Executor; states are saved every `training.checkpoint_seconds`."""
        prepared = self._prepare(jobs[0].config)
        training, examples, begun = prepared.config.training, counts(prepared.data), time.perf_counter()
        self._pruning.check(training.passes)
        trainer = self._trainer(group, jobs, prepared.data)
        lockstep = Lockstep(jobs, trainer, prepared, (time.perf_counter() - begun) / len(jobs))
        yield Noted((*self._of_data(prepared), *trainer.compiled.initial.remarks))
        if saved := self._restore(group, lambda: trainer.like, prepared.data):
            yield lockstep.resume(saved)
        # The state as it was read would stay in memory while the group trains.
        del saved
        # Under vmap every slot is computed anyway, so that only map saves by leaving members out.
        if group.batching == "map":
            lockstep.stop(i for i, job in enumerate(jobs) if job.is_final)
        lockstep.leave(lockstep.trained)
        trainer.repack()
        yield Started(tuple(job.number for job in jobs), training.passes, trainer.parameters)
        if self._pruning.pauses(lockstep.trained, training.passes):
            return
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
                    losers = self._pruning.losers(lockstep.numbers, event.number, training.passes)
                    if reasons := losers | lockstep.late(event, self._deadline):
                        yield lockstep.pruned(reasons)
                    lockstep.leave(event.number)
                    # Not before the consumer asks for more: until then it may take weights of members that left.
                    trainer.repack()
                    if lockstep.open and self._pruning.pauses(event.number, training.passes):
                        yield lockstep.saved(examples)
                        self._watch.check()
                        break
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
        if prepared.data.folds is None and group is not None:
            compiled = self._compiled(group, prepared.config.split()[0], prepared.data)
            if isinstance(compiled, CompiledGroup) and compiled.answers:
                slots = group.slots or compiled.placement.slots(group.chunk * config.training.members)
                return prepared, TrainedMember(prepared.config, prepared.data, compiled, slots)
        whole = dataclasses.replace(prepared.data, folds=None)
        return prepared, Judged(prepared.config, whole)

    def _prepare(self, config: RunConfig) -> Prepared:
        key = config.dataset, config.training.folds
        if key not in self._data:
            self._data = dict(list(self._data.items())[1 - KEPT_DATA :])
            self._data[key] = prepare(config).data
        return prepare(config, self._data[key])

    def _of_data(self, prepared: Prepared) -> tuple[str, ...]:
        # Once a data set: to look for examples that occur twice takes as long as reading them all.
        if (dataset := prepared.config.dataset) not in self._remarks:
            self._remarks[dataset] = prepared.remarks()
        return self._remarks[dataset]

    def _trainer(self, group: GroupSettings, jobs: list[Job], data: Data) -> Trainer:
        configs = [prepare(job.config, data).config for job in jobs]
        compiled = self._compiled(group, configs[0].split()[0], data)
        if isinstance(compiled, CompiledGroup):
            trainer: Trainer = GroupRun(configs, compiled, group.slots)
        else:
            trainer = SerialRun(configs[0], data, compiled)
        trainer.compile()
        return trainer

    def _compiled(self, group: GroupSettings, static: RunConfig, data: Data) -> Compiled:
        key = (static, group.batching, group.devices)
        if key not in self._programs:
            if len(self._programs) == MOST_PROGRAMS:
                self._forget()
            if group.batching == "serial":
                self._programs[key] = Compiled(static, data, Placement(group.devices))
            else:
                placement = TrialPlacement(group.devices, group.batching)
                self._programs[key] = CompiledGroup(static, data, placement)
        return self._programs[key]

    def _forget(self) -> None:
        """Gives back what programs take: JAX keeps every one, and a Compiled is part of a circle."""
        self._programs = {}
        jax.clear_caches()
        gc.collect()
