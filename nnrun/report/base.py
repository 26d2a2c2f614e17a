"""What a picture of a run can be drawn from."""

from dataclasses import dataclass, field

import numpy as np

from nnrun.config.run_config import AugmentationConfig
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
