"""The training loop: a generator that computes and writes nothing."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nnrun.config.run_config import TrainingConfig
from nnrun.datasets.base import Data
from nnrun.datasets.part import Part
from nnrun.errors import RunError
from nnrun.tasks.base import Task
from nnrun.training.objective import Objective

STRETCH_SECONDS = 0.5
"""How long the steps of a stretch take, between two looks at signals and the clock."""
OVERHEAD = 0.1
"""Largest share of a stretch's time that may be spent beside its steps."""


Row = dict[str, float]
"""A line of metrics.csv."""


@dataclass(frozen=True)
class Stretch:
    """Some steps were trained: `done` of the epoch's, with mean loss so far over the units that train."""

    epoch: int
    done: int
    loss: float


@dataclass(frozen=True)
class Outcome:
    """An epoch of one unit; `row` is a line of its metrics.csv, `stop` says that patience ran out.

    members: the rows that `row` is the mean of, where the unit has several members.
    """

    row: Row
    improved: bool
    stop: bool
    members: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Epoch:
    """An epoch was trained and evaluated: what came of every unit that trained in it."""

    number: int
    outcomes: dict[int, Outcome]


@dataclass(frozen=True)
class Failure:
    """The loss of a unit's member is no longer finite; the other units go on."""

    unit: int
    error: RunError


class Trainer(Protocol):
    """What the loop drives: a compiled program with one member (a run) or many (a group of trials), in lockstep.

    Answers are lists with an entry per member; those of members that were stopped mean nothing.
    """

    @property
    def train_steps(self) -> int:
        """Steps of an epoch."""

    @property
    def position(self) -> int:
        """Steps trained so far."""

    def steps(self, count: int) -> list[Any]:
        """Trains `count` batches; every member's sums of the epoch so far."""

    @property
    def stopped(self) -> set[int]:
        """Members that are trained no further."""

    def stop(self, leaving: Iterable[int]) -> None:
        """Trains these members no further."""

    def end_epoch(self, values: list[float], improved: list[bool]) -> None:
        """Keeps the weights where they improved."""

    def evaluate(self, part: Part, best: bool = False) -> list[Any]:
        """Statistics of a part."""


def fit(
    trainer: Trainer,
    task: Task,
    data: Data,
    config: TrainingConfig,
    objective: Objective,
    histories: list[list[Row]],
) -> Iterator[Stretch | Epoch | Failure]:
    """Trains to the last epoch, yielding after every stretch of steps and every epoch.

    Members of the trainer belong to units, `config.members` that follow one another to each: a setting's folds, and the
    repeats of each. A unit is judged by the means over its members, which share their best epoch and their end.

    It starts where `histories` (the rows so far of every unit) and the position of the trainer say. Whoever consumes
    the events may let units leave at any of them by `trainer.stop`; the others go on as if nothing had happened.
    """
    pace, size = Pace(), config.members
    stopping = config.early_stopping
    patience = [Patience(objective, stopping.patience, stopping.minimum_change) for _ in histories]
    for waiting, history in zip(patience, histories, strict=True):
        for row in history:
            waiting.see(row)
    active = _staying([i for i, waiting in enumerate(patience) if not waiting.over], trainer, size)
    trainer.stop(members(set(range(len(histories))) - set(active), size))
    # Units in lockstep have trained equally far; where none goes on there is nothing left.
    trained = max((len(histories[i]) for i in active), default=config.passes)
    # More than 0 where a run goes on from the middle of an epoch.
    done = trainer.position - trained * trainer.train_steps
    for epoch in range(trained + 1, config.passes + 1):
        started = time.perf_counter()
        while active and done < trainer.train_steps:
            stretch = pace.next(trainer.train_steps - done)
            sums, done = pace.timed(stretch, trainer.steps), done + stretch
            for lost in [i for i in active if not all(math.isfinite(sums[m].loss) for m in members([i], size))]:
                active.remove(lost)
                trainer.stop(members([lost], size))
                reason = f"The training loss became NaN or infinite in epoch {epoch}. Most likely the learning rate is "
                remedy = "too high: divide optimizer.learning_rate by 10, or set training.gradient_clip=1."
                yield Failure(lost, RunError(f"{reason}{remedy}"))
            active = _staying(active, trainer, size)
            if active:
                training = members(active, size)
                yield Stretch(epoch, done, sum(sums[m].loss / sums[m].examples for m in training) / len(training))
                active = _staying(active, trainer, size)
        if not active:
            return
        found, step = trainer.evaluate(data.val), trainer.position
        measured = _measured({m: found[m] for m in members(active, size)}, task, data, config)
        rows: dict[int, Row] = {}
        for m, values in measured.items():
            rows[m] = {"epoch": epoch, "step": step, "learning_rate": sums[m].learning_rate, "seconds": 0.0}
            rows[m] |= {"train/loss": sums[m].loss / sums[m].examples, **values}
        means = {i: _mean([rows[m] for m in members([i], size)]) for i in active}
        improved = {i: patience[i].see(row) for i, row in means.items()}
        units = [i // size for i in range(len(histories) * size)]
        costs = [objective.cost(means.get(i, {})) for i in range(len(histories))]
        trainer.end_epoch([costs[i] for i in units], [improved.get(i, False) for i in units])
        # Units share the time: their seconds add up to what the group took. Known only after `end_epoch`.
        seconds, done = (time.perf_counter() - started) / len(active), 0
        outcomes = {}
        for i, row in means.items():
            row["seconds"] = seconds
            of_members = tuple(rows[m] for m in members([i], size)) if size > 1 else ()
            outcomes[i] = Outcome(row, improved[i], patience[i].over, of_members)
        active = [i for i in active if not patience[i].over]
        trainer.stop(members(means.keys() - set(active), size))
        yield Epoch(epoch, outcomes)
        active = _staying(active, trainer, size)


def members(units: Iterable[int], size: int) -> list[int]:
    """The members of some units of so many members each."""
    return [unit * size + m for unit in units for m in range(size)]


def _staying(active: list[int], trainer: Trainer, size: int) -> list[int]:
    """The active units that were not stopped while the loop was suspended."""
    stopped = trainer.stopped
    return [i for i in active if i * size not in stopped]


def _measured(found: dict[int, Any], task: Task, data: Data, config: TrainingConfig) -> dict[int, Row]:
    """The validation metrics of members, those of a fold by what is known of that fold."""
    measured: dict[int, Row] = {}
    for fold in range(config.folds):
        mine = [m for m in found if m % config.members // config.repeats == fold]
        own = data if data.folds is None else data.folds.divisions[fold]
        measured |= zip(mine, metrics_of_all([found[m] for m in mine], task, own, "val"), strict=True)
    return {m: measured[m] for m in found}


def _mean(rows: Sequence[Row]) -> Row:
    """The mean of every metric over the rows of a unit's members, which are of one epoch."""
    if len(rows) == 1:
        return rows[0]
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return means | {name: rows[0][name] for name in ("epoch", "step")}


def metrics(found: Any, task: Task, data: Data, part: str) -> dict[str, float]:
    """Every metric of an evaluated part: `val/loss`, the model's own terms, and what the task reports."""
    return metrics_of_all([found], task, data, part)[0]


def details(found: Any, task: Task, data: Data, part: str) -> dict[str, float]:
    """The metrics of single targets, classes and steps ahead, named `test/<metric>/<name>`."""
    return {f"{part}/{name}": value for name, value in task.details(found.sums, found.rows, data).items()}


def metrics_of_all(found: Sequence[Any], task: Task, data: Data, part: str) -> list[dict[str, float]]:
    """The metrics of several networks on the same part."""
    finished = task.finish_all([(one.sums, one.rows) for one in found], data)
    own = [{"loss": one.loss, **one.terms, **more} for one, more in zip(found, finished, strict=True)]
    return [{f"{part}/{name}": value for name, value in values.items()} for values in own]


class Pace:
    """How many steps to train before the host looks up: about STRETCH_SECONDS of work.

    Cutting an epoch elsewhere changes no number: the loop's trip count is dynamic. What a stretch costs whatever its
    length (an epoch's order of millions of examples is drawn in each) is kept below OVERHEAD of its time.
    """

    def __init__(self) -> None:
        self._steps, self._fixed = 1, 0.0
        self._seen: tuple[int, float] | None = None

    def next(self, left: int) -> int:
        """Steps of the next stretch."""
        return min(self._steps, left)

    def timed(self, count: int, function: Callable[[int], Any]) -> Any:
        """Runs `function(count)` and adapts to how long it took, growing at most 16-fold."""
        started = time.perf_counter()
        result = function(count)
        took = max(time.perf_counter() - started, 1e-6)
        # The fixed cost shows in two stretches of unlike lengths: the second has two steps or more, the first has one.
        least = 1 if self._learn(count, took) else 2
        each = max(took - self._fixed, 1e-6) / count
        affordable = max(STRETCH_SECONDS - self._fixed, self._fixed * (1 / OVERHEAD - 1)) / each
        self._steps = max(least, min(int(affordable), 16 * count))
        return result

    def _learn(self, count: int, took: float) -> bool:
        """What a stretch costs beside its steps, from two of unlike lengths; whether there were two."""
        before, self._seen = self._seen, (count, took)
        if before and max(count, before[0]) >= 2 * min(count, before[0]):
            each = max((took - before[1]) / (count - before[0]), 0.0)
            self._fixed = min(max(took - each * count, 0.0), took, before[1])
        return before is not None


class Patience:
    """Early stopping and the best epoch (Prechelt 1998)."""

    def __init__(self, objective: Objective, patience: int | None, minimum_change: float) -> None:
        self._objective, self._patience, self._minimum_change = objective, patience, minimum_change
        self._best: dict[str, float] | None = None
        self._reference, self._waited = math.inf, 0

    def see(self, row: dict[str, float]) -> bool:
        """Whether the epoch is the best so far; NaN never is."""
        cost = self._objective.cost(row)
        improved = self._objective.improves(row, self._best)
        self._best = row if improved else self._best
        if cost < self._reference - self._minimum_change:
            self._reference, self._waited = cost, 0
        else:
            self._waited += 1
        return improved

    @property
    def over(self) -> bool:
        """Whether patience ran out."""
        return self._patience is not None and self._waited >= self._patience
