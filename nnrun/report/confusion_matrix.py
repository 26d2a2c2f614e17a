"""Which classes are taken for which, on the test part."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure, label

ANNOTATED = 20
"""Classes up to which every cell shows its count and every row its name."""


def draw(run: FinishedRun) -> Figure | None:
    """Counts, coloured by their share of the true class (the row); None without classes."""
    classes = run.data.spec.classes
    if classes is None or run.data.test["targets"].size == 0:
        return None
    counts = confusion(*_labels(run), classes)
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
        names = run.data.class_names or tuple(map(str, range(classes)))
        long = max(map(len, names)) > 3
        axes.set_xticks(range(classes), names, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(range(classes), names)
        _write_counts(axes, counts, share)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    picture.suptitle(run.title, fontsize=11)
    return picture


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes), rows true, columns predicted, of labels (n,)."""
    # A number for every pair of classes, counted in one pass.
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _labels(run: FinishedRun) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels (n,), without the padding of short sequences; a single logit is that of class 1."""
    true, logits = np.asarray(run.data.test["targets"], np.int64), np.asarray(run.outputs.prediction)
    predicted = (logits[..., 0] > 0).astype(np.int64) if logits.shape[-1] == 1 else logits.argmax(-1)
    return run.real_steps(true).ravel(), run.real_steps(predicted).ravel()


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    size = 10 if len(counts) <= 10 else 7
    for (row, column), count in np.ndenumerate(counts):
        if count:
            # On the dark half of the colour map.
            colour = "white" if share[row, column] > 0.55 else "#222222"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
