"""How far back the loss's gradient reaches."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import COLOURS, FinishedRun, figure, label

TABLE = "gradient_norms"
FLOOR = 1e-12
"""Norms below are drawn at the lower edge: single precision holds nothing of them beside the last step's."""
STAGES = {"start": "untrained", "trained": "after training"}


def draw(run: FinishedRun) -> Figure | None:
    """The norms of the task's table over the time steps, one panel per stage, one line per network."""
    table = run.tables.get(TABLE)
    if table is None:
        return None
    stages = [stage for stage in STAGES if any(name.endswith(f"/{stage}") for name in table)]
    picture = figure(4.6 * len(stages) + 0.4, 4.4)
    panels = picture.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    for axes, stage in zip(panels, stages, strict=True):
        _panel(axes, table, stage)
    panels[0].set_ylabel("norm of ∂loss / ∂state, batch mean")
    picture.suptitle(f"{run.title}: how far back the gradient reaches", fontsize=11)
    return picture


def _panel(axes: Axes, table: dict[str, np.ndarray], stage: str) -> None:
    lines = [name for name in table if name.endswith(f"/{stage}")]
    for number, name in enumerate(lines):
        title = name.removesuffix(f"/{stage}")
        axes.plot(table["step"], np.maximum(table[name], FLOOR), label=title, **_style(title, number))
    axes.set_yscale("log")
    axes.set_ylim(bottom=FLOOR)
    label(axes, STAGES[stage], "time step", "")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
