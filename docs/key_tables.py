"""Tables of every key, as Markdown: read off the config classes beside the code, so that they cannot grow old."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

from nnrun import schema
from nnrun.config import choices
from nnrun.config.run_config import (
    AugmentationConfig,
    EarlyStoppingConfig,
    ObjectiveConfig,
    ReportConfig,
    TrainingConfig,
)
from nnrun.execution.settings import ExecutionConfig

GROUPS_OF_ONE_CLASS: dict[str, type] = {
    "training": TrainingConfig,
    "training.early_stopping": EarlyStoppingConfig,
    "objective": ObjectiveConfig,
    "augmentation": AugmentationConfig,
    "report": ReportConfig,
    "execution": ExecutionConfig,
}
"""Groups whose choices are values for one and the same class."""


def inserted(page: str) -> str:
    """The page with tables in the place of every `<!-- keys: GROUP -->`."""
    return re.sub(r"<!-- keys: ([\w.]+) -->", lambda match: group_section(match[1]), page)


def group_section(group: str) -> str:
    """The tables of a config group: one for its class, or one for every choice."""
    if group in GROUPS_OF_ONE_CLASS:
        return table(group, GROUPS_OF_ONE_CLASS[group])
    targets = {name: choices.load_choice(group, name)["_target_"] for name in choices.choices(group)}
    return "\n".join(member_section(group, name, target) for name, target in targets.items() if target)


def member_section(group: str, name: str, target: str) -> str:
    """A heading, the docstring of what `group=name` builds, and its keys."""
    words = escaped(inspect.getdoc(schema.locate(target)) or "")
    return f"## {group}={name}\n\n{words}\n\n{table(group, schema.config_class(target))}"


def table(group: str, config: type) -> str:
    """A row for every key of a config class."""
    shown = list(rows(group, config))
    if not shown:
        return "It has no keys.\n"
    head = ["| key | default | takes | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *("| " + " | ".join(row) + " |" for row in shown), ""])


def rows(group: str, config: type) -> Iterator[tuple[str, str, str, str]]:
    """Key, default, type with bounds, and meaning; keys that hold further keys have a table of their own."""
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        bounds = [f"{sign} {field.metadata[b]}" for b, (sign, _) in schema.BOUNDS.items() if b in field.metadata]
        takes = escaped(", ".join([schema.describe(hints[field.name]), *bounds]))
        yield f"`{group}.{schema.key_of(field)}`", code(default(field)), takes, escaped(field.metadata.get("help", ""))


def default(field: dataclasses.Field) -> Any:
    """The value of a key that nobody sets, as it is typed."""
    return "{}" if field.default is dataclasses.MISSING else schema.show(field.default)


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


def escaped(text: str) -> str:
    """Text that means nothing to Markdown outside of its backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<>|$\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts).replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
