"""The charts of a sweep, for the page and for the static pictures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cbook import boxplot_stats

from nnrun.report.palette import COLOURS
from nnrun.report.sweep import plot
from nnrun.report.sweep.importance import LEAST_EXPLAINED
from nnrun.report.sweep.plot import Chart, Plot
from nnrun.report.sweep.scale import Scale, objective_scale
from nnrun.report.sweep.subject import Subject, objective
from nnrun.report.sweep.text import counted, cut, label_text, shown
from nnrun.search.trial import Trial

MOST_CURVES = 200
MOST_FAILED_CURVES = 20
MOST_POINTS = 2000
MOST_EPOCHS = 300
LOSSES = ("train/loss", "val/loss")
MOST_LOSSES = 9
"""Trials whose two losses are drawn beside each other."""
LONGEST_NOTE = 120
MOST_LINES = 500
"""Lines of the parallel coordinates."""
RANKS = [[0, "@faint"], [0.6, "@faint"], [1, "@accent"]]
"""Colours of these lines from the worst rank to the best."""


def best_value(subject: Subject) -> Chart:
    """Every trial's objective and the best so far; failed trials as crosses at the bottom."""
    scale = objective_scale(subject.objectives, subject.direction)
    best = np.maximum.accumulate if subject.direction == "maximize" else np.minimum.accumulate
    numbers = {trial.number: trial.number for trial in subject.scored}
    reach = max([1, *(trial.number for trial in subject.trials)])
    running = best(subject.objectives).tolist()
    # Of the whole sweep, though only a choice of the points is drawn.
    step = plot.line([*numbers], running, "@ink", 2, shape="hv", hoverinfo="skip", name="best so far")
    traces = [*coloured(subject, plot.spread(subject.ranked, MOST_POINTS), numbers), step]
    if subject.failed:
        traces.append(plot.crosses(subject.failed, [trial.number for trial in subject.failed]))
    layout = {
        "xaxis": plot.titled("trial", range=[-0.01 * reach, 1.01 * reach], **plot.whole_numbers(reach)),
        "yaxis": plot.objective_axis(subject.metric, scale),
        "yaxis2": plot.HEIGHTS,
    }
    return Chart(traces, layout, 340, *plot.beyond(scale))


def hyperparameters(subject: Subject) -> list[Chart]:
    """The objective against each hyperparameter, the most important first."""
    scale = objective_scale(subject.objectives, subject.direction)
    keys = subject.importance.shares if subject.importance else subject.axes
    return [_panel(subject, key, scale) for key in keys]


def shares(subject: Subject) -> Chart:
    """Bars of the importance of each hyperparameter, and of what only several explain together."""
    found = subject.importance
    assert found is not None
    bars = {"several together": max(0.0, 1 - sum(found.shares.values()))}
    bars |= {label_text(cut(key, plot.LONGEST)): share for key, share in reversed(found.shares.items())}
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": plot.rounded(list(bars.values())),
        "y": [*range(len(bars))],
        "text": [f"{value:.1%}" for value in bars.values()],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": [plot.OTHER] + [COLOURS[0]] * len(found.shares)},
    }
    bare = {"showgrid": False, "fixedrange": True}
    names = plot.labelled(dict(enumerate(bars)))
    layout = {
        "xaxis": plot.titled("share of the variance", range=[0, 1.12 * max(bars.values())], tickvals=[], **bare),
        "yaxis": {**names, **bare, "automargin": True, "ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"},
        "bargap": 0.35,
        "margin": {"t": 8, "b": 30, "r": 60},
    }
    explained = f"explains {max(0.0, found.explained):.0%} of the variance among trials it has not seen."
    note = f"The forest of {counted(len(subject.scored), 'trial')} {explained}"
    doubt = " That is little: do not trust the bars." if found.explained < LEAST_EXPLAINED else ""
    return Chart([trace], layout, 60 + 30 * len(bars), note + doubt)


def learning_curves(subject: Subject) -> Chart | None:
    """The objective's metric over the epochs, of all trials or a choice of them; None without any curve."""
    # A trial that failed in its first epoch has no curve.
    drawn = plot.spread([t for t in subject.ranked if subject.curves.get(t.number)], MOST_CURVES)[::-1]
    failed = [t for t in subject.trials if t.state in ("failed", "pruned") and subject.curves.get(t.number)]
    values = [value for trial in [*drawn, *failed] for value in subject.curves[trial.number] if math.isfinite(value)]
    if not values:
        return None
    scale = objective_scale(values, subject.direction, keep=0.98)
    traces = [
        _curve(subject.curves[trial.number], trial, COLOURS[3], 1, dash="dot", name="not completed")
        for trial in failed[:MOST_FAILED_CURVES]
    ]
    for i, trial in enumerate(drawn):
        # Drawn from the worst to the best, so that the best lies on top.
        last = i == len(drawn) - 1
        name, colour = plot.hue_of(subject, trial)
        look: Plot = {"name": name}
        if not name:
            look = {"name": "best"} if last else {"opacity": round(0.15 + 0.85 * (i / (len(drawn) - 1)) ** 2, 2)}
            colour = COLOURS[1] if last else COLOURS[0]
        traces.append(_curve(subject.curves[trial.number], trial, colour, 3 if last else 1.2, **look))
    epochs = max(len(subject.curves[trial.number]) for trial in [*drawn, *failed])
    layout = {
        "xaxis": plot.titled("epoch", rangemode="tozero", **plot.whole_numbers(epochs)),
        "yaxis": plot.objective_axis(subject.metric, scale),
    }
    return Chart(traces, layout, 420, *plot.beyond(scale, noun="value"))


def losses(subject: Subject) -> list[Chart]:
    """A chart for each of a few trials, with its loss on the training and on the validation part over the epochs."""
    both = [subject.losses.get(name, {}) for name in LOSSES]
    drawn = [t for t in subject.scored if all(len(curves.get(t.number, ())) > 1 for curves in both)]
    values = [value for curves in both for t in drawn for value in curves[t.number] if math.isfinite(value)]
    if not 2 <= len(drawn) <= MOST_LOSSES or not values:
        return []
    y_axis = plot.objective_axis("loss", objective_scale(values, "minimize", keep=0.98))
    epochs = max(len(both[0][trial.number]) for trial in drawn)
    layout = {"xaxis": plot.titled("epoch", rangemode="tozero", **plot.whole_numbers(epochs)), "yaxis": y_axis}
    charts = []
    for trial in drawn:
        traces = [
            _curve(curves[trial.number], trial, colour, 2, name=name)
            for curves, colour, name in zip(both, COLOURS, ("training", "validation"), strict=False)
        ]
        gap = both[1][trial.number][-1] - both[0][trial.number][-1]
        settings = ", ".join(f"{key.rpartition('.')[2]}={shown(value)}" for key, value in trial.params.items())
        charts.append(Chart(traces, layout, 290, f"{label_text(cut(settings, LONGEST_NOTE))}: gap {gap:.3g}"))
    return charts


def parallel(subject: Subject) -> Chart:
    """A line per trial through all its values, coloured by rank."""
    trials = plot.spread(subject.ranked, MOST_LINES)[::-1]
    scale = objective_scale(subject.objectives, subject.direction)
    last = {"label": _broken(subject.metric), "range": [scale.low, scale.high]}
    last["values"] = plot.rounded(scale.places([objective(trial) for trial in trials]))
    # Parallel coordinates know no logarithmic axis: the exponents are the values, and ticks have texts of their own.
    at = scale.ticks()
    last |= plot.labelled(dict(zip(scale.places([*at]).tolist(), at.values(), strict=True)))
    line = {"color": [*range(len(trials))], "cmin": -1, "cmax": len(trials) - 1, "colorscale": RANKS}
    dimensions = [*(_parallel_axis(subject, key, trials) for key in subject.axes), last]
    trace = {"type": "parcoords", "line": line, "dimensions": dimensions, "labelfont": {"size": 12}}
    note = f"Drawn at the end of the last axis: {counted(scale.beyond, 'trial')}." if scale.beyond else ""
    return Chart([trace], {"margin": {"l": 70, "r": 70, "t": 70, "b": 24}}, 420, note)


def _parallel_axis(subject: Subject, key: str, trials: Sequence[Trial]) -> Plot:
    """The unit interval; below the values lies a place for trials that lack the key."""
    places, named, low = subject.places(key, trials), plot.marks(subject.axes[key]), 0.0
    if np.isnan(places).any():
        low = -0.15
        places, named = np.where(np.isnan(places), low, places), {low: "(none)", **named}
    return {"label": _broken(key), "values": plot.rounded(places), "range": [low, 1], **plot.labelled(named)}


def _broken(key: str) -> str:
    """A dotted key on lines of its own parts."""
    return label_text(cut(key, plot.LONGEST)).replace(".", ".<br>").replace("/", "/<br>")


def _curve(values: Sequence[float], trial: Trial, colour: str, width: float, **look: Any) -> Plot:
    stride = math.ceil(len(values) / MOST_EPOCHS)
    # Counted from the end: the last epoch is always among those drawn.
    first = (len(values) - 1) % stride
    trace = plot.line(None, plot.rounded(values[first::stride]), colour, width, **look)
    template = "%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>"
    trace |= {"x0": first + 1, "dx": stride, "meta": trial.number, "hovertemplate": template}
    return trace | {"mode": "lines+markers" if len(values) < 3 else "lines", "marker": {"size": 4}}


def _panel(subject: Subject, key: str, scale: Scale) -> Chart:
    trials, axis = subject.having(key, subject.ranked), subject.axes[key]
    drawn = plot.spread(trials, MOST_POINTS)
    if axis.listed is None:
        x = [trial.params[key] for trial in drawn]
    else:
        x = (subject.places(key, drawn) + plot.jitter(drawn) / axis.count).tolist()
    boxes = [_boxes(subject, key, trials)] if axis.listed and axis.count <= plot.MOST_LISTED and trials else []
    strips = coloured(subject, drawn, {trial.number: place for trial, place in zip(drawn, x, strict=True)})
    without = len(subject.ranked) - len(trials)
    note = f"{counted(without, 'trial')} without this key." if without else ""
    layout = {"xaxis": plot.key_axis(key, axis), "yaxis": plot.objective_axis(subject.metric, scale)}
    return Chart([*boxes, *strips], layout, 290, note)


def _boxes(subject: Subject, key: str, trials: Sequence[Trial]) -> Plot:
    """Quartiles and whiskers computed here, because plotly has other ones than the static pictures."""
    groups: dict[float, list[float]] = {}
    for place, trial in zip(subject.places(key, trials).tolist(), trials, strict=True):
        groups.setdefault(place, []).append(objective(trial))
    found = boxplot_stats([*groups.values()])
    names = {"q1": "q1", "median": "med", "q3": "q3", "lowerfence": "whislo", "upperfence": "whishi"}
    return {
        "type": "box",
        "x": list(groups),
        **{name: plot.rounded([one[known] for one in found]) for name, known in names.items()},
        "width": 0.72 / subject.axes[key].count,
        "line": {"color": "@muted", "width": 1},
        "fillcolor": "rgba(0,0,0,0)",
        "hoverinfo": "skip",
    }


def coloured(subject: Subject, trials: Sequence[Trial], x: Mapping[int, float]) -> Iterator[Plot]:
    """Points at (x, objective), a trace for each choice of member, and the best trial once more, ringed."""
    hues = {trial.number: plot.hue_of(subject, trial) for trial in trials}
    for name, colour in sorted(set(hues.values()), key=lambda hue: (*COLOURS, plot.OTHER).index(hue[1])):
        group = [trial for trial in trials if hues[trial.number] == (name, colour)]
        y = [objective(trial) for trial in group]
        yield plot.points(group, y, colour, [x[trial.number] for trial in group], name=name)
    if trials and trials[0] == subject.ranked[0]:
        best = trials[0]
        ring = plot.points([best], [objective(best)], "@ink", [x[best.number]], symbol="circle-open", name="best")
        ring["marker"] |= {"size": 13, "line": {"width": 2}, "opacity": 1}
        yield ring
