"""Predictions against the truth, on the test part."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label

PANELS = 6
"""Targets that get a panel."""
POINTS = 5000
"""Points that are drawn, evenly spread over the test part; rmse and r2 count all."""


def draw(run: FinishedRun) -> Figure | None:
    """One scatter per target (all steps of a forecast together) with the line ŷ = y; None for labels."""
    if (found := of_targets(run)) is None:
        return None
    true, predicted = found
    shown = min(true.shape[1], PANELS)
    columns = min(shown, 3)
    lines = -(-shown // columns)
    picture = figure(*((5.0, 4.8) if shown == 1 else (3.4 * columns, 0.4 + 3.4 * lines)))
    panels = picture.subplots(lines, columns, squeeze=False).flat
    for number, axes in enumerate(panels):
        if number < shown:
            _scatter(axes, true[:, number], predicted[:, number], run.target_name(number))
        else:
            axes.set_visible(False)
    headline(picture, f"{run.title}: test part (dashed: ŷ = y)")
    return picture


def of_targets(run: FinishedRun) -> tuple[np.ndarray, np.ndarray] | None:
    """Truth and predictions of the test part as rows (points, variables), without the padding of short sequences.

    None where the targets are no numbers.
    """
    spec, true = run.data.spec, run.data.test["targets"]
    if spec.classes or spec.targets is None or true.size == 0:
        return None
    found = (run.real_steps(np.asarray(values, np.float64)) for values in (true, run.predicted()))
    true, predicted = (values.reshape(-1, (spec.targets or (1,))[-1]) for values in found)
    return true, predicted


def _scatter(axes: Axes, true: np.ndarray, predicted: np.ndarray, name: str) -> None:
    every = -(-len(true) // POINTS)
    x, y = true[::every], predicted[::every]
    axes.scatter(x, y, s=12, alpha=float(np.clip(200 / len(x), 0.12, 0.5)), color=COLOURS[0], linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=TRUTH, linewidth=1, linestyle="--")
    # One unit as long on both axes, so that ŷ = y is the diagonal; the limits give way, not the panel.
    axes.set_aspect("equal", adjustable="datalim")
    error = np.mean((predicted - true) ** 2)
    spread = np.var(true)
    r2 = f", r2 {1 - error / spread:.3f}" if spread > 0 else ""
    label(axes, f"{name}: rmse {np.sqrt(error):.3g}{r2}", f"true {name}", f"predicted {name}")
