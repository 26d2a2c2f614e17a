"""A trial: a point that a strategy asked for, and what came of it."""

from dataclasses import dataclass, field
from typing import Any

FINAL = ("completed", "failed", "pruned")


@dataclass(frozen=True)
class Trial:
    """A trial of a sweep as the ledger has it: a row of its table `trials`.

    state: waiting (asked for), running, completed, failed or pruned.
    objective: the objective's best value, in its own direction; None where there is none.
    metrics: flat, "val/rmse": ..., at the objective's epoch. seconds: of training, in a group this trial's share.
    part: of a comparison of strategies, which the strategy tells and the table lacks; None where nothing is compared.
    started, ended: seconds since 1970, UTC. epochs: how many it trains to the end. batch: trials with equal numbers
    were asked for together. None in sweeps of earlier versions.
    spread: the standard deviations of `metrics` over the folds and repeats that they are means of.
    """

    number: int
    state: str
    params: dict[str, Any]
    objective: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    group_id: int | None = None
    seconds: float | None = None
    error: str | None = None
    part: str | None = None
    started: float | None = None
    ended: float | None = None
    epochs: int | None = None
    batch: int | None = None
    spread: dict[str, float] = field(default_factory=dict)
