"""A sweep as one HTML page, which opens from a file and asks nothing of the network."""

import json
from html import escape
from pathlib import Path
from string import Template

from nnrun.report.palette import COLOURS
from nnrun.report.sweep import charts
from nnrun.report.sweep.importance import LEAST_TRIALS
from nnrun.report.sweep.plot import Chart
from nnrun.report.sweep.subject import Subject, objective
from nnrun.report.sweep.surrogate import surrogate
from nnrun.report.sweep.tables import failures_table, trials_table
from nnrun.report.sweep.text import counted, cut, duration, label_text, shown
from nnrun.search.trial import Trial

HERE = Path(__file__).parent
LONGEST_LINE = 90
FURTHER = {
    "surrogate": (
        "Surrogate and acquisition",
        "What the search expects of the objective, and how much a trial would promise there, given all trials that "
        "have ended: the brighter on a map, the better. What is far worse than the rest counts as bad, whatever it is. "
        "The dotted line or the diamond is the trial that would be next.",
    ),
    "losses": (
        "Training beside validation",
        "The loss on both parts over the epochs, and the gap between them after the last one. Where it widens, a "
        "network learns its training part by heart.",
    ),
}
"""Title and lead of the sections that only some sweeps have, by the name of their charts."""
NOTHING = "No trial has completed with a finite objective."


def page(subject: Subject) -> str:
    """The whole page as HTML, with the charts' library inside (4.8 MB)."""
    from plotly.offline import get_plotlyjs

    drawn = _charts(subject)
    data = {
        "charts": {name: {"data": chart.traces, "layout": chart.layout} for name, chart in drawn.items()},
        "trials": {trial.number: _description(subject, trial) for trial in subject.trials} if drawn else {},
    }
    code = f'<code id="best">{escape(subject.best_command)}</code><button id="copy" type="button">Copy</button>'
    best = f'<h3>The best trial’s command</h3><div class="command best">{code}</div>'
    chosen = f"{charts.MOST_LINES} of {len(subject.scored):,} trials"
    parallel = f" {chosen} are drawn: the best and an even choice of ranks."
    parts = {
        "title": escape(subject.title),
        "command": escape(subject.command),
        "summary": _summary(subject),
        "notes": "".join(f'<p class="lead">Note: {escape(note)}</p>' for note in subject.notes),
        "best": best if subject.best_command else "",
        **_bodies(subject, drawn),
        **_further(drawn),
        "lines": parallel if len(subject.scored) > charts.MOST_LINES else "",
        "curves": _curves(subject, drawn["chart-curves"]) if "chart-curves" in drawn else "",
        "trials": counted(len(subject.trials), "trial"),
        "failed": counted(len(subject.failed), "trial"),
        # Nothing in a text of the user's may end the script element that this stands in.
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "script": (HERE / "page.js").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
    }
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(parts)


def _charts(subject: Subject) -> dict[str, Chart]:
    """The charts that have data, by the id of their place."""
    drawn = {}
    if subject.scored:
        drawn = {"best": charts.best_value(subject), "parallel": charts.parallel(subject)}
        drawn |= {f"key-{i}": panel for i, panel in enumerate(charts.hyperparameters(subject))}
        drawn |= {f"surrogate-{i}": panel for i, panel in enumerate(surrogate(subject))}
        drawn |= {f"losses-{i}": panel for i, panel in enumerate(charts.losses(subject))}
    if subject.importance:
        drawn["importance"] = charts.shares(subject)
    if curves := charts.learning_curves(subject):
        drawn["curves"] = curves
    return {f"chart-{name}": chart for name, chart in drawn.items()}


def _bodies(subject: Subject, drawn: dict[str, Chart]) -> dict[str, str]:
    """What stands in each section under its lead; page.css hides a lead above a sentence that there is nothing."""
    places = {name.removeprefix("chart-"): _place(name, chart) for name, chart in drawn.items()}
    panels = "".join(f"<div>{panel}</div>" for name, panel in places.items() if name.startswith("key-"))
    best, parallel, importance, curves = (places.get(name, "") for name in ("best", "parallel", "importance", "curves"))
    legend, width = _legend(subject), 110 * (len(subject.axes) + 1)
    wide = f'<div class="scroll-x"><div style="min-width:{width}px">{parallel}</div></div>'
    few = f"This needs at least {LEAST_TRIALS} completed trials whose objectives differ"
    return {
        "best_value_body": _or(best and legend + best, NOTHING),
        "parallel_body": _or(parallel and wide, NOTHING),
        "importance_body": _or(importance, f"{few}; there are {len(subject.scored)} completed."),
        "panels_body": _or(best and f'{legend}<div class="panels">{panels}</div>', NOTHING),
        "curves_body": _or(curves and legend + curves, "No learning curves are recorded."),
        "trials_body": _or(trials_table(subject) if subject.trials else "", "There are no trials yet."),
        "failures_body": _or(failures_table(subject) if subject.failed else "", "No trial has failed."),
    }


def _further(drawn: dict[str, Chart]) -> dict[str, str]:
    """Sections that only some sweeps have, and their places in the row of links."""
    links, sections = "", ""
    for name, (title, lead) in FURTHER.items():
        charts = [_place(id, chart) for id, chart in drawn.items() if id.startswith(f"chart-{name}-")]
        if charts:
            links += f'<a href="#{name}">{title}</a> '
            body = "".join(f"<div>{chart}</div>" for chart in charts)
            sections += f'<section id="{name}"><h2>{title}</h2>\n<p class="lead">{lead}</p>\n'
            sections += f'<div class="panels">{body}</div></section>\n'
    return {"links": links, "further": sections}


def _or(body: str, nothing: str) -> str:
    """The body, or a sentence in its place."""
    return body or f'<p class="empty">{nothing}</p>'


def _place(name: str, chart: Chart) -> str:
    note = f'<p class="note">{chart.note} {chart.hint}</p>' if chart.note else ""
    return f'<div class="chart" id="{name}" style="height:{chart.height}px"></div>{note}'


def _curves(subject: Subject, chart: Chart) -> str:
    """What the lines of the learning curves are."""
    thick = "thick" if subject.hue else "thick orange"
    lead = f"{escape(subject.metric)} over the epochs; the {thick} line is the best trial"
    is_dotted = any("dash" in trace["line"] for trace in chart.traces)
    lead += ", dotted lines are trials that did not complete." if is_dotted else "."
    if not subject.hue:
        lead += " The bluer another line, the better its trial’s rank."
    drawn = len(chart.traces)
    known = sum(bool(subject.curves.get(trial.number)) for trial in subject.trials)
    if drawn < known:
        lead += f" {drawn} of {known:,} curves are drawn: the best, the worst and an even choice of ranks."
    return lead


def _legend(subject: Subject) -> str:
    if subject.hue is None:
        return ""
    key, choices = subject.hue
    swatches = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(choices, COLOURS, strict=False)
    )
    return f'<p class="legend">{escape(key)} {swatches}</p>'


def _summary(subject: Subject) -> str:
    states = [trial.state for trial in subject.trials]
    other = {state: states.count(state) for state in ("failed", "pruned", "running", "waiting")}
    seconds = sum(trial.seconds or 0.0 for trial in subject.trials)
    wanted = "largest" if subject.direction == "maximize" else "smallest"
    value = shown(objective(subject.ranked[0])) if subject.ranked else "–"
    facts = {
        f"{wanted} {subject.metric}" + (f", trial {subject.ranked[0].number}" if subject.ranked else ""): value,
        "trials completed": f"{states.count('completed'):,} of {len(states):,}",
        **{state: f"{count:,}" for state, count in other.items() if count},
        "of training in all": duration(seconds) if seconds else "–",
    }
    return "".join(f"<div><dd>{escape(fact)}</dd><dt>{escape(name)}</dt></div>" for name, fact in facts.items())


def _description(subject: Subject, trial: Trial) -> str:
    """Lines under the pointer, in the few tags that the charts understand."""
    value = f"{subject.metric} {shown(trial.objective)}" if trial.objective is not None else trial.state
    settings = [f"{key}={shown(item)}" for key, item in trial.params.items()]
    reason = [trial.error.splitlines()[0]] if trial.error else []
    part = [trial.part] if trial.part else []
    lines = [cut(line, LONGEST_LINE) for line in [*part, value, *settings, *reason]]
    return "<br>".join([f"<b>trial {trial.number}</b>", *map(label_text, lines)])
