"""New data from a generative network."""

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import COLOURS, FinishedRun, figure
from nnrun.report.reconstructions import mosaic
from nnrun.tasks.reconstruction import scaled_inputs

SIDE = 6


def draw(run: FinishedRun) -> Figure | None:
    """A grid of 36 samples from the prior, always from the same codes; black to white is the test part's range."""
    if not hasattr(run.model, "sample"):
        return None
    samples = np.asarray(run.model.sample(jax.random.key(0), SIDE * SIDE), np.float32)
    data = scaled_inputs(run.data, "test") if len(run.data.test["inputs"]) else samples
    low, high = float(data.min()), float(data.max())
    kind = run.data.spec.kind
    picture = figure(6.0, 6.4)
    axes = picture.subplots()
    if kind == "image":
        axes.imshow(mosaic(samples.reshape(SIDE, SIDE, *samples.shape[1:]), low, high))
    else:
        _curves(axes, samples if kind == "table" else samples[..., 0], low, high)
    axes.set_axis_off()
    what = {"image": "", "table": "features of ", "series": "first channel of "}[kind]
    picture.suptitle(f"{run.title}: {what}samples from the prior", fontsize=11)
    return picture


def _curves(axes: Axes, samples: np.ndarray, low: float, high: float) -> None:
    """A cell per sample, all with the same scale, and a grey line where the scaled value is zero."""
    along = np.linspace(0.05, 0.95, samples.shape[1])
    height = 0.9 / max(high - low, 1e-12)
    for place, sample in enumerate(samples):
        row, column = divmod(place, SIDE)
        axes.plot(column + along[[0, -1]], [-row - height * low] * 2, color="0.85", linewidth=0.8)
        axes.plot(column + along, -row + height * (sample - low), color=COLOURS[0], linewidth=1)
