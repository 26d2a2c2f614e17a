"""A series with the stretches that its reconstruction error flags."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label, legend_beside
from nnrun.tasks.reconstruction import errors

GAP = 3
"""A step in time as many times longer than the median one is a gap."""


def draw(run: FinishedRun) -> Figure | None:
    """The newest value of every test window, flagged where its error is above the threshold, and the error below.

    Labelled stretches are shaded.
    """
    threshold, is_series = run.data.error_threshold, run.data.spec.kind == "series" and run.data.series is not None
    if not is_series or threshold is None or not len(run.data.test["inputs"]):
        return None
    error, at = errors(run.outputs, run.data), run.positions()
    flagged, values = error > threshold, run.data.test["inputs"][:, -1, 0]
    picture = figure(12.0, 5.2)
    series, below = picture.subplots(2, 1, sharex=True, height_ratios=[1.6, 1.0])
    series.plot(*_broken(at, values), color=TRUTH, linewidth=0.7)
    series.plot(at[flagged], values[flagged], ".", color=COLOURS[1], label=f"flagged ({flagged.sum()})")
    found = run.metric_caption("auroc", "average_precision", "false_alarms", "anomalies_found", "found_by_chance")
    headline(picture, f"{run.title}: {found}")
    label(series, "", "", run.data.input_names[0] if run.data.input_names else "value")
    below.semilogy(*_broken(at, error), color=COLOURS[0], linewidth=0.7)
    below.axhline(threshold, color=COLOURS[1], linewidth=1, linestyle="--", label="threshold from validation")
    label(below, "mean squared error of a window", "time" if at.dtype.kind == "M" else "row", "error")
    for axes in (series, below):
        _shade(axes, at, run.data.test.get("anomaly"))
        legend_beside(axes)
    return picture


def _broken(at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line's points, with a NaN where rows are missing, so that it does not run across."""
    if len(at) == 1:
        return at, values
    steps = np.diff(at)
    late = np.flatnonzero(steps > GAP * np.sort(steps)[len(steps) // 2]) + 1
    return np.insert(at, late, at[late]), np.insert(values.astype(float), late, np.nan)


def _shade(axes: Axes, at: np.ndarray, marks: np.ndarray | None) -> None:
    if marks is None or not marks.any():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks, [0]]))).reshape(-1, 2)
    for i, (start, end) in enumerate(edges):
        axes.axvspan(at[start], at[end - 1], color=COLOURS[4], alpha=0.25, label=None if i else "labelled")
