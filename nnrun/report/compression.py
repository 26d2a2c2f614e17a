"""What an example costs in bytes, and how well it is rebuilt."""

import numpy as np
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, label


def draw(run: FinishedRun) -> Figure | None:
    """A line per method of the table: mean squared error over bytes."""
    table = run.tables.get("compression")
    if table is None:
        return None
    picture = figure(6.4, 4.4)
    axes = picture.subplots()
    for method, colour in zip(dict.fromkeys(table["method"].tolist()), COLOURS, strict=False):
        chosen = np.flatnonzero(table["method"] == method)
        chosen = chosen[np.argsort(table["bytes"][chosen], kind="stable")]
        axes.plot(table["bytes"][chosen], table["mse"][chosen], "o-", color=colour, linewidth=1.6, label=method)
    label(axes, f"{run.title}: codes as compressed examples", "bytes of an example, without what all share", "test mse")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return picture
