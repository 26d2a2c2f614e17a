"""Losses, the objective and the learning rate over the epochs."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label, whole_numbers

LOG_FROM = 20.0
"""Positive values whose extremes differ by this factor are drawn on a logarithmic scale."""


def draw(run: FinishedRun) -> Figure | None:
    """Training and validation loss; below them the objective or the first metric, and a learning rate that varies."""
    if not run.history:
        return None
    names = [key for key in run.history[0] if key.startswith("val/") and key != "val/loss"]
    # The objective may be the loss, which has the first panel already.
    metric = run.objective if run.objective in names else next(iter(names), None)
    rate = _column(run, "learning_rate")
    varies = bool(np.ptp(rate) > 1e-6 * np.abs(rate).max())
    panels = [2.0] + [1.4] * (metric is not None) + [0.9] * varies
    picture = figure(height=1.0 + 1.6 * sum(panels) / 1.4)
    rows = list(picture.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=panels)[:, 0])
    _curve(rows[0], run, "train/loss", COLOURS[0], name="training", best=False)
    _curve(rows[0], run, "val/loss", COLOURS[1], name="validation")
    label(rows[0], "loss", "", "loss")
    # On white, because the line of the best epoch may run behind it.
    rows[0].legend(facecolor="white", edgecolor="none", framealpha=0.9, fontsize=9)
    if metric is not None:
        _curve(rows[1], run, metric, COLOURS[1])
        label(rows[1], f"{metric.removeprefix('val/')}, validation", "", metric.removeprefix("val/"))
    if varies:
        rows[-1].plot(_column(run, "epoch"), rate, color=COLOURS[2])
        rows[-1].set_ylim(bottom=0)
        label(rows[-1], "learning rate, last step of the epoch", "", "learning rate")
    rows[-1].set_xlabel("epoch")
    whole_numbers(rows[-1])
    headline(picture, run.title)
    picture.align_ylabels()
    return picture


def _curve(axes: Axes, run: FinishedRun, key: str, colour: str, name: str | None = None, best: bool = True) -> None:
    epochs, values = _column(run, "epoch"), _column(run, key)
    marker = "." if len(epochs) <= 30 else None
    axes.plot(epochs, values, color=colour, label=name, marker=marker, linewidth=1.5)
    chosen = epochs == run.best_epoch
    if best and chosen.any():
        text = f"best epoch {run.best_epoch}" if name else None
        axes.axvline(run.best_epoch, color="0.6", linewidth=1, linestyle=":", zorder=0)
        axes.plot(epochs[chosen], values[chosen], "o", color=colour, markerfacecolor="white", zorder=3, label=text)
    finite = values[np.isfinite(values)]
    if finite.size and finite.min() > 0 and finite.max() > LOG_FROM * finite.min():
        axes.set_yscale("log")


def _column(run: FinishedRun, key: str) -> np.ndarray:
    return np.array([row.get(key, np.nan) for row in run.history], dtype=float)
