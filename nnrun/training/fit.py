"""The training loop: a generator that computes and writes nothing."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nnrun.config import TrainingConfig
from nnrun.datasets.base import Data, Part
from nnrun.errors import RunError
from nnrun.tasks.base import Task

STRETCH_SECONDS = 0.5


@dataclass(frozen=True)
class Objective:
    """What is optimised: a metric and whether smaller is better."""

    metric: str
    direction: str

    def cost(self, row: dict[str, float]) -> float:
        """The objective of an epoch, smaller where better; NaN where the metric is undefined."""
        value = row.get(self.metric, math.nan)
        return value if self.direction == "minimize" else -value


@dataclass(frozen=True)
class Stretch:
    """Some steps were trained: `done` of the epoch's, with mean loss so far."""

    epoch: int
    done: int
    loss: float


@dataclass(frozen=True)
class Epoch:
    """An epoch was trained and evaluated; `row` is a line of metrics.csv, `stop` says that patience ran out."""

    row: dict[str, float]
    improved: bool
    stop: bool


class Trainer(Protocol):
    """What the loop drives: one run's compiled program, see execution.serial.SerialRun."""

    @property
    def train_steps(self) -> int:
        """Steps of an epoch."""

    @property
    def position(self) -> int:
        """Steps trained so far."""

    def steps(self, count: int) -> Any:
        """Trains `count` batches; the sums of the epoch so far."""

    def end_epoch(self, value: float, improved: bool) -> None:
        """Keeps the weights where they improved."""

    def evaluate(self, part: Part, best: bool = False) -> Any:
        """Statistics of a part."""


def fit(
    trainer: Trainer,
    task: Task,
    data: Data,
    config: TrainingConfig,
    objective: Objective,
    history: list[dict[str, float]],
) -> Iterator[Stretch | Epoch]:
    """Trains to the last epoch, yielding after every stretch of steps and every epoch.

    It starts where `history` (the rows so far) and the position of the trainer say. Raises RunError when the loss is
    no longer finite.
    """
    pace = Pace()
    patience = Patience(objective, config.early_stopping.patience, config.early_stopping.minimum_change)
    for row in history:
        patience.see(row)
    if patience.over:
        return
    done = trainer.position - len(history) * trainer.train_steps
    for epoch in range(len(history) + 1, config.epochs + 1):
        started = time.perf_counter()
        while done < trainer.train_steps:
            stretch = pace.next(trainer.train_steps - done)
            sums, done = pace.timed(stretch, trainer.steps), done + stretch
            if not math.isfinite(sums.loss):
                raise RunError(_diverged(epoch, trainer.position))
            yield Stretch(epoch, done, sums.loss / sums.examples)
        row = {"epoch": epoch, "step": trainer.position, "learning_rate": sums.learning_rate, "seconds": 0.0}
        row |= {"train/loss": sums.loss / sums.examples, **metrics(trainer, task, data, "val")}
        improved, done = patience.see(row), 0
        trainer.end_epoch(objective.cost(row), improved)
        row["seconds"] = time.perf_counter() - started
        yield Epoch(row, improved, patience.over)
        if patience.over:
            return


def metrics(trainer: Trainer, task: Task, data: Data, part: str, best: bool = False) -> dict[str, float]:
    """Every metric of a part: `val/loss`, the model's own terms, and what the task reports."""
    found = trainer.evaluate(getattr(data, part), best)
    own = {"loss": found.loss, **found.terms, **task.finish(found.sums, found.rows, data)}
    return {f"{part}/{name}": value for name, value in own.items()}


class Pace:
    """How many steps to train before the host looks up: about STRETCH_SECONDS of work.

    Cutting an epoch elsewhere changes no number: the loop's trip count is dynamic.
    """

    def __init__(self) -> None:
        self._steps = 1

    def next(self, left: int) -> int:
        """Steps of the next stretch."""
        return min(self._steps, left)

    def timed(self, count: int, function: Callable[[int], Any]) -> Any:
        """Runs `function(count)` and adapts to how long it took, growing at most 16-fold."""
        started = time.perf_counter()
        result = function(count)
        affordable = STRETCH_SECONDS * count / max(time.perf_counter() - started, 1e-6)
        self._steps = max(1, min(int(affordable), 16 * count))
        return result


class Patience:
    """Early stopping and the best epoch (Prechelt 1998)."""

    def __init__(self, objective: Objective, patience: int | None, minimum_change: float) -> None:
        self._objective, self._patience, self._minimum_change = objective, patience, minimum_change
        self._best, self._reference, self._waited = math.inf, math.inf, 0

    def see(self, row: dict[str, float]) -> bool:
        """Whether the epoch is the best so far; NaN never is."""
        cost = self._objective.cost(row)
        improved = cost < self._best
        self._best = cost if improved else self._best
        if cost < self._reference - self._minimum_change:
            self._reference, self._waited = cost, 0
        else:
            self._waited += 1
        return improved

    @property
    def over(self) -> bool:
        """Whether patience ran out."""
        return self._patience is not None and self._waited >= self._patience


def _diverged(epoch: int, step: int) -> str:
    return (
        f"The training loss became NaN or infinite in epoch {epoch} (by step {step}). Most likely the learning rate is "
        "too high: divide optimizer.learning_rate by 10, or set training.gradient_clip=1. The weights of "
        "the best epoch before it, if there was one, are kept."
    )
