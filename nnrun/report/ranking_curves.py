"""How well the predicted probabilities rank the classes, whatever the threshold."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import log_softmax

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label, legend_beside

POINTS = 2000
"""Points that a curve is drawn with."""


def draw(run: FinishedRun) -> Figure | None:
    """ROC and precision-recall curves of the second of two classes, or of each against the rest: the hardest six."""
    if (scores := run.logits()) is None:
        return None
    labels, names = run.labels(), run.class_names()
    two = len(names) == 2
    classes = [c for c in ([1] if two else range(len(names))) if 0 < (labels == c).sum() < len(labels)]
    if not classes:
        return None
    # Log-odds and log-probabilities rank like probabilities, and do not tie where those round to 1.
    ranks = scores[:, 1:] - scores[:, :1] if two else log_softmax(scores, axis=1)
    curves = {c: Ranking(labels == c, ranks[:, 0 if two else c]) for c in classes}
    hardest = sorted(sorted(curves, key=lambda c: curves[c].auroc)[: len(COLOURS)])
    picture = figure(10.5, 4.6)
    roc, precision = picture.subplots(1, 2)
    for colour, c in zip(COLOURS, hardest, strict=False):
        curve, share = curves[c], (labels == c).mean()
        thin = np.unique(np.linspace(0, len(curve.recall) - 1, POINTS).astype(int))
        roc.plot(curve.alarms[thin], curve.recall[thin], color=colour, label=f"{names[c]} ({curve.auroc:.3g})")
        area = f"{names[c]} ({curve.average_precision:.3g})"
        precision.plot(curve.recall[thin][1:], curve.precision[thin][1:], color=colour, label=area)
        precision.axhline(share, color=colour, linewidth=0.8, linestyle=":")
    roc.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle=":")
    label(roc, "ROC curve (area); dotted: chance", "false positive rate", "true positive rate (recall)")
    label(precision, "precision and recall (average precision); dotted: chance", "recall", "precision")
    for axes in (roc, precision):
        _unit_square(axes)
        legend_beside(axes)
    rest = "" if two else ", each class against the rest"
    fewer = f", the hardest {len(hardest)} of {len(curves)}" if len(hardest) < len(curves) else ""
    headline(picture, f"{run.title}: test part{rest}{fewer}")
    return picture


class Ranking:
    """The curves of scores (n,) for positives (n,), from the highest threshold on, equal scores as one.

    recall, alarms (the share of negatives above the threshold) and precision start with nothing above it.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        order = np.argsort(-scores, kind="stable")
        hits, ordered = np.cumsum(positive[order]), scores[order]
        last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        hits, above = np.append(0, hits[last]), np.append(0, last + 1)
        self.recall = hits / hits[-1]
        self.alarms = (above - hits) / (above[-1] - hits[-1])
        self.precision = hits / np.maximum(above, 1)
        self.auroc = float(np.trapezoid(self.recall, self.alarms))
        self.average_precision = float(np.sum(np.diff(self.recall) * self.precision[1:]))


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
