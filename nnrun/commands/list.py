"""`nnrun list` and `nnrun KEY=NAME --help`: what there is to choose from, and what the keys of a choice mean."""

import dataclasses
import inspect
import typing

from nnrun import schema
from nnrun.commands import usage
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.host import terminal
from nnrun.schema import nearest


def list_choices(words: list[str]) -> int:
    """`nnrun list [GROUP]`: the choices of one config group, or of all."""
    wanted = usage.parse(list_choices, words).arguments[0]
    plural = {f"{group}s": group for group in choices.groups()}
    if wanted and wanted not in plural and wanted not in plural.values():
        raise ConfigError(f"There is no list of {wanted}. {nearest(wanted, plural)}")
    for group in [plural.get(wanted, wanted)] if wanted else plural.values():
        terminal.say(f"{group:<10} {' '.join(choices.choices(group))}")
    return 0


def explain_choices(words: list[str]) -> int:
    """`nnrun model=lstm --help`: the keys of the named choices, with type, default and meaning."""
    chosen = dict(word.partition("=")[::2] for word in words if word.partition("=")[0] in choices.groups())
    for group, name in chosen.items():
        found = choices.choices(group)
        if name not in found:
            raise ConfigError(f"There is no {group}={name}. {nearest(name, found)}")
        content = choices.load_choice(group, name)
        if target := content.get("_target_"):
            _explain_member(group, name, target)
        else:
            terminal.say(found[name].read_text(encoding="utf-8").rstrip())
    return 0


def _explain_member(group: str, name: str, target: str) -> None:
    member, config = schema.locate(target), schema.config_class(target)
    hints = typing.get_type_hints(config)
    terminal.say(f"{group}={name}\n\n{inspect.getdoc(member) or ''}\n")
    for field in dataclasses.fields(config):
        bounds = [f"{sign} {field.metadata[b]}" for b, (sign, _) in schema.BOUNDS.items() if b in field.metadata]
        kind = ", ".join([schema.describe(hints[field.name]), *bounds])
        default = "{}" if field.default is dataclasses.MISSING else schema.show(field.default)
        terminal.say(f"  {group}.{field.name}={default}\n      {field.metadata.get('help', '')} ({kind})")
