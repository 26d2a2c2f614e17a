"""The sweep's static pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnrun.report.palette import COLOURS, figure, label, whole_numbers
from nnrun.report.sweep import plot
from nnrun.report.sweep.axis import Axis, Scale, objective_scale
from nnrun.report.sweep.importance import Importance
from nnrun.report.sweep.subject import SweepRecord, objective
from nnrun.report.sweep.text import cut
from nnrun.search.trial import Trial

MOST_PANELS = 12
COLUMNS = 3
LONGEST = 36
LONGEST_NAME = 13
"""Characters of a key, and of a category's name."""
LONGEST_TITLE = 80
INCHES_OF_A_LETTER = 0.09
"""Of a picture's title."""


def figures(record: SweepRecord) -> dict[str, Figure]:
    """Best value over trials, the objective against each hyperparameter, importance: those that have data."""
    if not record.scored:
        return {}
    scale = objective_scale(record.objectives, record.direction)
    pictures = {"best_value": _best_value(record, scale)}
    if record.axes:
        pictures["hyperparameters"] = _hyperparameters(record, scale)
    if record.importance:
        pictures["importance"] = _importance(record.importance)
    for picture in pictures.values():
        picture.suptitle(_plain(record.title, LONGEST_TITLE), fontsize=11)
    return pictures


def _best_value(record: SweepRecord, scale: Scale) -> Figure:
    picture = figure()
    axes, numbers = picture.subplots(), [trial.number for trial in record.scored]
    best = np.maximum.accumulate if record.direction == "maximize" else np.minimum.accumulate
    _scatter(axes, record, record.scored, numbers)
    axes.step(numbers, best(record.objectives), where="post", color="#333333", linewidth=1.8, label="best so far")
    failed = [trial.number for trial in record.failed]
    if failed:
        at = [0.02] * len(failed)
        place = axes.get_xaxis_transform()
        axes.plot(failed, at, "x", color=COLOURS[1], ms=6, mew=1.8, transform=place, label="failed", clip_on=False)
    _limit(axes, scale)
    label(axes, "best value over trials", "trial", _plain(record.metric))
    whole_numbers(axes)
    axes.legend(frameon=False, fontsize=8)
    _name_choices(picture, record)
    return picture


def _hyperparameters(record: SweepRecord, scale: Scale) -> Figure:
    order = list(record.importance.shares) if record.importance else [axis.key for axis in record.axes]
    chosen = sorted(record.axes, key=lambda axis: order.index(axis.key))[:MOST_PANELS]
    columns = min(COLUMNS, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    title = INCHES_OF_A_LETTER * len(cut(record.title, LONGEST_TITLE))
    picture = figure(width=max(3.6 * columns, title), height=0.6 + 2.7 * rows)
    panels = picture.subplots(rows, columns, sharey=True, squeeze=False).flat
    for axis in chosen:
        _panel(next(panels), record, axis, scale)
    for empty in panels:
        empty.set_axis_off()
    for inner in (axes for i, axes in enumerate(picture.axes) if i % columns):
        inner.set_ylabel("")
    _name_choices(picture, record)
    return picture


def _name_choices(picture: Figure, record: SweepRecord) -> None:
    """A legend beside the panels of the choices that give points their colours."""
    if record.hue is None:
        return
    key, choices = record.hue
    dots = [Line2D([], [], color=colour, marker="o", ms=5, ls="") for colour in COLOURS[: len(choices)]]
    names, title = [_plain(name, LONGEST_NAME) for name in choices], _plain(key, LONGEST_NAME)
    picture.legend(dots, names, title=title, loc="outside right center", frameon=False, fontsize=8, title_fontsize=8)


def _panel(axes: Axes, record: SweepRecord, axis: Axis, scale: Scale) -> None:
    trials = [trial for trial in record.scored if not math.isnan(axis.place(trial.params))]
    places = axis.places([trial.params for trial in trials])
    label(axes, "", _plain(axis.key), _plain(record.metric))
    if axis.categories and trials:
        _boxes(axes, axis, trials, places)
        places = places + plot.jitter(trials)
    elif axis.log:
        axes.set_xscale("log")
    elif axis.whole:
        whole_numbers(axes)
    _scatter(axes, record, trials, places)
    _limit(axes, scale)


def _boxes(axes: Axes, axis: Axis, trials: Sequence[Trial], places: np.ndarray) -> None:
    groups = {i: [objective(t) for t, at in zip(trials, places, strict=True) if at == i] for i in set(places.tolist())}
    thin: dict[str, Any] = {"color": "0.6", "linewidth": 0.8}
    axes.boxplot(
        list(groups.values()),
        positions=list(groups),
        widths=0.7,
        showfliers=False,
        boxprops=thin,
        whiskerprops=thin,
        capprops=thin,
        medianprops=thin,
    )
    names = [_plain(name, LONGEST_NAME) for name in axis.categories]
    axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 4 else 0, fontsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _importance(found: Importance) -> Figure:
    shares = found.shares
    bars = {_plain(key): share for key, share in shares.items()}
    bars["several together"] = max(0.0, 1 - sum(shares.values()))
    picture = figure(height=1.1 + 0.32 * len(bars))
    axes = picture.subplots()
    drawn = axes.barh(list(bars), list(bars.values()), color=[COLOURS[0]] * len(shares) + ["0.75"], height=0.65)
    axes.bar_label(drawn, [f"{share:.1%}" for share in bars.values()], padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    doubt = f"the forest explains {max(0.0, found.explained):.0%} of unseen trials: do not trust the bars"
    label(axes, "share of the variance explained alone", doubt if found.is_doubtful else "", "")
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    return picture


def _scatter(axes: Axes, record: SweepRecord, trials: Sequence[Trial], x: Sequence[float] | np.ndarray) -> None:
    colours = [plot.hue_of(record, trial) or COLOURS[0] for trial in trials]
    size = 16 if len(trials) < 300 else 6
    axes.scatter(x, [objective(t) for t in trials], s=size, c=colours, alpha=0.7, linewidths=0)


def _limit(axes: Axes, scale: Scale) -> None:
    if scale.log:
        axes.set_yscale("log")
    low, high = (10.0**scale.low, 10.0**scale.high) if scale.log else (scale.low, scale.high)
    axes.set_ylim(low, high)


def _plain(text: str, most: int = LONGEST) -> str:
    """Of bounded length, and not read as a formula."""
    return cut(text, most).replace("$", r"\$")
