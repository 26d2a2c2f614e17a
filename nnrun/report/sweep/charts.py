"""The page's charts, as plotly's traces and layouts in plain dicts.

`@ink` and the like name a colour of the page's style. A trace's `customdata` (a list) or `meta` (one) are numbers of
trials: the page's script adds their descriptions, which it holds once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnrun.ledger import Trial
from nnrun.report.style import COLOURS
from nnrun.report.sweep.axis import Axis, Scale, objective_scale, ticks
from nnrun.report.sweep.record import SweepRecord, objective
from nnrun.report.sweep.text import counted, cut, label_text, shown

MOST_CURVES = 200
MOST_FAILED_CURVES = 20
MOST_POINTS = 2000
MOST_EPOCHS = 300
OTHER = "#9aa3ae"
"""Of what belongs to no choice, or to no single hyperparameter."""
LONGEST = 40
"""Characters of a key or metric on an axis."""
JITTER = 0.5
"""Width of a category's strip."""
GOLDEN = (math.sqrt(5) - 1) / 2
Plot = dict[str, Any]


class Chart(NamedTuple):
    """Traces and layout for plotly, height in pixels, and a sentence that belongs under it."""

    traces: list[Plot]
    layout: Plot
    height: int
    note: str = ""


def spread(trials: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of trials sorted by rank: a quarter the best ones, the rest evenly down to the worst."""
    if len(trials) <= most:
        return list(trials)
    top = most // 4
    rest = np.linspace(top, len(trials) - 1, most - top).round().astype(int)
    return [*trials[:top], *(trials[i] for i in rest)]


def best_value(record: SweepRecord) -> Chart:
    """Every trial's objective and the best so far; failed trials as crosses at the bottom."""
    scale = objective_scale(record.objectives, record.direction)
    best = np.maximum.accumulate if record.direction == "maximize" else np.minimum.accumulate
    numbers = [trial.number for trial in record.scored]
    reach = max([1, *(trial.number for trial in record.trials)])
    running = _line(numbers, best(record.objectives).tolist(), "@ink", 2, shape="hv", hoverinfo="skip")
    crosses = _points(record.failed, [0.02] * len(record.failed), COLOURS[1], symbol="x-thin-open", yaxis="y2")
    crosses["marker"] |= {"size": 10, "opacity": 1, "line": {"width": 2.5}}
    shown_points = spread(record.ranked, MOST_POINTS)
    layout = {
        "xaxis": _titled("trial", range=[-0.01 * reach, 1.01 * reach], zeroline=False, **_whole_numbers(reach)),
        "yaxis": _objective_axis(record, scale),
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }
    return Chart([*_coloured(record, shown_points, lambda t: t.number), running, crosses], layout, 340, beyond(scale))


def hyperparameters(record: SweepRecord) -> dict[str, Chart]:
    """The objective against each hyperparameter, the most important first."""
    scale = objective_scale(record.objectives, record.direction)
    order = list(record.importance.shares) if record.importance else [axis.key for axis in record.axes]
    axes = sorted(record.axes, key=lambda axis: order.index(axis.key))
    return {axis.key: _panel(record, axis, scale) for axis in axes}


def shares(record: SweepRecord) -> Chart:
    """Bars of the importance of each hyperparameter, and of what only several explain together."""
    found = record.importance.shares if record.importance else {}
    bars = {label_text(cut(key, LONGEST)): share for key, share in found.items()}
    bars["several together"] = max(0.0, 1 - sum(found.values()))
    names, values = list(bars)[::-1], list(bars.values())[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": rounded(values),
        "y": list(range(len(names))),
        "text": [f"{value:.1%}" for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": [OTHER] + [COLOURS[0]] * len(found)},
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
    drawn = spread(_with_curve(record, record.ranked), MOST_CURVES)[::-1]
    failed = _with_curve(record, [t for t in record.trials if t.state in ("failed", "pruned")])
    values = [value for trial in [*drawn, *failed] for value in record.curves[trial.number] if math.isfinite(value)]
    if not values:
        return None
    scale = objective_scale(values, record.direction, keep=0.98)
    traces = [_curve(record, trial, COLOURS[3], 1, dash="dot") for trial in failed[:MOST_FAILED_CURVES]]
    for i, trial in enumerate(drawn):
        last = i == len(drawn) - 1
        colour = hue_of(record, trial) or (COLOURS[1] if last else _ramp(i / max(1, len(drawn) - 1)))
        traces.append(_curve(record, trial, colour, 3 if last else 1.2))
    epochs = max(len(record.curves[trial.number]) for trial in [*drawn, *failed])
    layout = {
        "xaxis": _titled("epoch", rangemode="tozero", **_whole_numbers(epochs)),
        "yaxis": _objective_axis(record, scale),
    }
    return Chart(traces, layout, 420, beyond(scale, noun="value"))


def _with_curve(record: SweepRecord, trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if record.curves.get(trial.number)]


def _curve(record: SweepRecord, trial: Trial, colour: str, width: float, **line: Any) -> Plot:
    values = record.curves[trial.number]
    stride = math.ceil(len(values) / MOST_EPOCHS)
    first = (len(values) - 1) % stride
    trace = _line(None, rounded(values[first::stride]), colour, width, **line)
    template = "%{text}<br>epoch %{x}: %{y:.4g}<extra></extra>"
    trace |= {"x0": first + 1, "dx": stride, "meta": trial.number, "hovertemplate": template}
    return trace | {"mode": "lines+markers" if len(values) < 3 else "lines", "marker": {"size": 4}}


def _ramp(share: float) -> str:
    """Blue, the fainter the smaller the share."""
    red, green, blue = (int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{0.15 + 0.85 * share**2:.2f})"


def _panel(record: SweepRecord, axis: Axis, scale: Scale) -> Chart:
    trials = [t for t in record.ranked if not math.isnan(axis.place(t.params))]
    drawn = spread(trials, MOST_POINTS)
    without = len(record.ranked) - len(trials)
    note = f"{counted(without, 'trial')} without this key." if without else ""
    layout = {
        "yaxis": _objective_axis(record, scale),
        "xaxis": _titled(label_text(cut(axis.key, LONGEST)), zeroline=False),
    }
    if not axis.categories:
        layout["xaxis"] |= _logarithmic(axis, trials) if axis.log and trials else {}
        return Chart([*_coloured(record, drawn, lambda t: axis.place(t.params))], layout, 290, note)
    names = {float(place): label_text(cut(name)) for place, name in enumerate(axis.categories)}
    layout["xaxis"] |= {"range": [-0.6, len(names) - 0.4], "showgrid": False, **labelled(names)}
    places = dict(zip((t.number for t in drawn), axis.places([t.params for t in drawn]) + jitter(drawn), strict=True))
    strips = _coloured(record, drawn, lambda t: places[t.number])
    return Chart([_boxes(axis, trials), *strips], layout, 290, note)


def _boxes(axis: Axis, trials: Sequence[Trial]) -> Plot:
    return {
        "type": "box",
        "x": [axis.place(trial.params) for trial in trials],
        "y": rounded([objective(trial) for trial in trials]),
        "boxpoints": False,
        "width": 0.72,
        "line": {"color": "@muted", "width": 1},
        "fillcolor": "rgba(0,0,0,0)",
        "hoverinfo": "skip",
    }


def _coloured(record: SweepRecord, trials: Sequence[Trial], x: Any) -> Iterator[Plot]:
    """Points at (x, objective), a trace for each choice of member, and the best trial once more, ringed."""
    for colour in dict.fromkeys(hue_of(record, trial) for trial in trials):
        group = [trial for trial in trials if hue_of(record, trial) == colour]
        yield _points(group, [objective(t) for t in group], colour or COLOURS[0], [x(t) for t in group])
    if trials and trials[0] == record.ranked[0]:
        ring = _points(trials[:1], [objective(trials[0])], "@ink", [x(trials[0])], symbol="circle-open")
        ring["marker"] |= {"size": 13, "line": {"width": 2}, "opacity": 1}
        yield ring


def jitter(trials: Sequence[Trial]) -> np.ndarray:
    """Shifts that spread points over a category's strip, the same in every drawing."""
    return JITTER * (np.array([trial.number for trial in trials], dtype=float) * GOLDEN % 1 - 0.5)


def hue_of(record: SweepRecord, trial: Trial) -> str | None:
    """The colour of the trial's choice of member, where choices have colours."""
    if record.hue is None:
        return None
    key, choices = record.hue
    value = shown(trial.params.get(key))
    return COLOURS[choices.index(value)] if value in choices else OTHER


def _points(
    trials: Sequence[Trial], y: Sequence[float], colour: str, x: Sequence[float] | None = None, **more: Any
) -> Plot:
    marker = {"color": colour, "size": 7 if len(trials) < 300 else 5, "opacity": 0.75, "symbol": more.pop("symbol", 0)}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [trial.number for trial in trials] if x is None else rounded(x),
        "y": rounded(y),
        "customdata": [trial.number for trial in trials],
        "marker": marker,
        "hovertemplate": "%{text}<extra></extra>",
        **more,
    }


def _line(x: Sequence[float] | None, y: Sequence[Any], colour: str, width: float, **more: Any) -> Plot:
    line = {"color": colour, "width": width} | {key: more.pop(key) for key in ("shape", "dash") if key in more}
    trace = {"type": "scatter", "mode": "lines", "y": list(y), "line": line, **more}
    return trace if x is None else trace | {"x": list(x)}


def _objective_axis(record: SweepRecord, scale: Scale) -> Plot:
    axis = _titled(
        label_text(cut(record.metric, LONGEST)), range=[scale.low, scale.high], zeroline=False, automargin=True
    )
    if not scale.log:
        return axis
    # A double click shows what lies beyond, and that needs ticks too.
    further = ticks(scale.high, scale.worst, log=True) if scale.beyond else {}
    return axis | {"type": "log", **_powers(ticks(scale.low, scale.high, log=True) | further)}


def _logarithmic(axis: Axis, trials: Sequence[Trial]) -> Plot:
    """A logarithmic axis around the trials' values."""
    found = np.log10(axis.places([trial.params for trial in trials]))
    margin = 0.06 * float(np.ptp(found)) or 0.5
    low, high = float(found.min()) - margin, float(found.max()) + margin
    return {"type": "log", "range": [low, high], **_powers(ticks(low, high, log=True))}


def _powers(at: Mapping[float, str]) -> Plot:
    """Ticks at these exponents of ten; the chart places them by value."""
    return labelled({10.0**exponent: text for exponent, text in at.items()})


def labelled(at: Mapping[float, str]) -> Plot:
    """Ticks at these places with these texts."""
    return {"tickvals": rounded(list(at)), "ticktext": list(at.values())}


def _whole_numbers(reach: int) -> Plot:
    """Of an axis of counts from 0: left alone, a short one has ticks at fractions."""
    return {"dtick": 1} if reach <= 10 else {}


def _titled(text: str, **more: Any) -> Plot:
    return {"title": {"text": text, "standoff": 10}, **more}


def beyond(scale: Scale, fate: str = "a double click on the chart shows all", noun: str = "trial") -> str:
    """A sentence on what lies outside the scale, empty where nothing does."""
    return f"Beyond the axis: {counted(scale.beyond, noun)}; {fate}." if scale.beyond else ""


def rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Five significant digits are more than a chart shows; what is not finite is a gap."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
