"""What is left over: predictions minus the truth, on the test part."""

import numpy as np
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label
from nnrun.report.predicted_vs_true import POINTS, of_targets

TARGETS = 4
"""Targets that get a row."""
BINS = 40


def draw(run: FinishedRun) -> Figure | None:
    """A row per target: residuals over the predictions, where a pattern is what the network missed, and how many."""
    if (found := of_targets(run)) is None:
        return None
    true, predicted = found
    shown = min(true.shape[1], TARGETS)
    picture = figure(9.0, 0.6 + 3.0 * shown)
    for number, (axes, beside) in enumerate(picture.subplots(shown, 2, squeeze=False, width_ratios=[2.0, 1.0])):
        name, left = run.target_name(number), predicted[:, number] - true[:, number]
        every = -(-len(left) // POINTS)
        opacity = float(np.clip(200 / len(left[::every]), 0.12, 0.5))
        axes.scatter(predicted[::every, number], left[::every], s=12, alpha=opacity, color=COLOURS[0], linewidths=0)
        label(axes, f"{name}: mean residual {left.mean():.3g}, sd {left.std():.3g}", f"predicted {name}", "residual")
        # Equal residuals have no width to be cut into bins.
        wide = max(np.ptp(left), 1e-6 * np.abs(left).max(), 1e-12)
        edges = np.linspace(left.min(), left.min() + wide, BINS + 1)
        beside.hist(left, edges.tolist(), color=COLOURS[0], alpha=0.7)
        label(beside, "", f"residual of {name}", "examples")
        axes.axhline(0, color="0.4", linewidth=0.9, linestyle="--")
        beside.axvline(0, color="0.4", linewidth=0.9, linestyle="--")
    headline(picture, f"{run.title}: test part, predicted minus true")
    return picture
