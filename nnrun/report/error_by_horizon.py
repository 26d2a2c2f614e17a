"""How the error grows with the steps ahead, beside the naive forecasts."""

from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label, legend_beside, whole_numbers

METRICS = ("rmse", "mase")
"""In the unit of a single variable, or of several in those of the naive forecast."""


def draw(run: FinishedRun) -> Figure | None:
    """The metric of every step ahead; None with a single one."""
    steps = [name.rpartition("t+")[2] for name in run.metrics if name.startswith("test/mase/t+")]
    if len(steps) < 2:
        return None
    metric = next(metric for metric in METRICS if f"test/{metric}/t+1" in run.metrics)
    names = [f"test/{metric}/t+{step}" for step in steps]
    picture = figure(8.5, 4.0)
    axes, ahead = picture.subplots(), list(map(int, steps))
    others = sorted({other for name in names for other in run.baseline.get(name, {})})
    for colour, other in zip(COLOURS[1:], others, strict=False):
        values = [run.baseline.get(name, {}).get(other, float("nan")) for name in names]
        axes.plot(ahead, values, color=colour, linewidth=1.2, linestyle="--", label=other)
    marker = "." if len(ahead) <= 30 else None
    axes.plot(ahead, [run.metrics[name] for name in names], color=COLOURS[0], marker=marker, label="model")
    axes.set_ylim(bottom=0)
    of = f" of {run.target_name(0)}" if metric == "rmse" else ""
    label(axes, f"{metric}{of} by step ahead", "steps ahead", metric)
    whole_numbers(axes)
    legend_beside(axes)
    headline(picture, f"{run.title}: test part")
    return picture
