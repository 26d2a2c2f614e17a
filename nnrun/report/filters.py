"""The kernels of a convolutional network's first layer."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline

MOST = 64
COLUMNS = 8


def draw(run: FinishedRun) -> Figure | None:
    """One panel per filter, at most 64: an image (red positive, blue negative, or colours where the inputs have three
    channels), or a line per channel. None for a network without a first kernel."""
    first_kernel = getattr(run.model, "first_kernel", None)
    if first_kernel is None:
        return None
    kernel = np.asarray(first_kernel(), np.float32)
    count = min(kernel.shape[-1], MOST)
    rows = math.ceil(count / COLUMNS)
    height = 0.7 + 0.85 * rows
    # Laid out by hand: the constrained layout takes three times as long as drawing so many small panels.
    picture = figure(7.0, height, layout=None)
    picture.subplots_adjust(0.02, 0.1 / height, 0.98, 1 - 0.5 / height, wspace=0.08, hspace=0.08)
    panels = picture.subplots(rows, COLUMNS, squeeze=False).ravel()
    largest = float(np.abs(kernel).max()) or 1.0
    for index, axes in enumerate(panels):
        if index < count:
            (_image if kernel.ndim == 4 else _lines)(axes, kernel[..., index], largest)
            axes.set(xticks=[], yticks=[])
        else:
            axes.set_axis_off()
    shown = "" if count == kernel.shape[-1] else f", {count} of {kernel.shape[-1]}"
    headline(picture, f"{run.title}: filters of the first layer{shown}, weights from {-largest:.2g} to {largest:.2g}")
    return picture


def _image(axes: Axes, kernel: np.ndarray, largest: float) -> None:
    """Draws weights (height, width, channels); grey or white is no weight."""
    if kernel.shape[-1] == 3:
        axes.imshow(0.5 + kernel / (2 * largest))
    else:
        axes.imshow(kernel.mean(-1), cmap="RdBu_r", vmin=-largest, vmax=largest)


def _lines(axes: Axes, kernel: np.ndarray, largest: float) -> None:
    """Draws weights (steps, channels), a line per channel."""
    for channel, colour in zip(kernel.T, COLOURS, strict=False):
        axes.plot(channel, color=colour, marker=".", markersize=3, linewidth=1)
    axes.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    axes.set_ylim(-1.1 * largest, 1.1 * largest)
    axes.spines[["top", "right"]].set_visible(False)
