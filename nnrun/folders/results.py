"""The metrics of a finished run as people read them: tables of the test part, beside the naive baselines."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnrun.host.terminal import Terminal

if TYPE_CHECKING:
    from nnrun.datasets.base import Data
    from nnrun.tasks.base import Task
    from nnrun.tasks.metrics import Direction

MOST_ROWS = 10
"""Targets, classes or steps ahead that are shown; the files have all."""
Values = Mapping[str, float | None]


def show(
    terminal: Terminal,
    metrics: Values,
    baseline: Mapping[str, Values],
    spread: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """The test metrics beside the baselines, then those of single targets, classes and steps ahead.

    spread: as summary.json has it, of metrics that several networks were measured in: their means are shown.
    """
    names = sorted({name for values in baseline.values() for name in values})
    test = {name.removeprefix("test/"): value for name, value in metrics.items() if name.startswith("test/")}
    for table in _tables(test):
        terminal.table(*table)
    rows = []
    for name in [f"test/{name}" for name in test if "/" not in name]:
        others = baseline.get(name, {})
        rows.append([name, _own(name, metrics[name], spread or {}), *(_number(others.get(other)) for other in names)])
    terminal.table(["", "model", *names], rows, column=1)


def with_spread(mean: float | None, deviation: float | None, digits: int = 4) -> str:
    """A mean with its standard deviation, where there is one: `0.953 ± 0.021`."""
    return _number(mean, digits) if deviation is None else f"{_number(mean, digits)} ± {_number(deviation, 2)}"


def _own(name: str, value: float | None, spread: Mapping[str, Mapping[str, Any]]) -> str:
    found = spread.get(name)
    return _number(value) if found is None else with_spread(found["mean"], found["std"])


def remarks(
    task: "Task", objective: str, metrics: dict[str, float], baseline: dict[str, dict[str, float]], data: "Data"
) -> tuple[str, ...]:
    """What a run says of itself at its end: whether it beats its baselines, and what its task remarks.

    The metric is the objective's, or where that is the loss the one that the task names.
    """
    chosen = objective.partition("/")[2]
    metric = task.headline() if chosen in ("", "loss") else chosen
    said = verdict(f"test/{metric}", task.direction(metric), metrics, baseline)
    return (*([said] if said else []), *task.remarks(baseline, metrics, data))


def verdict(name: str, direction: "Direction", metrics: Values, baseline: Mapping[str, Values]) -> str | None:
    """Whether the network beats the best of its baselines in the metric of that name; None without a baseline of it."""
    own, values = metrics.get(name), baseline.get(name, {})
    others = {other: value for other, value in values.items() if value is not None and not math.isnan(value)}
    if not others or name not in metrics:
        return None
    best = (min if direction == "minimize" else max)(others, key=lambda other: others[other])
    beats = own is not None and (own < others[best] if direction == "minimize" else own > others[best])
    return (
        f"The model {'beats' if beats else 'does not beat'} its best baseline, {best}: "
        f"{name} {_number(own, 5) or 'nan'} against {_number(others[best], 5)}."
    )


def _tables(test: Values) -> list[tuple[list[str], list[list[str]]]]:
    """A head and rows for every kind of what is measured one by one: all of a kind have the same metrics."""
    single: dict[str, dict[str, float | None]] = {}
    for name, value in test.items():
        metric, _, of = name.partition("/")
        if of:
            single.setdefault(of, {})[metric] = value
    kinds: dict[tuple[str, ...], dict[str, dict[str, float | None]]] = {}
    for name, values in single.items():
        kinds.setdefault(tuple(values), {})[name] = values
    return [([_head(kind, members), *kind], _rows(members)) for kind, members in kinds.items()]


def _head(kind: tuple[str, ...], members: Mapping[str, Values]) -> str:
    what = "class" if "support" in kind else "step" if "t+1" in members else "target"
    left_out = {"class": "lowest f1"}.get(what, "some")
    return what if len(members) <= MOST_ROWS else f"{what} ({left_out} of {len(members)})"


def _rows(members: Mapping[str, Values]) -> list[list[str]]:
    """At most MOST_ROWS: the classes of the lowest f1, or else evenly spread ones from the first to the last."""
    chosen = list(members)
    if len(chosen) > MOST_ROWS:
        if all("f1" in values for values in members.values()):
            hard = sorted(chosen, key=lambda name: _defined(members[name]["f1"], math.inf))[:MOST_ROWS]
            chosen = [name for name in chosen if name in hard]
        else:
            chosen = [chosen[round(i * (len(chosen) - 1) / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]
    return [[name, *map(_number, members[name].values())] for name in chosen]


def _defined(value: float | None, otherwise: float) -> float:
    """A value, and `otherwise` in the place of nan, which files write as null."""
    return otherwise if value is None or math.isnan(value) else value


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}g}"
