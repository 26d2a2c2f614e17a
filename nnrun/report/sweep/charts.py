"""The page's charts."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nnrun.report.palette import COLOURS
from nnrun.report.sweep import plot
from nnrun.report.sweep.axis import Axis, Scale, objective_scale
from nnrun.report.sweep.plot import Chart, Plot
from nnrun.report.sweep.subject import SweepRecord, objective
from nnrun.report.sweep.text import counted, cut, label_text
from nnrun.search.trial import Trial

MOST_CURVES = 200
MOST_FAILED_CURVES = 20
MOST_POINTS = 2000
MOST_EPOCHS = 300


def best_value(record: SweepRecord) -> Chart:
    """Every trial's objective and the best so far; failed trials as crosses at the bottom."""
    scale = objective_scale(record.objectives, record.direction)
    best = np.maximum.accumulate if record.direction == "maximize" else np.minimum.accumulate
    numbers = [trial.number for trial in record.scored]
    reach = max([1, *(trial.number for trial in record.trials)])
    running = plot.line(numbers, best(record.objectives).tolist(), "@ink", 2, shape="hv", hoverinfo="skip")
    crosses = plot.points(record.failed, [0.02] * len(record.failed), COLOURS[1], symbol="x-thin-open", yaxis="y2")
    crosses["marker"] |= {"size": 10, "opacity": 1, "line": {"width": 2.5}}
    shown_points = plot.spread(record.ranked, MOST_POINTS)
    layout = {
        "xaxis": plot.titled("trial", range=[-0.01 * reach, 1.01 * reach], zeroline=False, **plot.whole_numbers(reach)),
        "yaxis": plot.objective_axis(record, scale),
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }
    return Chart(
        [*_coloured(record, shown_points, lambda t: t.number), running, crosses], layout, 340, plot.beyond(scale)
    )


def hyperparameters(record: SweepRecord) -> dict[str, Chart]:
    """The objective against each hyperparameter, the most important first."""
    scale = objective_scale(record.objectives, record.direction)
    order = list(record.importance.shares) if record.importance else [axis.key for axis in record.axes]
    axes = sorted(record.axes, key=lambda axis: order.index(axis.key))
    return {axis.key: _panel(record, axis, scale) for axis in axes}


def shares(record: SweepRecord) -> Chart:
    """Bars of the importance of each hyperparameter, and of what only several explain together."""
    found = record.importance.shares if record.importance else {}
    bars = {label_text(cut(key, plot.LONGEST)): share for key, share in found.items()}
    bars["several together"] = max(0.0, 1 - sum(found.values()))
    names, values = list(bars)[::-1], list(bars.values())[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": plot.rounded(values),
        "y": list(range(len(names))),
        "text": [f"{value:.1%}" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": [plot.OTHER] + [COLOURS[0]] * len(found)},
    }
    layout = {
        "xaxis": {"visible": False, "range": [0, 1.12 * max(values)], "fixedrange": True},
        "yaxis": {
            "tickvals": trace["y"],
            "ticktext": names,
            "automargin": True,
            "ticks": "outside",
            "ticklen": 6,
            "tickcolor": "rgba(0,0,0,0)",
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "bargap": 0.35,
        "margin": {"t": 8, "b": 8, "r": 60},
    }
    return Chart([trace], layout, 40 + 30 * len(names))


def learning_curves(record: SweepRecord) -> Chart | None:
    """The objective's metric over the epochs, of all trials or a choice of them; None without any curve."""
    drawn = plot.spread(_with_curve(record, record.ranked), MOST_CURVES)[::-1]
    failed = _with_curve(record, [t for t in record.trials if t.state in ("failed", "pruned")])
    values = [value for trial in [*drawn, *failed] for value in record.curves[trial.number] if math.isfinite(value)]
    if not values:
        return None
    scale = objective_scale(values, record.direction, keep=0.98)
    traces = [_curve(record, trial, COLOURS[3], 1, dash="dot") for trial in failed[:MOST_FAILED_CURVES]]
    for i, trial in enumerate(drawn):
        last = i == len(drawn) - 1
        colour = plot.hue_of(record, trial) or (COLOURS[1] if last else _ramp(i / max(1, len(drawn) - 1)))
        traces.append(_curve(record, trial, colour, 3 if last else 1.2))
    epochs = max(len(record.curves[trial.number]) for trial in [*drawn, *failed])
    layout = {
        "xaxis": plot.titled("epoch", rangemode="tozero", **plot.whole_numbers(epochs)),
        "yaxis": plot.objective_axis(record, scale),
    }
    return Chart(traces, layout, 420, plot.beyond(scale, noun="value"))


def _with_curve(record: SweepRecord, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if record.curves.get(trial.number)]


def _curve(record: SweepRecord, trial: Trial, colour: str, width: float, **look: Any) -> Plot:
    values = record.curves[trial.number]
    stride = math.ceil(len(values) / MOST_EPOCHS)
    first = (len(values) - 1) % stride
    trace = plot.line(None, plot.rounded(values[first::stride]), colour, width, **look)
    template = "%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>"
    trace |= {"x0": first + 1, "dx": stride, "meta": trial.number, "hovertemplate": template}
    return trace | {"mode": "lines+markers" if len(values) < 3 else "lines", "marker": {"size": 4}}


def _ramp(share: float) -> str:
    """Blue, the fainter the smaller the share."""
    red, green, blue = (int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{0.15 + 0.85 * share**2:.2f})"


def _panel(record: SweepRecord, axis: Axis, scale: Scale) -> Chart:
    trials = [t for t in record.ranked if not math.isnan(axis.place(t.params))]
    drawn = plot.spread(trials, MOST_POINTS)
    without = len(record.ranked) - len(trials)
    note = f"{counted(without, 'trial')} without this key." if without else ""
    layout = {
        "yaxis": plot.objective_axis(record, scale),
        "xaxis": plot.titled(label_text(cut(axis.key, plot.LONGEST)), zeroline=False),
    }
    if not axis.categories:
        layout["xaxis"] |= _numbers(axis, trials) if trials else {}
        return Chart([*_coloured(record, drawn, lambda t: axis.place(t.params))], layout, 290, note)
    names = {float(place): label_text(cut(name)) for place, name in enumerate(axis.categories)}
    layout["xaxis"] |= {"range": [-0.6, len(names) - 0.4], "showgrid": False, **plot.labelled(names)}
    places = dict(
        zip((t.number for t in drawn), axis.places([t.params for t in drawn]) + plot.jitter(drawn), strict=True)
    )
    strips = _coloured(record, drawn, lambda t: places[t.number])
    boxes = [_boxes(axis, trials)] if trials else []
    return Chart([*boxes, *strips], layout, 290, note)


def _numbers(axis: Axis, trials: Sequence[Trial]) -> Plot:
    """The scale and ticks of an axis of numbers, where plotly's own do not serve."""
    if axis.log:
        return plot.logarithmic(axis, trials)
    return plot.whole_numbers(np.ptp(axis.places([trial.params for trial in trials]))) if axis.whole else {}


def _boxes(axis: Axis, trials: Sequence[Trial]) -> Plot:
    groups: dict[float, list[float]] = {}
    for trial in trials:
        groups.setdefault(axis.place(trial.params), []).append(objective(trial))
    found = [_quartiles(values) for values in groups.values()]
    return {
        "type": "box",
        "x": list(groups),
        **{name: plot.rounded([one[name] for one in found]) for name in found[0]},
        "width": 0.72,
        "line": {"color": "@muted", "width": 1},
        "fillcolor": "rgba(0,0,0,0)",
        "hoverinfo": "skip",
    }


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    """As in the static pictures: quartiles between order statistics, whiskers to the last value within 1.5 boxes."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    reach = 1.5 * (high - low)
    within = [value for value in values if low - reach <= value <= high + reach]
    whiskers = {"lowerfence": min(low, *within), "upperfence": max(high, *within)}
    return {"q1": low, "median": middle, "q3": high, **whiskers}


def _coloured(record: SweepRecord, trials: Sequence[Trial], x: Any) -> Iterator[Plot]:
    """Points at (x, objective), a trace for each choice of member, and the best trial once more, ringed."""
    for colour in dict.fromkeys(plot.hue_of(record, trial) for trial in trials):
        group = [trial for trial in trials if plot.hue_of(record, trial) == colour]
        yield plot.points(group, [objective(t) for t in group], colour or COLOURS[0], [x(t) for t in group])
    if trials and trials[0] == record.ranked[0]:
        ring = plot.points(trials[:1], [objective(trials[0])], "@ink", [x(trials[0])], symbol="circle-open")
        ring["marker"] |= {"size": 13, "line": {"width": 2}, "opacity": 1}
        yield ring
