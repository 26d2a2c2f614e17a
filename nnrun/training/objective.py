"""What a run optimises: a metric, and whether smaller is better."""

import math
from dataclasses import dataclass
from typing import Any

from nnrun import schema
from nnrun.config.run_config import ObjectiveConfig
from nnrun.errors import ConfigError


@dataclass(frozen=True)
class Objective:
    """What is optimised: a metric and whether smaller is better; with `last` every epoch counts as the best so far."""

    metric: str
    direction: str
    last: bool = False

    def cost(self, row: dict[str, float]) -> float:
        """The objective of an epoch, smaller where better; NaN where the metric is undefined."""
        value = row.get(self.metric, math.nan)
        return value if self.direction == "minimize" else -value

    def improves(self, row: dict[str, float], best: dict[str, float] | None) -> bool:
        """Whether an epoch is better than the best one so far; one whose objective is undefined never is."""
        if not math.isfinite(self.cost(row)):
            return False
        return best is None or self.last or self.cost(row) < self.cost(best)

    def best(self, history: list[dict[str, float]]) -> dict[str, float] | None:
        """The row of the best epoch; None where the objective of every one is undefined."""
        best = None
        for row in history:
            best = row if self.improves(row, best) else best
        return best


def check_objective(objective: ObjectiveConfig, task: Any, terms: tuple[str, ...] = ()) -> str:
    """The direction of the objective. Raises ConfigError when neither the task nor the model's terms have it."""
    names = [f"val/{name}" for name in ("loss", *task.metric_names(), *terms)]
    if objective.metric not in [*names, "train/loss"]:
        found = schema.nearest(f"val/{objective.metric.rpartition('/')[2]}", names)
        listed = f" The task has: {', '.join(names)}." if found.startswith("Did") else ""
        raise ConfigError(
            f"objective.metric must be a metric of this task, but got {objective.metric}. {found}{listed}"
        )
    if objective.direction != "auto":
        return objective.direction
    return task.direction(objective.metric.partition("/")[2])
