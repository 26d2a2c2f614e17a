"""Inputs of the test part beside what the network made of them."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import COLOURS, TRUTH, FinishedRun, figure, label
from nnrun.tasks.reconstruction import errors, scaled_inputs

IMAGES = 10
CURVES = 4


def draw(run: FinishedRun) -> Figure | None:
    """Examples from the smallest error to the largest, evenly spread: small images, or curves of scaled values."""
    if len(run.data.test["inputs"]) == 0 or np.shape(run.outputs.prediction)[1:] != run.data.spec.inputs:
        return None
    error = errors(run.outputs, run.data)
    wanted = IMAGES if run.data.spec.kind == "image" else CURVES
    ranks = np.unique(np.linspace(0, len(error) - 1, wanted).round().astype(int))
    chosen = np.argsort(error, kind="stable")[ranks]
    rows = {"input": scaled_inputs(run.data, "test"), "seen": run.outputs.seen, "rebuilt": run.outputs.prediction}
    shown = {name: np.asarray(values)[chosen] for name, values in rows.items() if values is not None}
    picture = _images(run, shown) if run.data.spec.kind == "image" else _curves(run, shown)
    panels = np.array(picture.axes).reshape(-1, len(chosen))[0]
    for axes, example in zip(panels, chosen, strict=True):
        _caption(axes, float(error[example]), _is_anomaly(run, example))
    picture.suptitle(f"{run.title}: test examples by squared error ({run.test_metric('mse')})", fontsize=11)
    return picture


def show_image(axes: Axes, image: np.ndarray, low: float, high: float) -> None:
    """Draws (height, width, channels) without axes; `low` is black and `high` white."""
    grey = ((image - low) / max(high - low, 1e-12)).clip(0, 1)
    grey = grey if grey.shape[-1] == 3 else grey.mean(-1)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])


def _feature_names(run: FinishedRun) -> tuple[str, ...]:
    """Names along the x axis of a table's example, empty for a series or where there are too many to read."""
    names = run.data.input_names if run.data.spec.kind == "table" else ()
    return names if len(names) <= 16 else ()


def _images(run: FinishedRun, shown: dict[str, np.ndarray]) -> Figure:
    low, high = float(shown["input"].min()), float(shown["input"].max())
    columns = len(shown["input"])
    picture = figure(0.6 + 0.95 * columns, 0.8 + 0.95 * len(shown))
    grid = picture.subplots(len(shown), columns, squeeze=False)
    for row, (name, images) in zip(grid, shown.items(), strict=True):
        row[0].set_ylabel(name)
        for axes, image in zip(row, images, strict=True):
            show_image(axes, image, low, high)
    return picture


def _curves(run: FinishedRun, shown: dict[str, np.ndarray]) -> Figure:
    """The features of a table, or the first channel of a series."""
    looks = {"input": (TRUTH, "-"), "seen": ("0.7", ":"), "rebuilt": (COLOURS[0], "-")}
    columns = len(shown["input"])
    picture = figure(1.0 + 2.4 * columns, 3.4)
    names = _feature_names(run)
    for column, axes in enumerate(picture.subplots(1, columns, squeeze=False, sharey=True)[0]):
        for name, values in shown.items():
            curve = values[column] if run.data.spec.kind == "table" else values[column][:, 0]
            axes.plot(curve, color=looks[name][0], linestyle=looks[name][1], marker="." if names else None, label=name)
        label(axes, "", "" if names else _unit(run), "" if column else "scaled value")
        if names:
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    picture.axes[0].legend(frameon=False, fontsize=9)
    return picture


def _unit(run: FinishedRun) -> str:
    return "feature" if run.data.spec.kind == "table" else "step"


def _caption(axes: Axes, error: float, anomaly: bool) -> None:
    colour, mark = (COLOURS[1], "\nanomaly") if anomaly else (TRUTH, "")
    axes.set_title(f"{error:.2g}{mark}", fontsize=8, color=colour)


def _is_anomaly(run: FinishedRun, example: int) -> bool:
    return "anomaly" in run.data.test and bool(run.data.test["anomaly"][example])
