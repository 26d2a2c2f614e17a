"""What a Bayesian search expects of the objective over one or two numbers, and where it would try next."""

from typing import NamedTuple

import numpy as np

from nnrun.report.palette import COLOURS
from nnrun.report.sweep import plot
from nnrun.report.sweep.charts import coloured
from nnrun.report.sweep.plot import Chart, Plot
from nnrun.report.sweep.scale import objective_scale, ticks
from nnrun.report.sweep.subject import Subject, objective
from nnrun.search.acquisition import LOGARITHMIC
from nnrun.search.bayes import Bayes, BayesConfig
from nnrun.search.points import Axis
from nnrun.search.space import Space
from nnrun.search.trial import FINAL

ALONG, ACROSS = 401, 61
"""Places along a single number, and along each of two."""
NAMES = {
    "log_ei": "expected improvement",
    "ei": "expected improvement",
    "pi": "probability of improvement",
    "lcb": "lower confidence bound",
}
NEXT = "next trial"
WHITE, BLACK = "#ffffff", "#1d2530"
"""Colours upon a map, whatever the page's style is."""


class View(NamedTuple):
    """A search's landscape in the objective's units, over a grid of coordinates (one array per key), and the
    coordinates of the point that it would ask for next, where there is one.

    low, middle, high: what the surrogate expects and a band of two deviations around it. acquisition: from 0 where it
    is smallest to 1 where it is largest.
    """

    grid: list[np.ndarray]
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    acquisition: np.ndarray
    next: np.ndarray | None


def surrogate(subject: Subject) -> list[Chart]:
    """Of one number the surrogate with its band, then the acquisition; of two a map of each; else nothing."""
    view = viewed(subject)
    if view is None:
        return []
    return _curves(subject, view) if len(view.grid) == 1 else _maps(subject, view)


def viewed(subject: Subject) -> View | None:
    """The search built anew from its trials; None where it was no Bayesian one over one or two numbers."""
    axes = list(subject.axes.values())
    if subject.bayes is None or not subject.scored or len(axes) > 2 or not all(map(_is_numeric, axes)):
        return None
    search = Bayes(BayesConfig(**subject.bayes), Space(subject.space))
    search.restore([trial.params for trial in subject.trials])
    sign = -1.0 if subject.direction == "maximize" else 1.0
    for trial in subject.trials:
        if trial.state in FINAL:
            search.tell(trial.number, sign * objective(trial) if trial.state == "completed" else None)
    places = np.linspace(0, 1, ALONG if len(axes) == 1 else ACROSS)
    grid = [np.unique(axis.snap(places)) for axis in axes]
    found = search.landscape(np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, len(axes)))
    if found is None:
        return None
    promise = found.acquisition
    if search.config.acquisition in LOGARITHMIC:
        promise = np.exp(promise - promise.max())
    promise = (promise - promise.min()) / (np.ptp(promise) or 1.0)
    values = (sign * found.low, sign * found.middle, sign * found.high, promise)
    low, middle, high, acquisition = (each.reshape([len(along) for along in grid]) for each in values)
    return View(grid, low, middle, high, acquisition, next(iter(search.encoding.encode(search.propose(1))), None))


def _is_numeric(axis: Axis) -> bool:
    return axis.listed is None or (axis.ordered and axis.count > 2)


def _numbers(axis: Axis, places: np.ndarray) -> list[float]:
    """Where coordinates lie on the axis that `plot.key_axis` makes."""
    return axis.decode(places) if axis.listed is None else places.tolist()


def _curves(subject: Subject, view: View) -> list[Chart]:
    ((key, axis),) = subject.axes.items()
    scale = objective_scale(subject.objectives, subject.direction)
    x = _numbers(axis, view.grid[0])
    edges = scale.within(np.concatenate([view.low, view.high[::-1]]))
    band = plot.line([*x, *x[::-1]], plot.rounded(edges), COLOURS[5], 0, name="two deviations")
    band |= {"fill": "toself", "fillcolor": COLOURS[5], "opacity": 0.35, "hoverinfo": "skip"}
    middle = plot.line(x, plot.rounded(view.middle), COLOURS[0], 2, hoverinfo="skip", name="surrogate")
    at = _numbers(axis, subject.places(key, subject.ranked))
    tried = coloured(subject, subject.ranked, {t.number: place for t, place in zip(subject.ranked, at, strict=True)})
    promise = plot.line(x, plot.rounded(view.acquisition), COLOURS[2], 2, hoverinfo="skip", name="acquisition")
    ends = [scale.within(np.array([-np.inf, np.inf])).tolist(), [0.0, 1.05]]
    y_axes = [plot.objective_axis(subject.metric, scale), plot.titled("acquisition", range=ends[1])]
    panels = [[band, middle, *tried], [promise]]
    if subject.failed:
        panels[0].append(plot.crosses(subject.failed, _numbers(axis, subject.places(key, subject.failed))))
    if view.next is not None:
        there = _numbers(axis, view.next) * 2
        for traces, reach in zip(panels, ends, strict=True):
            traces.append(plot.line(there, reach, COLOURS[1], 1.5, dash="dot", hoverinfo="skip", name=NEXT))
    x_axis, notes = plot.key_axis(key, axis), _notes(subject, " and a band of two deviations")
    return [
        Chart(traces, {"xaxis": x_axis, "yaxis": y_axis, "yaxis2": plot.HEIGHTS}, height, note)
        for traces, y_axis, height, note in zip(panels, y_axes, (340, 220), notes, strict=True)
    ]


def _notes(subject: Subject, more: str = "") -> tuple[str, str]:
    """What the two charts show."""
    name = NAMES[(subject.bayes or {})["acquisition"]]
    return f"Surrogate: expected {subject.metric}{more}.", f"Acquisition: {name}, scaled."


def _maps(subject: Subject, view: View) -> list[Chart]:
    """Yellow is better on both maps."""
    scale = objective_scale(view.middle.ravel().tolist(), subject.direction, keep=1.0)
    (x_key, x_axis), (y_key, y_axis) = axes = subject.axes.items()
    at = [_numbers(axis, subject.places(key, subject.ranked)) for key, axis in axes]
    tried = plot.points(subject.ranked, at[1], WHITE, at[0], name="trial")
    tried["marker"] |= {"opacity": 1, "line": {"width": 1, "color": BLACK}}
    best = plot.points(subject.ranked[:1], at[1][:1], BLACK, at[0][:1], symbol="circle-open", name="best")
    best["marker"] |= {"size": 14, "line": {"width": 2.5}, "opacity": 1}
    marks = [tried, best]
    if subject.failed:
        marks.append(plot.crosses(subject.failed, *(_numbers(a, subject.places(k, subject.failed)) for k, a in axes)))
    if view.next is not None:
        (x,), (y,) = _numbers(x_axis, view.next[:1]), _numbers(y_axis, view.next[1:])
        look = {"color": COLOURS[1], "size": 12, "opacity": 1, "symbol": "diamond-open", "line": {"width": 2.5}}
        marks.append({"type": "scatter", "mode": "markers", "x": [x], "y": [y], "marker": look, "name": NEXT})
        marks[-1]["hovertemplate"] = f"{NEXT}<extra></extra>"
    grid = {"x": _numbers(x_axis, view.grid[0]), "y": _numbers(y_axis, view.grid[1])}
    layout = {"xaxis": plot.key_axis(x_key, x_axis), "yaxis": plot.key_axis(y_key, y_axis)}
    within = scale.within(view.middle)
    middle, marked = (np.log10(values) if scale.log else values for values in (within, np.array([*scale.ticks()])))
    named = dict(zip(marked.tolist(), scale.ticks().values(), strict=True))
    surface = _surface(grid, middle, (scale.low, scale.high), named, subject.direction == "minimize")
    promise = _surface(grid, view.acquisition, (0.0, 1.0), ticks(0.0, 1.0, log=False), False)
    panels = zip((surface, promise), _notes(subject), strict=True)
    return [Chart([drawn, *marks], layout, 400, note) for drawn, note in panels]


def _surface(grid: Plot, values: np.ndarray, ends: tuple[float, float], at: dict[float, str], reverse: bool) -> Plot:
    return {
        "type": "heatmap",
        **grid,
        "z": [plot.rounded(row) for row in values.T],
        "zmin": ends[0],
        "zmax": ends[1],
        "colorscale": "Viridis",
        "reversescale": reverse,
        "colorbar": {"thickness": 12, **plot.labelled(at)},
        "hoverinfo": "skip",
    }
