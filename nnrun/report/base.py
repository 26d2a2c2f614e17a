"""What a picture can be drawn from."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from nnrun.datasets.base import Data
from nnrun.models.base import Model, Outputs
from nnrun.tasks.base import Task


@dataclass(frozen=True)
class FinishedRun:
    """A run at its end, as the modules of this package see it; each has one function `draw(run) -> Figure | None`.

    history: the rows of metrics.csv, oldest first.
    outputs: the best weights' Outputs on the whole test part, as NumPy arrays, in scaled units (or logits).
    model: the network with its best weights; call it with scaled inputs: `model({"inputs": x})`.
    metrics, baseline: as in summary.json ("test/rmse": 0.1; "test/rmse": {"mean": 0.9}).
    """

    title: str
    history: list[dict[str, float]]
    objective: str
    best_epoch: int
    data: Data
    task: Task
    model: Model
    outputs: Outputs
    metrics: dict[str, float]
    baseline: dict[str, dict[str, float]]


def figure(width: float = 7.0, height: float = 4.2) -> Figure:
    """An empty figure in the house style (inches)."""
    return Figure(figsize=(width, height), layout="constrained", dpi=120)
