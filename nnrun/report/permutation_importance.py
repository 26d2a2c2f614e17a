"""Which inputs a network needs."""

import numpy as np
from matplotlib.figure import Figure

from nnrun.trained.permutation import Importance
from nnrun.report.palette import COLOURS, figure, label
from nnrun.tasks.metrics import DIRECTIONS

SHOWN = 30


def draw(found: Importance, title: str) -> Figure:
    """A bar per input, the most important on top, with the standard deviation over the repeats."""
    columns = {name: values[:SHOWN] for name, values in found.columns().items()}
    picture = figure(7.0, 1.4 + 0.26 * len(columns["input"]))
    axes, places = picture.subplots(), np.arange(len(columns["input"]))
    axes.barh(places, columns["importance"], xerr=columns["std"], color=COLOURS[0], ecolor="0.4", height=0.7)
    axes.set_yticks(places, columns["input"])
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.axvline(0, color="0.4", linewidth=0.8)
    change = "drop" if DIRECTIONS.get(found.metric) == "maximize" else "rise"
    label(axes, title, f"{change} of {found.metric} ({found.value:.4g} with all inputs)", "")
    axes.grid(axis="y", visible=False)
    left_out = len(found.names) - len(places)
    if left_out:
        axes.set_ylabel(f"{left_out} less important inputs left out", fontsize=8)
    return picture
