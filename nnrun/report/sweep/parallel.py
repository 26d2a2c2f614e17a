"""Parallel coordinates: a line per trial through all its values."""

from collections.abc import Sequence

import numpy as np

from nnrun.report.sweep.axis import Axis, objective_scale, ticks
from nnrun.report.sweep.plot import LONGEST, Chart, Plot, beyond, labelled, rounded, spread
from nnrun.report.sweep.subject import SweepRecord, objective
from nnrun.report.sweep.text import cut, label_text
from nnrun.search.trial import Trial

MOST_LINES = 500
LONGEST_NAME = 16
RANKS = [[0, "@faint"], [0.6, "@faint"], [1, "@accent"]]
"""Colours of lines from the worst rank to the best."""


def parallel(record: SweepRecord) -> Chart:
    """A line per trial through all its values, coloured by rank."""
    trials = spread(record.ranked, MOST_LINES)[::-1]
    scale = objective_scale(record.objectives, record.direction)
    places = scale.places([objective(trial) for trial in trials])
    last = {"label": _broken(record.metric), "values": rounded(places), "range": [scale.low, scale.high]}
    last |= labelled(ticks(scale.low, scale.high, scale.log))
    line = {"color": [*range(len(trials))], "cmin": -1, "cmax": len(trials) - 1, "colorscale": RANKS}
    dimensions = [*(_parallel_axis(axis, trials) for axis in record.axes), last]
    trace = {"type": "parcoords", "line": line, "dimensions": dimensions, "labelfont": {"size": 12}}
    return Chart([trace], {"margin": {"l": 70, "r": 70, "t": 70, "b": 24}}, 420, beyond(scale, "drawn at its end"))


def _parallel_axis(axis: Axis, trials: Sequence[Trial]) -> Plot:
    """Exponents of ten where logarithmic; below the values a place for trials that lack the key."""
    places = axis.places([trial.params for trial in trials])
    places = np.log10(places) if axis.log else places
    known = places[np.isfinite(places)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if axis.categories:
        low, high = 0.0, len(axis.categories) - 1.0
        names = [cut(name, LONGEST_NAME) for name in axis.categories]
        named = {float(place): name for place, name in enumerate(names)}
    else:
        named = ticks(low, high, axis.log, axis.whole)
    margin = (high - low) or 1.0
    low, high = (low - margin, high + margin) if low == high else (low, high)
    if known.size < len(places):
        low -= 0.15 * margin
        places = np.where(np.isnan(places), low, places)
        named = {low: "(none)", **named}
    return {"label": _broken(axis.key), "values": rounded(places), "range": [low, high], **labelled(named)}


def _broken(key: str) -> str:
    """A dotted key on lines of its own parts."""
    return label_text(cut(key, LONGEST)).replace(".", ".<br>").replace("/", "/<br>")
