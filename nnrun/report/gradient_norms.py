"""How far back through time the loss's gradient reaches."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label

TABLE = "gradient_norms"
STAGES = {"start": "untrained", "open": "untrained, gates biased to remember", "trained": "after training"}
CELL = "_cell"
"""This ends the name of a network's second state, which is drawn dashed in the network's colour."""
FLOOR = 1e-16
"""Smaller ratios are drawn at the lower edge."""


def draw(run: FinishedRun) -> Figure | None:
    """A panel per stage, a line per network: the table's norms over the time steps, divided by the last step's."""
    table = run.tables.get(TABLE)
    if table is None:
        return None
    states = list(dict.fromkeys(name.rpartition("_")[0] for name in table if name != "step"))
    networks = [state for state in states if not state.endswith(CELL)]
    stages = [stage for stage in STAGES if any(name.endswith(f"_{stage}") for name in table)]
    picture = figure(3.9 * len(stages) + 0.8, 4.2)
    panels = picture.subplots(1, len(stages), sharey=True, squeeze=False)[0]
    for axes, stage in zip(panels, stages, strict=True):
        for state in states:
            if f"{state}_{stage}" in table:
                colour = COLOURS[networks.index(state.removesuffix(CELL))]
                _line(axes, table["step"], table[f"{state}_{stage}"], state, colour)
        label(axes, STAGES[stage], "time step", "")
        axes.set_yscale("log")
        # Below the floor, so that a line along it is seen.
        axes.set_ylim(FLOOR / 2, None)
        axes.legend(frameon=False, fontsize=9, title="first / last step", title_fontsize=9, loc="best")
    panels[0].set_ylabel("‖∂L/∂state‖ / its value at the last step")
    headline(picture, f"{run.title}: gradient of the loss with respect to the state at every step")
    return picture


def _line(axes: Axes, steps: np.ndarray, norms: np.ndarray, state: str, colour: str) -> None:
    ratio = np.asarray(norms, np.float64) / norms[-1] if norms[-1] > 0 else np.zeros(len(norms))
    text = f"{state.replace('_', ' ')}: {f'{ratio[0]:.0e}' if ratio[0] else '0'}"
    style, order = ("--", 3) if state.endswith(CELL) else ("-", 2)
    axes.plot(steps, np.maximum(ratio, FLOOR), style, color=colour, linewidth=1.8, zorder=order, label=text)
