"""New data from a generative network."""

import jax
import numpy as np
from matplotlib.figure import Figure

from nnrun.report.base import COLOURS, FinishedRun, figure
from nnrun.report.reconstructions import show_image
from nnrun.tasks.reconstruction import scaled_inputs

SIDE = 6


def draw(run: FinishedRun) -> Figure | None:
    """A grid of 36 samples from the prior, always from the same codes."""
    if not hasattr(run.model, "sample"):
        return None
    samples = np.asarray(run.model.sample(jax.random.key(0), SIDE * SIDE), np.float32)
    data = scaled_inputs(run.data, "test") if len(run.data.test["inputs"]) else samples
    low, high = float(data.min()), float(data.max())
    picture = figure(6.0, 6.4)
    for axes, sample in zip(picture.subplots(SIDE, SIDE).flat, samples, strict=True):
        if run.data.spec.kind == "image":
            show_image(axes, sample, low, high)
            continue
        axes.plot(sample if run.data.spec.kind == "table" else sample[:, 0], color=COLOURS[0], linewidth=1)
        axes.set_ylim(low, high)
        axes.tick_params(labelbottom=False, labelleft=False)
    unit = "features of" if run.data.spec.kind == "table" else "first channel of"
    what = "" if run.data.spec.kind == "image" else f"{unit} "
    picture.suptitle(f"{run.title}: {what}samples from the prior", fontsize=11)
    return picture
