"""Which inputs a network needs."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from nnrun.datasets.part import Columns
from nnrun.report.palette import COLOURS, figure, label

SHOWN = 30


@dataclass(frozen=True)
class Importance:
    """The drop of a metric, or the rise of one whose direction is `minimize`.

    drops: (inputs, repeats). value: the metric on the examples as they are; `examples` were permuted.
    """

    names: tuple[str, ...]
    drops: np.ndarray
    metric: str
    direction: str
    value: float
    examples: int

    def columns(self) -> Columns:
        """The table, the most important input first: input, importance (mean over repeats), std (of repeats)."""
        # One repeat has no sample deviation: ddof 1 would be NaN.
        mean, spread = self.drops.mean(1), self.drops.std(1, ddof=1 if self.drops.shape[1] > 1 else 0)
        order = np.argsort(-mean, kind="stable")
        return {"input": np.array(self.names)[order], "importance": mean[order], "std": spread[order]}


def draw(found: Importance, title: str) -> Figure:
    """A bar per input, the most important on top, with the standard deviation over the repeats."""
    columns = {name: values[:SHOWN] for name, values in found.columns().items()}
    picture = figure(7.0, 1.4 + 0.26 * len(columns["input"]))
    axes, places = picture.subplots(), np.arange(len(columns["input"]))
    axes.barh(places, columns["importance"], xerr=columns["std"], color=COLOURS[0], ecolor="0.4", height=0.7)
    axes.set_yticks(places, columns["input"])
    # Upside down, because the first bar belongs on top.
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.axvline(0, color="0.4", linewidth=0.8)
    change = "drop" if found.direction == "maximize" else "rise"
    label(axes, title, f"{change} of {found.metric} ({found.value:.4g} with all inputs)", "")
    axes.grid(axis="y", visible=False)
    left_out = len(found.names) - len(places)
    if left_out:
        axes.set_ylabel(f"{left_out} less important inputs left out", fontsize=8)
    return picture
