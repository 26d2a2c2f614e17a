"""`nnrun list` and `nnrun KEY=NAME --help`: what there is to choose from, and what the keys of a choice mean."""

import ast
import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import yaml

from nnrun import schema
from nnrun.commands import usage
from nnrun.config import choices
from nnrun.config.run_config import AugmentationConfig, ObjectiveConfig, ReportConfig, TrainingConfig
from nnrun.errors import ConfigError
from nnrun.execution.settings import ExecutionConfig
from nnrun.host import terminal
from nnrun.schema import nearest

CONFIGS = {
    "training": TrainingConfig,
    "augmentation": AugmentationConfig,
    "execution": ExecutionConfig,
    "objective": ObjectiveConfig,
    "report": ReportConfig,
}
"""Groups of keys without a `_target_` that names what has them."""
LONGEST = 80
"""Characters of what a list says of a choice."""


def list_choices(words: list[str]) -> int:
    """`nnrun list [GROUP]`: the choices of one config group, or of all, a line for each."""
    wanted = usage.parse(list_choices, words).arguments[0]
    plural = {f"{group}s": group for group in choices.groups()}
    if wanted and wanted not in plural and wanted not in plural.values():
        raise ConfigError(f"There is no list of {wanted}. {nearest(wanted, plural)}")
    for group in [plural.get(wanted, wanted)] if wanted else plural.values():
        _list(group)
    return 0


def _list(group: str) -> None:
    found = choices.choices(group)
    width = max(map(len, found), default=0)
    terminal.say(group)
    for name, path in found.items():
        terminal.say(f"  {name:<{width}}  {_meaning(path)}".rstrip())


def _meaning(path: Path) -> str:
    """What a choice is, by the first words of its file or its code, which is read and not run."""
    text = path.read_text(encoding="utf-8")
    said = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#") and "@package" not in line]
    if target := re.search(r"^_target_: *([\w.]+)\.(\w+) *$", text, re.MULTILINE):
        source = choices.package().joinpath(*target[1].split(".")).with_suffix(".py")
        if not target[1].startswith("nnrun."):
            source = path.parents[2].joinpath(*target[1].split(".")).with_suffix(".py")
        said = [_documented(source, target[2]), *said]
    first = re.split(r"[.:](?:\s|$)", next(filter(None, said), ""))[0]
    return first if len(first) <= LONGEST else f"{first[: LONGEST - 1]}…"


def _documented(source: Path, name: str) -> str:
    try:
        body = ast.parse(source.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return ""
    nodes = (node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name)
    return next((ast.get_docstring(node) or "" for node in nodes), "")


def is_group(word: str) -> bool:
    """Whether a word names a group of keys, whose keys can be explained."""
    return word in choices.groups() or word in CONFIGS


def explain_choices(words: list[str]) -> int:
    """`nnrun model=lstm training --help`: the keys of choices and groups, with type, default and meaning."""
    for word in words:
        key, is_chosen, name = word.partition("=")
        group = key.partition(".")[0]
        if not is_group(group):
            continue
        # A bare group, or one of its keys: what there is to choose from, and the keys that it has whatever is chosen.
        if not is_chosen or key != group:
            if group in choices.groups():
                _list(group)
            name = _default(group) if group in CONFIGS else ""
        if name or group in CONFIGS:
            _explain(group, name)
    return 0


def _explain(group: str, name: str) -> None:
    found = choices.choices(group)
    if group in choices.groups() and name not in found:
        raise ConfigError(f"There is no {group}={name}. {nearest(name, found)}")
    content = choices.load_choice(group, name) if name in found else {}
    if target := content.get("_target_"):
        member = schema.locate(target)
        terminal.say(f"{group}={name}\n\n{inspect.getdoc(member) or ''}\n")
        _explain_keys(group, schema.config_class(target))
    elif group in CONFIGS:
        terminal.say(f"{group}={name}" if name else group)
        _explain_keys(group, CONFIGS[group], content)
    else:
        terminal.say(found[name].read_text(encoding="utf-8").rstrip())
        for key, values in content.items():
            if group == "debug" and isinstance(values, dict):
                _explain_keys(key, _config_of(key), values, set(values))


def _config_of(group: str) -> type:
    return CONFIGS.get(group) or schema.config_class(choices.load_choice(group, _default(group))["_target_"])


def _default(group: str) -> str:
    """The choice of a group that a bare command trains with."""
    defaults = yaml.safe_load((choices.conf_folder() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return next((entry[group] for entry in defaults if isinstance(entry, dict) and entry.get(group)), "")


def _explain_keys(
    group: str, config: type, values: dict[str, Any] | None = None, wanted: set[str] | None = None
) -> None:
    """Keys with type, bounds and meaning; with the `values` of a choice, else their defaults."""
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        key = schema.key_of(field)
        if wanted is not None and key not in wanted:
            continue
        default = {} if field.default is dataclasses.MISSING else field.default
        value = (values or {}).get(key, default)
        if dataclasses.is_dataclass(default):
            _explain_keys(f"{group}.{field.name}", type(default), value if isinstance(value, dict) else None)
            continue
        bounds = [f"{sign} {field.metadata[b]}" for b, (sign, _) in schema.BOUNDS.items() if b in field.metadata]
        kind = ", ".join([schema.describe(hints[field.name]), *bounds])
        shown = schema.show(tuple(value) if isinstance(value, list) else value)
        terminal.say(f"  {group}.{key}={shown}\n      {field.metadata.get('help', '')} ({kind})")
