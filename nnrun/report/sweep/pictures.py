"""The charts as static pictures: what plotly makes of a chart in the browser, matplotlib makes of it here."""

import math
from collections.abc import Sequence
from html import unescape
from itertools import zip_longest
from textwrap import wrap
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnrun.report.palette import figure, label, whole_numbers
from nnrun.report.sweep import charts
from nnrun.report.sweep.plot import Chart, Plot
from nnrun.report.sweep.subject import Subject
from nnrun.report.sweep.surrogate import surrogate
from nnrun.report.sweep.text import cut

MOST_PANELS = 12
COLUMNS = 3
WIDTHS = {1: 7.0, 2: 9.0, 3: 10.8}
"""Inches of a picture of so many columns."""
PIXELS = 100
"""Pixels of a chart's height on the page that make an inch."""
POINTS_OF_A_PIXEL = 0.6
INCHES_OF_A_LETTER = 0.09
"""Width of a letter of a picture's title."""
LETTERS_OF_AN_INCH = 13
"""Of a panel's note, beside what the axis of the panel takes."""
LONGEST_TITLE = 80
COLOURS = {"@ink": "#333333", "@muted": "0.6"}
"""The page's named colours on white paper."""
SYMBOLS = {0: "o", "circle-open": "o", "diamond-open": "D", "x-thin-open": "x"}


def figures(subject: Subject) -> dict[str, Figure]:
    """The pictures that there is data for, by name."""
    if not subject.scored:
        return {}
    curves, losses = charts.learning_curves(subject), charts.losses(subject)
    drawn = {
        "best_value": [charts.best_value(subject)],
        "hyperparameters": charts.hyperparameters(subject)[:MOST_PANELS],
        "importance": [charts.shares(subject)] if subject.importance else [],
        "learning_curves": [curves] if curves else [],
        "surrogate": surrogate(subject),
        "train_and_val": losses,
    }
    # Four trials are often two settings of two keys.
    columns = {"surrogate": len(subject.axes), "train_and_val": 2 if len(losses) == 4 else COLUMNS}
    title = cut(subject.title, LONGEST_TITLE)
    return {name: _picture(title, panels, columns.get(name, COLUMNS)) for name, panels in drawn.items() if panels}


def _picture(title: str, panels: Sequence[Chart], most_columns: int) -> Figure:
    """A picture of charts that share the y axis with their row, with a legend of the names of their traces."""
    columns = min(most_columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = max(WIDTHS[columns], INCHES_OF_A_LETTER * len(title))
    heights = [chart.height for chart in panels[::columns]]
    picture = figure(width, 0.6 + sum(heights) / PIXELS)
    grid = picture.subplots(rows, columns, sharey="row", squeeze=False, height_ratios=heights)
    for axes, chart in zip_longest(grid.flat, panels):
        if chart is None:
            axes.set_axis_off()
        else:
            _draw(axes, chart, int(LETTERS_OF_AN_INCH * width / columns))
    # They share the axis, so its name stands on the left alone.
    for inner in grid[:, 1:].flat:
        inner.set_ylabel("")
    named: dict[str, Any] = {}
    for axes in picture.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    if named:
        picture.legend(named.values(), named, loc="outside right center", frameon=False, fontsize=8)
    picture.suptitle(_plain(title), fontsize=11)
    return picture


def _draw(axes: Axes, chart: Chart, letters: int) -> None:
    """Draws a chart, whose note is broken into lines of so many letters."""
    kinds = {"scatter": _scatter, "box": _boxes, "bar": _bars, "heatmap": _map}
    for trace in chart.traces:
        kinds[trace["type"]](axes, trace)
    x, y = chart.layout["xaxis"], chart.layout["yaxis"]
    label(axes, "", *(_plain(axis["title"]["text"]) if "title" in axis else "" for axis in (x, y)))
    axes.set_title("\n".join(wrap(_plain(chart.note), letters)), fontsize=8, color="0.4", loc="left")
    _scale(axes, "x", x)
    _scale(axes, "y", y)


def _scale(axes: Axes, name: Literal["x", "y"], axis: Plot) -> None:
    """Scale, ticks and limits of the x or y axis; the limits last, because a tick beyond them would widen them."""
    if axis.get("type") == "log":
        axes.set(**{f"{name}scale": "log"})
    if "tickvals" in axis:
        texts = [_plain(text) for text in axis.get("ticktext", [])]
        axes.set(**{f"{name}ticks": axis["tickvals"], f"{name}ticklabels": texts})
        axes.tick_params(name, which="minor", length=0, labelbottom=False, labelleft=False)
        if name == "x" and len("".join(texts)) > 30:
            axes.tick_params("x", rotation=30)
    elif axis.get("dtick") == 1:
        whole_numbers(axes)
    if "range" in axis:
        ends = np.asarray(axis["range"])
        axes.set(**{f"{name}lim": 10.0**ends if axis.get("type") == "log" else ends})
    axes.grid(axis.get("showgrid", True), axis=name)


def _scatter(axes: Axes, trace: Plot) -> None:
    line, marker = trace.get("line", {}), trace.get("marker", {})
    y = np.array(trace["y"], dtype=float)
    x = trace.get("x", trace.get("x0", 0) + trace.get("dx", 1) * np.arange(len(y)))
    symbol, colour = marker.get("symbol", 0), line.get("color") or marker["color"]
    if "fill" in trace:
        axes.fill(x, y, color=colour, alpha=trace["opacity"], linewidth=0, label=_plain(trace["name"]))
        return
    (drawn,) = axes.plot(
        x,
        y,
        label=_plain(trace["name"]) if trace.get("name") else None,
        color=COLOURS.get(colour, colour),
        alpha=trace.get("opacity", marker.get("opacity")),
        linestyle={"dot": ":"}.get(line.get("dash"), "-") if "lines" in trace["mode"] else "none",
        linewidth=line.get("width"),
        drawstyle="steps-post" if line.get("shape") == "hv" else "default",
        marker=SYMBOLS[symbol] if "markers" in trace["mode"] else None,
        markersize=POINTS_OF_A_PIXEL * marker.get("size", 0),
        markeredgecolor=marker.get("line", {}).get("color"),
        markeredgewidth=POINTS_OF_A_PIXEL * marker.get("line", {}).get("width", 0),
        markerfacecolor="none" if symbol else None,
    )
    if trace.get("yaxis") == "y2":
        # The page's second axis goes from 0 to 1: heights of the panel, whatever the objective.
        drawn.set_transform(axes.get_xaxis_transform())


def _boxes(axes: Axes, trace: Plot) -> None:
    names = {"q1": "q1", "med": "median", "q3": "q3", "whislo": "lowerfence", "whishi": "upperfence"}
    boxes = [{name: trace[key][i] for name, key in names.items()} for i in range(len(trace["x"]))]
    thin = {"color": COLOURS[trace["line"]["color"]], "linewidth": 0.8}
    look: dict[str, Any] = {f"{part}props": thin for part in ("box", "whisker", "cap", "median")}
    axes.bxp(boxes, trace["x"], widths=trace["width"], showfliers=False, manage_ticks=False, **look)


def _bars(axes: Axes, trace: Plot) -> None:
    drawn = axes.barh(trace["y"], trace["x"], color=trace["marker"]["color"], height=0.65)
    axes.bar_label(drawn, trace["text"], padding=4, fontsize=9)


def _map(axes: Axes, trace: Plot) -> None:
    colours = "viridis_r" if trace["reversescale"] else "viridis"
    ends, bar = {"vmin": trace["zmin"], "vmax": trace["zmax"]}, trace["colorbar"]
    drawn = axes.pcolormesh(trace["x"], trace["y"], np.array(trace["z"], float), cmap=colours, **ends)
    axes.figure.colorbar(drawn, ax=axes, ticks=bar["tickvals"], format=lambda at, place: bar["ticktext"][place])


def _plain(text: str) -> str:
    """The text that a label of the page shows, with nothing in it read as a formula."""
    return unescape(text).replace("$", r"\$")
