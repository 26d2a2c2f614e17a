"""What charts are made of, as plotly's traces and axes in plain dicts.

`@ink` and the like name a colour of the page's style. A trace's `customdata` (a list) or `meta` (one) are numbers of
trials: the page's script adds their descriptions, which it holds once.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnrun.report.palette import COLOURS
from nnrun.report.sweep.axis import Axis, Scale, ticks
from nnrun.report.sweep.subject import SweepRecord
from nnrun.report.sweep.text import counted, cut, label_text, shown
from nnrun.search.trial import Trial

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


def points(
    trials: Sequence[Trial], y: Sequence[float], colour: str, x: Sequence[float] | None = None, **more: Any
) -> Plot:
    """One for each trial, at its number unless `x` says otherwise."""
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


def line(x: Sequence[float] | None, y: Sequence[Any], colour: str, width: float, **more: Any) -> Plot:
    """A line through (x, y)."""
    look = {"color": colour, "width": width} | {key: more.pop(key) for key in ("shape", "dash") if key in more}
    trace = {"type": "scatter", "mode": "lines", "y": list(y), "line": look, **more}
    return trace if x is None else trace | {"x": list(x)}


def objective_axis(record: SweepRecord, scale: Scale) -> Plot:
    """The axis of the objective, within the scale."""
    axis = titled(
        label_text(cut(record.metric, LONGEST)), range=[scale.low, scale.high], zeroline=False, automargin=True
    )
    if not scale.log:
        return axis
    # A double click shows what lies beyond, and that needs ticks too.
    further = ticks(scale.high, scale.worst, log=True) if scale.beyond else {}
    return axis | {"type": "log", **powers(ticks(scale.low, scale.high, log=True) | further)}


def logarithmic(axis: Axis, trials: Sequence[Trial]) -> Plot:
    """A logarithmic axis around the trials' values."""
    found = np.log10(axis.places([trial.params for trial in trials]))
    margin = 0.06 * float(np.ptp(found)) or 0.5
    low, high = float(found.min()) - margin, float(found.max()) + margin
    return {"type": "log", "range": [low, high], **powers(ticks(low, high, log=True))}


def powers(at: Mapping[float, str]) -> Plot:
    """Ticks at these exponents of ten; the chart places them by value."""
    return labelled({10.0**exponent: text for exponent, text in at.items()})


def labelled(at: Mapping[float, str]) -> Plot:
    """Ticks at these places with these texts."""
    return {"tickvals": rounded(list(at)), "ticktext": list(at.values())}


def whole_numbers(reach: float) -> Plot:
    """Of an axis of counts from 0: left alone, a short one has ticks at fractions."""
    return {"dtick": 1} if reach <= 10 else {}


def titled(text: str, **more: Any) -> Plot:
    """An axis with a title."""
    return {"title": {"text": text, "standoff": 10}, **more}


def beyond(scale: Scale, fate: str = "a double click on the chart shows all", noun: str = "trial") -> str:
    """A sentence on what lies outside the scale, empty where nothing does."""
    return f"Beyond the axis: {counted(scale.beyond, noun)}; {fate}." if scale.beyond else ""


def rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Five significant digits are more than a chart shows; what is not finite is a gap."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
