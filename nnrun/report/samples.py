"""New data from a generative network."""

import math

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.models.base import in_one_program
from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline
from nnrun.report.reconstructions import mosaic
from nnrun.tasks.reconstruction import scaled_inputs

DRAWN = 36
MOST = 400


def draw(run: FinishedRun) -> Figure | None:
    """A grid of 36 samples from the prior, always from the same codes, on the scale of the test part's values."""
    if not hasattr(run.model, "sample"):
        return None
    drawn = in_one_program(run.model, lambda model, key: model.sample(key, DRAWN), jax.random.key(0))
    samples = np.asarray(drawn, np.float32)
    data = scaled_inputs(run.data, "test") if len(run.data.test["inputs"]) else samples
    title = f"{run.title}: samples from the prior"
    return grid(samples, run.data.spec.kind, title, (float(data.min()), float(data.max())))


def grid(samples: np.ndarray, kind: str, title: str, extremes: tuple[float, float] | None = None) -> Figure:
    """The first 400 of samples (n, *inputs) in a square: images, the features of a table, a series' first channel.

    `extremes` are the values drawn as black and white, or as the bottom and top of a cell; None: the samples' own.
    """
    low, high = extremes or (float(samples.min()), float(samples.max()))
    shown = samples[:MOST]
    columns = math.ceil(math.sqrt(len(shown)))
    rows = math.ceil(len(shown) / columns)
    picture = figure(max(3.0, min(columns, 12)), 0.5 + max(3.0, min(columns, 12)) * rows / columns)
    axes = picture.subplots()
    if kind == "image":
        # The square may have more cells than samples: these are white.
        blank = np.full((rows * columns - len(shown), *shown.shape[1:]), high, shown.dtype)
        axes.imshow(mosaic(np.concatenate([shown, blank]).reshape(rows, columns, *shown.shape[1:]), low, high))
    else:
        _curves(axes, shown if kind == "table" else shown[..., 0], columns, low, high)
    axes.set_axis_off()
    what = {"table": " (features)", "series": " (first channel)"}.get(kind, "")
    headline(picture, title + what)
    return picture


def _curves(axes: Axes, samples: np.ndarray, columns: int, low: float, high: float) -> None:
    """A cell per sample, all with the same scale, and a grey line where the scaled value is zero."""
    along = np.linspace(0.05, 0.95, samples.shape[1])
    height = 0.9 / max(high - low, 1e-12)
    for place, sample in enumerate(samples):
        row, column = divmod(place, columns)
        axes.plot(column + along[[0, -1]], [-row - height * low] * 2, color="0.85", linewidth=0.8)
        axes.plot(column + along, -row + height * (sample - low), color=COLOURS[0], linewidth=1)
