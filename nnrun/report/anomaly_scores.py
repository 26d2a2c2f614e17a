"""How far the reconstruction error tells normal from anomalous."""

import numpy as np
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label, legend_beside
from nnrun.tasks.reconstruction import errors

BINS = 40
LOG_FROM = 20.0
"""Errors whose 1st and 99th percentile differ by this factor are drawn on a logarithmic scale."""


def draw(run: FinishedRun) -> Figure | None:
    """Histograms of the error of normal and of anomalous test examples, each with area 1, and the threshold."""
    marks = run.data.test.get("anomaly")
    if marks is None or len(np.unique(marks)) < 2:
        return None
    error = errors(run.outputs, run.data)
    low, high = np.quantile(error, [0.01, 0.99])
    logarithmic = low > 0 and high > LOG_FROM * low
    # An error of 0 has no logarithm: it is drawn with the smallest that has one.
    spread = np.log10(error.clip(error[error > 0].min())) if logarithmic else error
    edges = np.histogram_bin_edges(spread, BINS).tolist()
    picture = figure(8.2, 3.8)
    axes = picture.subplots()
    for value, name, colour in ((0, "normal", COLOURS[0]), (1, "anomalous", COLOURS[1])):
        members = spread[marks == value]
        text = f"{name} ({len(members)})"
        axes.hist(members, edges, density=True, color=colour, alpha=0.55, label=text)
    if (threshold := run.data.error_threshold) is not None and (threshold > 0 or not logarithmic):
        at = np.log10(threshold) if logarithmic else threshold
        axes.axvline(at, color=TRUTH, linewidth=1, linestyle="--", label="threshold from validation")
    unit = "log10 of the mean squared error" if logarithmic else "mean squared error"
    baselines = run.baseline.get("test/auroc", {})
    best = max(baselines, key=baselines.__getitem__, default=None)
    beside = "" if best is None else f"; best baseline: {best}, auroc {baselines[best]:.3g}"
    headline(picture, f"{run.title}: {run.metric_caption('auroc', 'recall', 'precision')}{beside}")
    label(axes, "", f"{unit} of a test example", "density")
    legend_beside(axes)
    return picture
