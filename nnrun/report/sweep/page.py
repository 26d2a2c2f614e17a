"""A sweep as one HTML page, which opens from a file and asks nothing of the network."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from nnrun.report.palette import COLOURS
from nnrun.report.sweep import charts
from nnrun.report.sweep.importance import LEAST_TRIALS
from nnrun.report.sweep.parallel import MOST_LINES, parallel
from nnrun.report.sweep.plot import Chart
from nnrun.report.sweep.subject import SweepRecord, objective
from nnrun.report.sweep.tables import failures_table, trials_table
from nnrun.report.sweep.text import counted, cut, duration, label_text, shown
from nnrun.search.trial import Trial

HERE = Path(__file__).parent
LONGEST_LINE = 90
NOTHING = "No trial has completed with a finite objective."


def page(record: SweepRecord) -> str:
    """The whole page as HTML, with the charts' library inside (4.8 MB)."""
    from plotly.offline import get_plotlyjs

    drawn: dict[str, Chart] = {}
    sections = "".join(_sections(record, drawn))
    data = {
        "charts": {name: {"data": chart.traces, "layout": chart.layout} for name, chart in drawn.items()},
        "trials": {trial.number: _description(record, trial) for trial in record.trials} if drawn else {},
    }
    parts = {
        "title": escape(record.title),
        "command": escape(record.command),
        "summary": _summary(record),
        "best": _best(record),
        "sections": sections,
        "data": _json(data),
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
    }
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(parts)


def _sections(record: SweepRecord, drawn: dict[str, Chart]) -> Iterator[str]:
    """The page's sections; the charts in them are added to `drawn` by the id of their place."""

    def place(name: str, chart: Chart) -> str:
        drawn[name] = chart
        note = f'<p class="note">{chart.note}</p>' if chart.note else ""
        return f'<div class="chart" id="{name}" style="height:{chart.height}px"></div>{note}'

    some = bool(record.scored)
    yield _section(
        "best-value",
        "Best value over trials",
        "A point is a trial, the line the best so far, the ring the best of all, a cross below a failed trial.",
        _legend(record) + place("chart-best", charts.best_value(record)) if some else _empty(NOTHING),
    )
    yield _section(
        "parallel-coordinates",
        "Parallel coordinates",
        _parallel_lead(record),
        _wide(place("chart-parallel", parallel(record)), record) if some else _empty(NOTHING),
    )
    yield _section("importance", "Importance of the hyperparameters", *_importance(record, place))
    yield _section(
        "hyperparameters",
        "Objective against each hyperparameter",
        "Boxes reach from the first to the third quartile. The ring is the best trial.",
        _legend(record) + _panels(record, place) if some else _empty(NOTHING),
    )
    yield _section("learning-curves", "Learning curves", *_curves(record, place))
    yield _section(
        "trials",
        "Trials",
        f"{counted(len(record.trials), 'trial')}. A click on a column's name sorts by it; failed trials stay last.",
        f'<div class="scroll">{trials_table(record)}</div>' if record.trials else _empty("There are no trials yet."),
    )
    yield _section(
        "failures",
        "Failures",
        f"{counted(len(record.failed), 'trial')} failed. Reasons that differ in numbers only are shown once.",
        f'<div class="scroll">{failures_table(record)}</div>' if record.failed else _empty("No trial has failed."),
    )


def _section(name: str, title: str, lead: str, body: str) -> str:
    lead = f'<p class="lead">{lead}</p>' if lead and 'class="empty"' not in body else ""
    return f'<section id="{name}"><h2>{title}</h2>{lead}{body}</section>'


def _empty(text: str) -> str:
    return f'<p class="empty">{text}</p>'


def _parallel_lead(record: SweepRecord) -> str:
    lead = "A line is a trial, the bluer the better its rank. Drag along an axis to keep the lines that pass there; "
    lead += "a click beside the marked part lets all back."
    if len(record.scored) > MOST_LINES:
        lead += f" {MOST_LINES} of {len(record.scored):,} trials are drawn: the best and an even choice of ranks."
    return lead


def _importance(record: SweepRecord, place: Any) -> tuple[str, str]:
    found = record.importance
    if found is None:
        need = f"This needs at least {LEAST_TRIALS} completed trials whose objectives differ"
        return "", _empty(f"{need}; there are {len(record.scored)} completed.")
    lead = (
        "Share of the variance of the objective’s ranks that a hyperparameter explains alone, whatever the others are: "
        "main effects of a functional analysis of variance on a random forest (Hutter, Hoos and Leyton-Brown, "
        "<em>An Efficient Approach for Assessing Hyperparameter Importance</em>, 2014), over the values tried; "
        "grey is what only several explain together. "
    )
    doubt = " <strong>That is little: do not trust the bars.</strong>" if found.is_doubtful else ""
    lead += (
        f"The forest of {counted(len(record.scored), 'trial')} explains {max(0.0, found.explained):.0%} of the "
        f"variance among trials it has not seen.{doubt}"
    )
    return lead, place("chart-importance", charts.shares(record))


def _panels(record: SweepRecord, place: Any) -> str:
    panels = [place(f"chart-key-{i}", chart) for i, chart in enumerate(charts.hyperparameters(record).values())]
    return '<div class="panels">' + "".join(f"<div>{panel}</div>" for panel in panels) + "</div>"


def _curves(record: SweepRecord, place: Any) -> tuple[str, str]:
    chart = charts.learning_curves(record)
    if chart is None:
        return "", _empty("No learning curves are recorded.")
    thick = "thick" if record.hue else "thick orange"
    lead = f"{escape(record.metric)} over the epochs; the {thick} line is the best trial"
    lead += ", dotted lines are trials that did not complete." if _has_dotted(chart) else "."
    if not record.hue:
        lead += " The bluer another line, the better its trial’s rank."
    drawn = len(chart.traces)
    known = sum(bool(record.curves.get(trial.number)) for trial in record.trials)
    if drawn < known:
        lead += f" {drawn} of {known:,} curves are drawn: the best, the worst and an even choice of ranks."
    return lead, _legend(record) + place("chart-curves", chart)


def _has_dotted(chart: Chart) -> bool:
    return any(trace["line"].get("dash") for trace in chart.traces)


def _wide(chart: str, record: SweepRecord) -> str:
    return f'<div class="scroll-x"><div style="min-width:{110 * (len(record.axes) + 1)}px">{chart}</div></div>'


def _legend(record: SweepRecord) -> str:
    if record.hue is None:
        return ""
    key, choices = record.hue
    swatches = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(choices, COLOURS, strict=False)
    )
    return f'<p class="legend">{escape(key)} {swatches}</p>'


def _summary(record: SweepRecord) -> str:
    states = [trial.state for trial in record.trials]
    other = {state: states.count(state) for state in ("failed", "pruned", "running", "waiting")}
    seconds = sum(trial.seconds or 0.0 for trial in record.trials)
    wanted = "largest" if record.direction == "maximize" else "smallest"
    value = shown(objective(record.ranked[0])) if record.ranked else "–"
    facts = {
        f"{wanted} {record.metric}" + (f", trial {record.ranked[0].number}" if record.ranked else ""): value,
        "trials completed": f"{states.count('completed'):,} of {len(states):,}",
        **{state: f"{count:,}" for state, count in other.items() if count},
        "of training in all": duration(seconds) if seconds else "–",
    }
    return "".join(f"<div><dd>{escape(fact)}</dd><dt>{escape(name)}</dt></div>" for name, fact in facts.items())


def _best(record: SweepRecord) -> str:
    if not record.best_command:
        return ""
    code = f'<code id="best">{escape(record.best_command)}</code><button id="copy" type="button">Copy</button>'
    return f'<h3>The best trial’s command</h3><div class="command best">{code}</div>'


def _description(record: SweepRecord, trial: Trial) -> str:
    """Lines under the pointer, in the few tags that the charts understand."""
    value = f"{record.metric} {shown(trial.objective)}" if trial.objective is not None else trial.state
    settings = [f"{key}={shown(item)}" for key, item in trial.params.items()]
    reason = [trial.error.splitlines()[0]] if trial.error else []
    lines = [cut(line, LONGEST_LINE) for line in [value, *settings, *reason]]
    return "<br>".join([f"<b>trial {trial.number}</b>", *map(label_text, lines)])


def _json(data: Any) -> str:
    """JSON that no text in it can end the script element of."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
