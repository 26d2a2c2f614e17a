"""The page's tables, as HTML in which every text of the user is escaped."""

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from nnrun.report.sweep.subject import Subject
from nnrun.report.sweep.text import counted, is_number, listed, shown
from nnrun.search.trial import Trial

LAST_STATES = ("pruned", "running", "waiting", "failed")
"""States of the trials below the completed ones, in this order."""
WIDEST = 28
"""Characters of a cell; longer texts are cut, and whole under the pointer."""
MOST_REASONS = 50


def trials_table(subject: Subject) -> str:
    """All trials, the best first; closing tags that HTML lets one omit are omitted."""
    others = sorted({name for trial in subject.trials for name in trial.metrics} - {subject.metric})
    compared = any(trial.part for trial in subject.trials)
    part = ["strategy"] if compared else []
    # Over folds and repeats, of which the objective is the mean.
    std = [f"{subject.metric} std"] if any(subject.metric in trial.spread for trial in subject.trials) else []
    heads = ["trial", "state", *part, subject.metric, *std, *subject.space, *others, "seconds"]
    rows = [
        [
            trial.number,
            trial.state,
            *([trial.part or ""] if compared else []),
            "" if trial.objective is None else trial.objective,
            *([trial.spread.get(subject.metric, "")] if std else []),
            *_values(trial, [*subject.space], others),
        ]
        for trial in _in_order(subject)
    ]
    numeric = [all(value == "" or is_number(value) for value in column) for column in zip(*rows, strict=True)]
    buttons = "".join(
        f"<th scope=col{' class=n' * right}><button>{escape(head)}</button>"
        for head, right in zip(heads, numeric, strict=True)
    )
    body = "".join(_row(row) for row in rows)
    return f'<div class="scroll"><table id="all-trials"><thead><tr>{buttons}<tbody>{body}</table></div>'


def failures_table(subject: Subject) -> str:
    """Reasons of failures, the most frequent first; texts that differ in numbers only are one reason."""
    reasons: dict[str, list[Trial]] = {}
    for trial in subject.failed:
        reasons.setdefault(re.sub(r"\d+", "0", trial.error or "no reason recorded"), []).append(trial)
    groups = sorted(reasons.values(), key=len, reverse=True)
    rows = "".join(_reason(group) for group in groups[:MOST_REASONS])
    more = f"<p>{counted(len(groups) - MOST_REASONS, 'further reason')}.</p>" if len(groups) > MOST_REASONS else ""
    head = "<table><thead><tr><th>trials<th>reason<th>numbers<tbody>"
    return f'<div class="scroll">{head}{rows}</table>{more}</div>'


def _reason(group: Sequence[Trial]) -> str:
    error = (group[0].error or "no reason recorded").strip()
    first, _, rest = error.partition("\n")
    body = f"<details><summary>{escape(first)}</summary><pre>{escape(rest)}</pre></details>" if rest else escape(first)
    typed = " ".join(f"{key}={shown(value)}" for key, value in group[0].params.items())
    example = f'<p class="note">trial {group[0].number}: {escape(typed)}</p>'
    numbers = listed([trial.number for trial in group])
    return f'<tr><td class=n>{len(group):,}<td class="reason">{body}{example}<td class="numbers">{numbers}'


def _in_order(subject: Subject) -> list[Trial]:
    """The scored trials by rank, then the others by state and number."""
    scored = {trial.number for trial in subject.ranked}
    others = [trial for trial in subject.trials if trial.number not in scored]
    order = {state: place for place, state in enumerate(LAST_STATES)}
    return [*subject.ranked, *sorted(others, key=lambda trial: (order.get(trial.state, 0), trial.number))]


def _values(trial: Trial, keys: Sequence[str], metrics: Sequence[str]) -> Iterator[Any]:
    """The cells of a row behind the objective; empty where the trial has no such value."""
    yield from (trial.params.get(key, "") for key in keys)
    yield from ("" if trial.metrics.get(name) is None else trial.metrics[name] for name in metrics)
    yield "" if trial.seconds is None else trial.seconds


def _row(values: Sequence[Any]) -> str:
    failed = ' class="failed"' if values[1] == "failed" else ""
    return f"<tr{failed}>" + "".join(map(_cell, values))


def _cell(value: Any) -> str:
    text = shown(value)
    # The page sorts by data-v, and by the text where that is exact already.
    if is_number(value):
        exact = json.dumps(value)
        return f"<td class=n>{text}" if exact == text else f'<td class=n data-v="{exact}">{text}'
    whole = f' title="{escape(text)}"' if len(text) > WIDEST else ""
    return f"<td{whole}>{escape(text)}"
