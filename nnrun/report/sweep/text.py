"""Values as a reader sees them."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

DIGITS = 4
"""Significant digits of every number shown."""


def shown(value: Any) -> str:
    """A value of a hyperparameter or metric, as on the command line; numbers with 4 significant digits."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.0f}" if 10**DIGITS <= abs(value) < 1e7 else f"{value:.{DIGITS}g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {shown(item)}' for name, item in value.items())}}}"
    return str(value)


def cut(text: str, most: int = 24) -> str:
    """The text, cut to at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def label_text(text: str) -> str:
    """Text as a chart's label, in which tags and entities mean something and two dollar signs enclose a formula."""
    return escape(text, quote=False).replace("$", "&#36;")


def duration(seconds: float) -> str:
    """Seconds in words: `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 trial`, `1,000 trials`."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def listed(numbers: Sequence[int], most: int = 20) -> str:
    """The first of the numbers, and how many there are beside them: `0, 3, 4 and 17 more`."""
    more = f" and {len(numbers) - most:,} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


def is_number(value: Any) -> bool:
    """Whether the value has a place on an axis of numbers: true and false have none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
