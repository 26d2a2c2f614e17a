"""Forecasts against the truth, on the test part."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label, whole_numbers

WINDOWS = 300
"""Windows of the stretch that is drawn."""
VARIABLES = 3
"""Variables that get a row."""
HISTORY = 3
"""Steps seen before the example's forecast, in horizons."""


def draw(run: FinishedRun) -> Figure | None:
    """A row per variable: the first step ahead over up to 300 windows and, with a longer horizon, one whole forecast.

    A single window has the latter alone.
    """
    spec, series = run.data.spec, run.data.series
    if spec.kind != "series" or series is None or spec.targets is None or len(run.data.test["inputs"]) == 0:
        return None
    true, predicted = _last_step(run.data.test["targets"], run), _last_step(run.predicted(), run)
    windows, horizon, variables = true.shape
    shown, several, stretch = min(variables, VARIABLES), horizon > 1, windows > 1 or horizon == 1
    picture = figure(10.5 if several and stretch else 8.5, 0.9 + 2.7 * shown)
    widths = [2.0, 1.0] if several and stretch else [1.0]
    panels = picture.subplots(shown, len(widths), squeeze=False, width_ratios=widths)
    for row, axes in enumerate(panels):
        name = run.target_name(row)
        if stretch:
            _stretch(axes[0], run, true[:, 0, row], predicted[:, 0, row], name)
        if several:
            _example(axes[-1], run, true[..., row], predicted[..., row], series.target_columns[row], name)
    panels[0, 0].legend(frameon=False, fontsize=9, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    found = run.metric_caption("rmse", "mase")
    headline(picture, f"{run.title}: test part" + (f" ({found})" if found else ""))
    return picture


def _last_step(values: np.ndarray, run: FinishedRun) -> np.ndarray:
    """What is forecast after the whole window, (windows, horizon, variables)."""
    return np.asarray(values)[:, -1] if run.data.spec.per_step else np.asarray(values)


def _stretch(axes: Axes, run: FinishedRun, true: np.ndarray, predicted: np.ndarray, name: str) -> None:
    windows = run.positions()[:WINDOWS]
    axes.plot(windows, true[:WINDOWS], color=TRUTH, linewidth=1.2, label="truth")
    axes.plot(windows, predicted[:WINDOWS], color=COLOURS[0], linewidth=1.4, label="forecast")
    excerpt = f", first {WINDOWS} of {len(true)} windows" if len(true) > WINDOWS else ""
    label(
        axes,
        f"one step ahead{excerpt}",
        "newest time of the window" if windows.dtype.kind == "M" else "test window",
        name,
    )


def _example(axes: Axes, run: FinishedRun, true: np.ndarray, predicted: np.ndarray, column: int, name: str) -> None:
    """The window of median error: neither the best nor the worst."""
    errors = np.abs(predicted - true).mean(axis=1)
    chosen = int(np.argsort(errors, kind="stable")[len(errors) // 2])
    ahead = np.arange(1, true.shape[1] + 1)
    seen = run.data.test["inputs"][chosen, -HISTORY * len(ahead) :, column]
    axes.plot(np.arange(1 - len(seen), 1), seen, color="0.6", linewidth=1.2, label="seen")
    axes.plot(ahead, true[chosen], color=TRUTH, marker=".", linewidth=1.2, label="truth")
    axes.plot(ahead, predicted[chosen], color=COLOURS[0], marker=".", linewidth=1.4, label="forecast")
    axes.axvline(0.5, color="0.6", linewidth=1, linestyle=":")
    label(axes, f"{len(ahead)} steps ahead, median error", f"window {chosen}: steps from its end", name)
    whole_numbers(axes, most=5)
    axes.legend(handles=axes.lines[:1], frameon=False, fontsize=9)
