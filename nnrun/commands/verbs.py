"""The verbs: what can be done besides training."""

import dataclasses
import inspect
import typing
from pathlib import Path
from typing import Any

from nnrun import schema
from nnrun.commands import export, on_run, resume, sweep
from nnrun.commands import usage as options
from nnrun.commands.usage import Usage
from nnrun.config import choices as members
from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.host import terminal
from nnrun.schema import nearest


def run(verb: str, words: list[str]) -> int:
    """Runs a verb by name. Raises ConfigError for one that does not exist."""
    if verb not in VERBS:
        raise ConfigError(
            f"There is no verb {verb}. {nearest(verb, VERBS)} To train, write for example nnrun model=lstm."
        )
    if any(word in ("--help", "-h") for word in words):
        terminal.say(inspect.getdoc(VERBS[verb]) or "")
        return 0
    flags = [word for word in words if word.startswith("-") and (verb, word) != ("report", sweep.TRUST)]
    if verb in WITHOUT_OPTIONS and flags:
        raise ConfigError(f"nnrun {verb} takes no flag, but got {flags[0]}. nnrun --help says what it takes.")
    return VERBS[verb](words)


def list_choices(words: list[str]) -> int:
    """`nnrun list [GROUP]`: the choices of one config group, or of all."""
    plural = {f"{group}s": group for group in members.groups()}
    if words[1:]:
        raise ConfigError(f"nnrun list takes one group, but got {words[1]} too. Write: nnrun list {words[0]}")
    wanted = words[0] if words else None
    if wanted is not None and wanted not in plural and wanted not in plural.values():
        raise ConfigError(f"There is no list of {wanted}. {nearest(wanted, plural)}")
    for group in [plural.get(wanted, wanted)] if wanted else plural.values():
        terminal.say(f"{group:<10} {' '.join(members.choices(group))}")
    return 0


def explain_choices(words: list[str]) -> int:
    """`nnrun model=lstm --help`: the keys of the named choices, with type, default and meaning."""
    from nnrun.compose import compose

    compose.prepare_imports()
    chosen = dict(word.partition("=")[::2] for word in words if word.partition("=")[0] in members.groups())
    for group, name in chosen.items():
        found = members.choices(group)
        if name not in found:
            raise ConfigError(f"There is no {group}={name}. {nearest(name, found)}")
        content = members.load_choice(group, name)
        if target := content.get("_target_"):
            _explain_member(group, name, target)
        else:
            terminal.say(found[name].read_text().rstrip())
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


def runs(words: list[str]) -> int:
    """`nnrun runs`: a line for every run under ./outputs."""
    if words:
        raise ConfigError(f"nnrun runs takes nothing more, but got {words[0]}. Write: nnrun runs")
    for path in sorted(Path("outputs").glob("**/summary.json")):
        try:
            summary = reading.summary(path.parent)
        except ConfigError:
            terminal.say(f"{path.parent}  damaged")
            continue
        best = summary["objective"]
        value = f"{best['metric']} {best['value']:.5g}" if best and best["value"] is not None else ""
        terminal.say(f"{path.parent}  {summary['status']}  {value}")
    return 0


def repeat(words: list[str]) -> int:
    """`nnrun repeat RUN [KEY=VALUE ...] [--trust]`: composes the recorded choices and values again, with changes."""
    from nnrun.commands import train

    usage = Usage("repeat", ("RUN",), None, ("trust",), {}, "nnrun repeat outputs/runs/DATE/TIME_lstm_sine seed=1")
    changes = [word for word in words if not word.startswith("--")][1:]
    given = options.parse(usage, [word for word in words if word not in changes])
    folder = reading.folder(given.arguments[0])
    plain, choices = reading.config(folder, "trust" in given.flags)
    changed = {word.partition("=")[0] for word in changes}
    kept = {k: v for k, v in choices.items() if k not in changed | {"experiment", "debug"}}
    for group, name in kept.items():
        if name not in members.choices(group):
            raise ConfigError(f"{folder} was made with {group}={name}, which does not exist here.")
    groups = [f"{k}={v}" for k, v in kept.items()]
    base = {group: members.load_choice(group, name) for group, name in kept.items()}
    found = _overrides(plain, base | {"objective": plain["objective"]})
    values = [f"{k}={v}" for k, v in found if k not in changed and k.partition(".")[0] not in changed]
    return train.launch([], [*groups, *values, *changes])


def _overrides(plain: dict[str, Any], base: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and values in Hydra's grammar."""
    from nnrun.compose.grammar import value_text

    found: list[tuple[str, str]] = []
    for key, value in plain.items():
        if key.startswith("_"):
            continue
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            found += _overrides(value, base[key], f"{prefix}{key}.")
        else:
            found.append((prefix + key, value_text(value)))
    return found


VERBS = {
    "list": list_choices,
    "predict": on_run.predict,
    "evaluate": on_run.evaluate,
    "export": export.export,
    "show": on_run.show,
    "runs": runs,
    "resume": resume.resume,
    "repeat": repeat,
    "sample": on_run.sample,
    "best": sweep.best,
    "report": sweep.report,
}
WITHOUT_OPTIONS = ("list", "runs", "best", "report")
