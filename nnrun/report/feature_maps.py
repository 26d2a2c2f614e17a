"""What every block of a convolutional network makes of one test example."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.models.base import in_one_program
from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline

CHANNELS = 8
FRAME = "0.6"


def draw(run: FinishedRun) -> Figure | None:
    """The first test example, and per block the channels that differ most within it, strongest first.

    A block's maps share one scale, so that maps of a single pixel can be compared.
    None for a network without feature maps or a test part without examples.
    """
    if not hasattr(run.model, "feature_maps") or len(run.data.test["inputs"]) == 0:
        return None
    raw = np.asarray(run.data.test["inputs"][0], np.float32)
    example = np.asarray(run.data.input_scaling.apply(raw), np.float32)[None]
    found = in_one_program(run.model, lambda model, x: model.feature_maps(x), example)
    maps = [np.asarray(values, np.float32)[0] for values in found]
    width, height = 1.0 + 0.95 * (CHANNELS + 1), 0.6 + 0.98 * len(maps)
    # Laid out by hand: the constrained layout takes a second for so many small panels.
    picture = figure(width, height, layout=None)
    picture.subplots_adjust(0.02, 0.1 / height, 0.98, 1 - 0.6 / height, wspace=0.2, hspace=0.2)
    grid = picture.subplots(len(maps), CHANNELS + 1, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    shown = raw if raw.shape[-1] == 3 and raw.ndim == 3 else raw.mean(-1, keepdims=True)
    _show(grid[0, 0], shown, "input", (shown.min(), shown.max()))
    for number, (row, values) in enumerate(zip(grid, maps, strict=True), start=1):
        extents, channels = "x".join(map(str, values.shape[:-1])), strongest(values)
        scale = values[..., channels].min(), values[..., channels].max()
        for axes, channel in zip(row[1:], channels, strict=False):
            _show(axes, values[..., [channel]], f"#{channel}", scale)
        row[1].set_ylabel(f"{number}: {extents}", fontsize=8)
    headline(picture, f"{run.title}: the first test example after every block")
    return picture


def strongest(values: np.ndarray) -> np.ndarray:
    """Numbers of the channels of (*space, channels) with the largest spread over space, by size of that spread."""
    flat = values.reshape(-1, values.shape[-1])
    spread = np.ptp(flat, axis=0) if len(flat) > 1 else np.abs(flat[0])
    return np.argsort(-spread, kind="stable")[:CHANNELS]


def _show(axes: Axes, values: np.ndarray, title: str, scale: tuple[float, float]) -> None:
    """An image (height, width, 1 or 3) or a line (steps, 1), framed, from the low to the high end of the scale."""
    axes.set_title(title, fontsize=7, pad=2)
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=FRAME, linewidth=0.6)
    low, high = scale
    span = (high - low) or 1.0
    if values.ndim == 2:
        axes.plot(values[:, 0], color=COLOURS[0], linewidth=1, marker="." if len(values) == 1 else None)
        axes.set_ylim(low - 0.05 * span, high + 0.05 * span)
        return
    grey = (values - low) / span
    axes.imshow(grey if values.shape[-1] == 3 else grey[..., 0], cmap="gray", vmin=0, vmax=1)
