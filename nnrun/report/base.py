"""What a picture can be drawn from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from nnrun.config import AugmentationConfig
from nnrun.datasets.base import Data
from nnrun.models.base import Model, Outputs
from nnrun.tasks.base import Task

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart with any colour vision (Okabe & Ito 2008): the model's line is the first, a comparison the second."""
TRUTH = "#333333"
"""The colour of what is true."""


@dataclass(frozen=True)
class FinishedRun:
    """A run at its end, as the modules of this package see it; each has one function `draw(run) -> Figure | None`.

    history: the rows of metrics.csv, oldest first.
    outputs: the best weights' Outputs on the whole test part, as NumPy arrays, in scaled units (or logits).
    model: the network with its best weights; call it with scaled inputs: `model({"inputs": x})`.
    metrics, baseline: as in summary.json ("test/rmse": 0.1; "test/rmse": {"mean": 0.9}).
    tables: the task's further tables, {name: columns}.
    augmentation: what changed the training images.
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
    tables: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    augmentation: AugmentationConfig | None = None

    def predicted(self) -> np.ndarray:
        """The test part's predictions in the targets' original units, shaped like the targets."""
        prediction, scaling = np.asarray(self.outputs.prediction), self.data.target_scaling
        return prediction if scaling is None else scaling.invert(prediction)

    def metric_caption(self, name: str) -> str:
        """`name 0.12` for the caption of a panel, empty without that metric."""
        value = self.metrics.get(f"test/{name}")
        return "" if value is None else f"{name} {value:.3g}"


def figure(width: float = 7.0, height: float = 4.2, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure in the house style (inches)."""
    return Figure(figsize=(width, height), layout=layout, dpi=120)


def save(figure: Figure, path: Path) -> None:
    """Writes a png, drawing everything once: `savefig` does it twice."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(path, compress_level=3)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Names a panel and its axes, in the house style: light grid, no frame on top and right."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
