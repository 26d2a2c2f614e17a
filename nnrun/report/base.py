"""What a picture of a run can be drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    stages: the network at some epochs, 0 before the first, for figures of THROUGH_TRAINING; empty after training.
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
    stages: Mapping[int, Model] = field(default_factory=dict)

    @classmethod
    def of(
        cls, title: str, task: Task, model: Model, data: Data, outputs: Outputs, results: Mapping[str, Any], **more: Any
    ) -> "FinishedRun":
        """The record of a trained network on `data`, whose `outputs` are of its test part.

        results: `metrics`, `baseline` and, after training, `objective`, as in summary.json. more: further fields.
        """
        best = results.get("objective") or {"metric": "", "epoch": 0}
        return cls(
            title=title,
            history=more.pop("history", []),
            objective=best["metric"],
            best_epoch=best["epoch"],
            data=data,
            task=task,
            model=model,
            outputs=outputs,
            metrics=results["metrics"],
            baseline=results["baseline"],
            tables=task.tables(model, data),
            **more,
        )

    def predicted(self) -> np.ndarray:
        """The test part's predictions in the targets' original units, shaped like the targets."""
        prediction, scaling = np.asarray(self.outputs.prediction), self.data.target_scaling
        return prediction if scaling is None else scaling.invert(prediction)

    def real_steps(self, values: np.ndarray) -> np.ndarray:
        """Values of the test part, (n, ...); of padded sequences with a target at every step the real steps alone."""
        if not self.data.spec.per_step or "lengths" not in self.data.test:
            return values
        return values[np.arange(values.shape[1]) < self.data.test["lengths"][:, None]]

    def metric_caption(self, *names: str) -> str:
        """`rmse 0.12, mase 0.8` for the caption of a panel, without the metrics that the run does not have."""
        values = {name: self.metrics.get(f"test/{name}") for name in names}
        return ", ".join(f"{name} {value:.3g}" for name, value in values.items() if value is not None)

    def labels(self) -> np.ndarray:
        """(n,) the true classes of the test part, of sequences those of all real steps."""
        return self.real_steps(np.asarray(self.data.test["targets"], np.int64)).ravel()

    def logits(self) -> np.ndarray | None:
        """(n, classes) in float64, of which a single one is that of the second of two; None without classes to tell."""
        classes = self.data.spec.classes
        if classes is None or not self.data.test["targets"].size:
            return None
        logits = self.real_steps(np.asarray(self.outputs.prediction, np.float64))
        logits = logits.reshape(-1, logits.shape[-1])
        return np.concatenate([np.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits

    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        return self.data.class_names or tuple(map(str, range(self.data.spec.classes or 0)))

    def positions(self) -> np.ndarray:
        """(n,) the time of each test window's newest value, its row, or its number where neither is known."""
        times = self.data.labels.get("time", self.data.labels.get("row"))
        if times is None:
            return np.arange(len(self.data.test["inputs"]))
        return times.astype("datetime64[us]") if times.dtype.kind == "U" else times

    def target_name(self, number: int) -> str:
        """The name of a target or of a variable that is forecast."""
        names = self.data.target_names
        return names[number] if number < len(names) else f"target {number}"
