"""Which classes are taken for which, on the test part."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure, headline, label

ANNOTATED = 20
"""Classes up to which every cell shows its count and every row its name."""


def draw(run: FinishedRun) -> Figure | None:
    """Counts, coloured by their share of the true class (the row); None without classes."""
    classes, logits = run.data.spec.classes, run.logits()
    if classes is None or logits is None:
        return None
    counts = confusion(run.labels(), logits.argmax(-1), classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.2 + 0.36 * min(classes, 16) if classes <= ANNOTATED else 6.5
    picture = figure(side + 0.8, side)
    axes = picture.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    picture.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    found = run.metric_caption("accuracy", "macro_f1")
    label(axes, f"test part: {found}" if found else "test part", "predicted class", "true class")
    axes.grid(False)
    if classes <= ANNOTATED:
        names = run.class_names()
        long = max(map(len, names)) > 3
        axes.set_xticks(range(classes), names, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(range(classes), names)
        _write_counts(axes, counts, share)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    headline(picture, run.title)
    return picture


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes), rows true, columns predicted, of labels (n,)."""
    # A number for every pair of classes, counted in one pass.
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    size = 10 if len(counts) <= 10 else 7
    for (row, column), count in np.ndenumerate(counts):
        if count:
            # On the dark half of the colour map.
            colour = "white" if share[row, column] > 0.55 else "#222222"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
