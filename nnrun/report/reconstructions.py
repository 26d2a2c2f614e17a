"""Inputs of the test part beside what the network made of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label, whole_numbers
from nnrun.tasks.reconstruction import errors, scaled_inputs

IMAGES = 10
CURVES = 4


def draw(run: FinishedRun) -> Figure | None:
    """Examples from the smallest error to the largest, evenly spread: small images, or curves of scaled values."""
    if len(run.data.test["inputs"]) == 0 or np.shape(run.outputs.prediction)[1:] != run.data.spec.inputs:
        return None
    error, images = errors(run.outputs, run.data), run.data.spec.kind == "image"
    ranks = np.unique(np.linspace(0, len(error) - 1, IMAGES if images else CURVES).round().astype(int))
    chosen = np.argsort(error, kind="stable")[ranks]
    shown = {name: np.asarray(values)[chosen] for name, values in _rows(run).items()}
    marks = run.data.test.get("anomaly", np.zeros(len(error)))
    captions = [f"{error[i]:.2g}" + ("\nanomaly" if marks[i] else "") for i in chosen]
    picture = (_images if images else _curves)(run, shown, captions)
    headline(picture, f"{run.title}: test examples by squared error ({run.metric_caption('mse')})")
    return picture


def _rows(run: FinishedRun) -> dict[str, ArrayLike]:
    """The inputs first; for a denoiser also what it saw of them."""
    inputs, rebuilt = scaled_inputs(run.data, "test"), run.outputs.prediction
    if run.outputs.seen is None:
        return {"input": inputs, "rebuilt": rebuilt}
    return {"clean": inputs, "noisy": run.outputs.seen, "rebuilt": rebuilt}


def mosaic(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """One white-ruled picture (rows * (height + 1), columns * (width + 1), 3) in 0..1 of images (rows, columns, height,
    width, channels), with `low` black and `high` white; channels that are not red, green and blue are averaged."""
    tiles = ((images - low) / max(high - low, 1e-12)).clip(0, 1)
    tiles = tiles if tiles.shape[-1] == 3 else np.repeat(tiles.mean(-1, keepdims=True), 3, -1)
    # A white row and column after every image: the rules between them.
    ruled = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    rows, columns, height, width, _ = ruled.shape
    return ruled.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def show_mosaic(axes: Axes, images: np.ndarray, like: np.ndarray, columns: list[str], rows: list[str]) -> None:
    """Draws images (rows, columns, height, width, channels) on the scale of `like`, with names of columns and rows."""
    height, width = images.shape[2:4]
    axes.imshow(mosaic(images, float(like.min()), float(like.max())))
    axes.xaxis.tick_top()
    # The middle of image i, whose pixels have their centres at i * (width + 1) + 0 ... width - 1.
    axes.set_xticks((np.arange(len(columns)) + 0.5) * (width + 1) - 1, columns, fontsize=8)
    axes.set_yticks((np.arange(len(rows)) + 0.5) * (height + 1) - 1, rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _images(run: FinishedRun, shown: dict[str, np.ndarray], captions: list[str]) -> Figure:
    height, width, _ = run.data.spec.inputs
    images = np.stack(list(shown.values()))
    picture = figure(0.6 + 0.95 * len(captions), 0.75 + 0.9 * len(shown) * height / width)
    show_mosaic(picture.subplots(), images, images[0], captions, list(shown))
    return picture


def _curves(run: FinishedRun, shown: dict[str, np.ndarray], captions: list[str]) -> Figure:
    """The features of a table, or the first channel of a series."""
    looks = {"input": (TRUTH, "-"), "clean": (TRUTH, "-"), "noisy": ("0.7", ":"), "rebuilt": (COLOURS[0], "-")}
    picture = figure(1.0 + 2.4 * len(captions), 3.4)
    table = run.data.spec.kind == "table"
    # More names than this would overlap along the axis.
    names = run.data.input_names if table and len(run.data.input_names) <= 16 else ()
    for column, axes in enumerate(picture.subplots(1, len(captions), squeeze=False, sharey=True)[0]):
        for name, values in shown.items():
            curve = values[column] if table else values[column][:, 0]
            axes.plot(curve, color=looks[name][0], linestyle=looks[name][1], marker="." if names else None, label=name)
        label(axes, captions[column], "" if names else "feature" if table else "step", "" if column else "scaled value")
        if names:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        else:
            whole_numbers(axes)
    picture.axes[0].legend(frameon=False, fontsize=9)
    return picture
