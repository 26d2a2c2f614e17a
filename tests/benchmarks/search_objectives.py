"""What the strategies are compared on: functions with a known optimum, and surfaces recorded from real sweeps."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.search.points import Axis
from nnrun.search.space import Categorical, Dimension, Interval, Params, Space, Steps

SURFACES = Path(__file__).parent / "surfaces"
NEIGHBOURS = 6
"""Recorded trials that the value between them is interpolated from."""


@dataclass(frozen=True)
class Objective:
    """A function of a point, smaller where better; a trial sees it with normal `noise`, the score does not."""

    name: str
    space: Space
    function: Callable[[Params], float]
    optimum: float
    noise: float = 0.0


def cube(width: int, low: float, high: float) -> Space:
    return Space({f"x{i}": Interval(low, high) for i in range(width)})


def vector(point: Params) -> np.ndarray:
    return np.array(list(point.values()), float)


def branin(point: Params) -> float:
    x, y = point["x"], point["y"]
    valley = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


SHARPNESS = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(point: Params) -> float:
    distance = (SHARPNESS * (vector(point) - CENTRES) ** 2).sum(1)
    return -float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-distance))


def levy(point: Params) -> float:
    w = 1 + (vector(point) - 1) / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(np.sin(np.pi * w[0]) ** 2 + middle.sum() + last)


def ackley(point: Params) -> float:
    x = vector(point)
    return float(20 - 20 * np.exp(-0.2 * np.sqrt((x * x).mean())) + math.e - np.exp(np.cos(2 * np.pi * x).mean()))


def recipe(point: Params) -> float:
    """An imagined network: the best rate falls with the width and depends on the optimizer."""
    log_rate = math.log10(point["rate"]) + 0.5 * math.log10(point["width"] / 64) + (point["optimizer"] == "sgd") * -1.5
    depth = 0.05 * (point["depth"] - 3) ** 2
    chosen = {"adam": 0.0, "rmsprop": 0.05, "sgd": 0.1}[point["optimizer"]]
    return 0.2 + 0.15 * (log_rate + 2.5) ** 2 + depth + chosen + 0.04 * math.log2(256 / point["width"]) ** 2


def mixture(point: Params) -> float:
    """Four kinds with an optimum each, steps and whole numbers."""
    place = {"a": 0.2, "b": 0.45, "c": 0.7, "d": 0.9}[point["kind"]]
    height = {"a": 0.3, "b": 0.0, "c": 0.2, "d": 0.4}[point["kind"]]
    whole = (point["n"] - 7) ** 2 / 20 + math.log2(point["m"] / 32) ** 2 / 8
    return height + 4 * (point["x"] - place) ** 2 + whole + abs(point["s"] - 0.3) + (not point["flag"]) * 0.15


def valley(point: Params) -> float:
    """Falls slowly with the learning rate, then diverges; momentum moves the edge; decay matters little."""
    rate = math.log10(point["learning_rate"]) - math.log10(1 - point["momentum"])
    decay = 0.03 * (math.log10(point["weight_decay"]) + 4) ** 2
    return 0.1 * (rate + 0.5) ** 2 + decay + 3 * math.log1p(math.exp(min(12 * (rate - 0.2), 50)))


RECIPE = Space(
    {
        "rate": Interval(1e-5, 1.0, log=True),
        "width": Interval(8, 1024, log=True, integer=True),
        "depth": Interval(1, 6, integer=True),
        "optimizer": Categorical(("adam", "rmsprop", "sgd")),
    }
)
MIXTURE = Space(
    {
        "kind": Categorical(("a", "b", "c", "d")),
        "x": Interval(0, 1),
        "n": Interval(1, 16, integer=True),
        "m": Categorical((8, 16, 32, 64, 128)),
        "s": Steps(0.0, 0.1, 6),
        "flag": Categorical((True, False)),
    }
)
VALLEY = Space(
    {
        "learning_rate": Interval(1e-5, 10.0, log=True),
        "momentum": Interval(0.0, 0.99),
        "weight_decay": Interval(1e-6, 1e-1, log=True),
    }
)
PLAIN = [
    Objective("branin", Space({"x": Interval(-5, 10), "y": Interval(0, 15)}), branin, 0.397887),
    Objective("hartmann6", cube(6, 0, 1), hartmann6, -3.32237),
    Objective("levy4", cube(4, -10, 10), levy, 0.0),
    Objective("ackley4", cube(4, -16, 32), ackley, 0.0),
]
NOISE = {"branin": 2.0, "hartmann6": 0.1, "levy4": 1.0, "ackley4": 0.5}
SHAPED = [
    Objective("recipe", RECIPE, recipe, 0.2),
    Objective("mixture", MIXTURE, mixture, 0.0),
    Objective("mixture_noisy", MIXTURE, mixture, 0.0, 0.05),
    Objective("valley", VALLEY, valley, 0.0005604),
    Objective("valley_noisy", VALLEY, valley, 0.0005604, 0.05),
]


def objectives() -> list[Objective]:
    """All of them; the recorded ones as far as there are files."""
    noisy = [replace(plain, name=plain.name + "_noisy", noise=NOISE[plain.name]) for plain in PLAIN]
    return [*PLAIN, *noisy, *SHAPED, *map(recorded, sorted(SURFACES.glob("*.csv")))]


def recorded(path: Path) -> Objective:
    """A surface from a table: columns `key:kind` with a kind of linear, log, int, logint or choice, the last `value`.

    Between the recorded trials, which need not lie on a grid, the value is the mean of the nearest ones of the same
    choices, weighted by 1 / distance^2.
    """
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    kinds = dict(name.rsplit(":", 1) for name in header[:-1])
    columns = {key: _column(kind, [row[i] for row in rows]) for i, (key, kind) in enumerate(kinds.items())}
    space = Space({key: _dimension(kinds[key], column) for key, column in columns.items()})
    costs = np.array([float(row[-1]) for row in rows])
    costs = np.where(np.isfinite(costs), costs, np.nanmax(costs[np.isfinite(costs)]))
    surface = _Surface(
        space, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], costs
    )
    return Objective(path.stem, space, surface, float(costs.min()))


def _column(kind: str, texts: list[str]) -> list[Any]:
    return [text if kind == "choice" else int(text) if "int" in kind else float(text) for text in texts]


def _dimension(kind: str, column: list[Any]) -> Dimension:
    if kind == "choice":
        return Categorical(tuple(dict.fromkeys(column)))
    return Interval(min(column), max(column), log="log" in kind, integer="int" in kind)


class _Surface:
    """Interpolates recorded costs."""

    def __init__(self, space: Space, points: list[Params], costs: np.ndarray) -> None:
        self.axes = {key: Axis(dimension) for key, dimension in space.dimensions.items()}
        self.named = [key for key, dimension in space.dimensions.items() if isinstance(dimension, Categorical)]
        self.rows, self.costs = np.array([self._row(point) for point in points]), costs

    def _row(self, point: Params) -> list[float]:
        return [(10.0 if key in self.named else 1.0) * axis.encode(point[key]) for key, axis in self.axes.items()]

    def __call__(self, point: Params) -> float:
        distance = ((self.rows - self._row(point)) ** 2).sum(1)
        near = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        weights = 1 / (distance[near] + 1e-9)
        return float(weights @ self.costs[near] / weights.sum())
