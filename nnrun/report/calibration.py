"""Whether predicted probabilities are what they say."""

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label

BINS = 10
"""Bins of equal width of the probability."""


def draw(run: FinishedRun) -> Figure | None:
    """How often the predicted class is right against its probability, and how many examples have which.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), for the expected calibration error.
    """
    if (logits := run.logits()) is None:
        return None
    probabilities = softmax(logits, axis=1)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == run.labels()
    said, found, counts = binned(confidence, right)
    error = float(np.sum(counts * np.abs(said - found)) / counts.sum())
    picture = figure(5.4, 6.4)
    axes, below = picture.subplots(2, 1, sharex=True, height_ratios=[3.2, 1.0])
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle=":")
    axes.plot(said, found, color=COLOURS[0], marker="o", linewidth=1.4)
    axes.set_ylim(-0.02, 1.02)
    label(axes, f"expected calibration error {error:.3g}", "", "share that is right (dotted: as often as said)")
    below.hist(confidence, np.linspace(0, 1, BINS + 1).tolist(), color=COLOURS[0], alpha=0.6)
    label(below, "", "probability of the predicted class", "examples")
    headline(picture, f"{run.title}: test part")
    return picture


def binned(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, share of right ones, and count of every bin that is not empty; both arguments (n,)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts > 0
    means = (np.bincount(bins, values, BINS)[kept] / counts[kept] for values in (confidence, right))
    said, found = means
    return said, found, counts[kept]
