"""What charts are made of, as plotly's traces and axes in plain dicts.

`@ink` and the like name a colour of the page's style. A trace's `customdata` (a list) or `meta` (one) are numbers of
trials: the page's script adds their descriptions, which it holds once. Names of traces are for the static pictures.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnrun.report.palette import COLOURS
from nnrun.report.sweep.scale import Scale, ticks
from nnrun.report.sweep.subject import Subject
from nnrun.report.sweep.text import counted, cut, label_text, shown
from nnrun.search.points import Axis
from nnrun.search.trial import Trial

OTHER = "#9aa3ae"
"""The colour of what belongs to no choice, or to no single hyperparameter."""
LONGEST, LONGEST_NAME = 40, 16
"""Characters of a key or metric on an axis, and of a value."""
MOST_LISTED = 12
"""Values of an axis that all have a tick, and a box each."""
JITTER = 0.5
"""Width of the strip that the points of one value are spread over, in cells."""
GOLDEN = (math.sqrt(5) - 1) / 2
Plot = dict[str, Any]
HEIGHTS: Plot = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
"""A second y axis, of heights within the chart."""


class Chart(NamedTuple):
    """Traces and layout for plotly, height in pixels, a sentence that belongs under it, and one for the page alone."""

    traces: list[Plot]
    layout: Plot
    height: int
    note: str = ""
    hint: str = ""


def spread(trials: Sequence[Any], most: int) -> list[Any]:
    """A choice of `most` trials sorted by rank: a quarter the best ones, the rest evenly down to the worst."""
    if len(trials) <= most:
        return list(trials)
    top = most // 4
    rest = np.linspace(top, len(trials) - 1, most - top).round().astype(int)
    return [*trials[:top], *(trials[i] for i in rest)]


def jitter(trials: Sequence[Trial]) -> np.ndarray:
    """Shifts in cells that spread points over the strip of their value, the same in every drawing."""
    # Multiples of the golden ratio fill an interval evenly, however many there are (Weyl's sequence).
    return JITTER * (np.array([trial.number for trial in trials], dtype=float) * GOLDEN % 1 - 0.5)


def hue_of(subject: Subject, trial: Trial) -> tuple[str, str]:
    """The trial's choice of a member and its colour; no name where choices have no colours."""
    if subject.hue is None:
        return "", COLOURS[0]
    key, choices = subject.hue
    value = shown(trial.params.get(key))
    return label_text(cut(f"{key}={value}")), COLOURS[choices.index(value)] if value in choices else OTHER


def points(
    trials: Sequence[Trial], y: Sequence[float], colour: str, x: Sequence[float] | None = None, **more: Any
) -> Plot:
    """A point for each trial, at its number unless `x` says otherwise."""
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


def crosses(failed: Sequence[Trial], x: Sequence[float], y: Sequence[float] | None = None) -> Plot:
    """A cross for each failed trial, at the bottom of the chart unless `y` says otherwise."""
    height, more = ([0.02] * len(failed), {"yaxis": "y2"}) if y is None else (y, {})
    found = points(failed, height, COLOURS[1], x, symbol="x-thin-open", name="failed", **more)
    found["marker"] |= {"size": 10, "opacity": 1, "line": {"width": 2.5}}
    return found


def line(x: Sequence[float] | None, y: Sequence[Any], colour: str, width: float, **more: Any) -> Plot:
    """A line through (x, y)."""
    look = {"color": colour, "width": width} | {key: more.pop(key) for key in ("shape", "dash") if key in more}
    trace = {"type": "scatter", "mode": "lines", "y": list(y), "line": look, **more}
    return trace if x is None else trace | {"x": list(x)}


def objective_axis(metric: str, scale: Scale) -> Plot:
    """The axis of the objective or of another metric, within the scale."""
    axis = titled(metric, range=[scale.low, scale.high], automargin=True)
    if not scale.log:
        return axis
    # A double click shows what lies beyond, and that needs ticks too.
    further = ticks(10.0**scale.high, 10.0**scale.worst, log=True) if scale.beyond else {}
    return axis | {"type": "log", **labelled(scale.ticks() | further)}


def key_axis(key: str, axis: Axis) -> Plot:
    """The axis of a hyperparameter: of numbers, or the unit interval with the cells of listed values."""
    if axis.listed is not None:
        names = {place: label_text(name) for place, name in marks(axis).items()}
        return titled(key, range=[0, 1], showgrid=False, **labelled(names))
    if not axis.log:
        return titled(key, **({} if axis.continuous else whole_numbers(axis.high - axis.low)))
    margin = 0.04 * math.log10(axis.high / axis.low)
    ends = [math.log10(axis.low) - margin, math.log10(axis.high) + margin]
    return titled(key, type="log", range=ends, **labelled(ticks(axis.low, axis.high, log=True)))


def marks(axis: Axis) -> dict[float, str]:
    """Places in the unit interval and their texts: round numbers, or listed values, of many every so-manieth."""
    if axis.listed is None:
        numbers = ticks(axis.low, axis.high, axis.log, not axis.continuous)
        return {axis.encode(value): text for value, text in numbers.items()}
    every = math.ceil(axis.count / MOST_LISTED)
    return {axis.encode(value): cut(shown(value), LONGEST_NAME) for value in axis.listed[::every]}


def labelled(at: Mapping[float, str]) -> Plot:
    """Ticks at these places with these texts."""
    return {"tickvals": rounded(list(at)), "ticktext": list(at.values())}


def whole_numbers(reach: float) -> Plot:
    """The ticks of an axis of counts: left alone, a short one has some at fractions."""
    return {"dtick": 1} if reach <= 10 else {}


def titled(text: str, **more: Any) -> Plot:
    """An axis with a title."""
    return {"title": {"text": label_text(cut(text, LONGEST)), "standoff": 10}, "zeroline": False, **more}


def beyond(scale: Scale, noun: str = "trial") -> tuple[str, str]:
    """A note on what lies outside the scale and a hint how to see it, both empty where nothing does."""
    if not scale.beyond:
        return "", ""
    return f"Beyond the axis: {counted(scale.beyond, noun)}.", "A double click on the chart shows all."


def rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Numbers with five significant digits, which are more than a chart shows; what is not finite is a gap."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
