"""The verbs: what can be done besides training."""

import dataclasses
import inspect
import json
import typing
from pathlib import Path
from typing import Any

import yaml

from nnrun import members, schema, sweep_verbs, terminal
from nnrun.errors import ConfigError
from nnrun.schema import nearest


def run(verb: str, words: list[str]) -> int:
    """Runs a verb by name. Raises ConfigError for one that does not exist."""
    if verb not in VERBS:
        raise ConfigError(
            f"There is no verb {verb}. {nearest(verb, VERBS)} To train, write for example nnrun model=lstm."
        )
    return VERBS[verb](words)


def list_choices(words: list[str]) -> int:
    """`nnrun list [GROUP]`: the choices of one config group, or of all."""
    plural = {f"{group}s": group for group in members.groups()}
    wanted = words[0] if words else None
    if wanted is not None and wanted not in plural and wanted not in plural.values():
        raise ConfigError(f"There is no list of {wanted}. {nearest(wanted, plural)}")
    for group in [plural.get(wanted, wanted)] if wanted else plural.values():
        terminal.say(f"{group:<10} {' '.join(members.choices(group))}")
    return 0


def explain_choices(words: list[str]) -> int:
    """`nnrun model=lstm --help`: the keys of the named choices, with type, default and meaning."""
    from nnrun import composition

    composition.prepare_imports()
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


def show(words: list[str]) -> int:
    """`nnrun show RUN`: weights layer by layer, metrics, the command."""
    folder = _folder(words, "show")
    summary = _summary(folder)
    terminal.say(f"{folder}: {summary['model']} on {summary['dataset']}, {summary['status']}\n  {summary['command']}")
    if (folder / "model.safetensors").exists():
        from nnrun import checkpoint

        try:
            arrays = checkpoint.load_arrays(folder / "model.safetensors")
        except ValueError as error:
            raise ConfigError(f"{error} Train again: nnrun repeat {folder}") from None
        for name, array in arrays.items():
            if name.startswith("weights."):
                terminal.say(f"  {name.removeprefix('weights.'):<48} {array.shape}")
    terminal.Terminal().results(summary["metrics"], summary["baseline"])
    return 0


def runs(words: list[str]) -> int:
    """`nnrun runs`: a line for every run under ./outputs."""
    for path in sorted(Path("outputs").glob("**/summary.json")):
        try:
            summary = _summary(path.parent)
        except ConfigError:
            terminal.say(f"{path.parent}  damaged")
            continue
        objective = summary.get("objective") or {}
        value = f"{objective['metric']} {objective['value']:.5g}" if objective.get("value") is not None else ""
        terminal.say(f"{path.parent}  {summary['status']}  {value}")
    return 0


def resume(words: list[str]) -> int:
    """`nnrun resume RUN`: continues from the newest whole checkpoint, bit-equal to never having stopped."""
    from nnrun import launch

    if words and sweep_verbs.is_sweep(Path(words[0])):
        return sweep_verbs.resume(Path(words[0]), words[1:])
    folder = _folder(words[:1], "resume")
    if words[1:]:
        raise ConfigError(
            f"nnrun resume takes a run's folder alone, but got {words[1]}. To change keys: nnrun repeat {folder}"
        )
    summary = _summary(folder)
    if summary["status"] == "completed":
        raise ConfigError(
            f"{folder} is completed: nothing is left to resume. For more: nnrun repeat {folder} training.epochs=N"
        )
    plain, choices = _recorded(folder)
    launch.start(launch.Composed(plain, choices), folder, summary["command"], resume=True)
    return 0


def repeat(words: list[str]) -> int:
    """`nnrun repeat RUN [KEY=VALUE ...]`: composes the recorded choices and values again, with changes."""
    from nnrun import launch

    folder = _folder(words[:1], "repeat")
    plain, choices = _recorded(folder)
    changed = {word.partition("=")[0] for word in words[1:]}
    values = [f"{k}={v}" for k, v in _overrides(plain) if k not in changed and k.partition(".")[0] not in changed]
    kept = {k: v for k, v in choices.items() if k not in changed | {"experiment", "debug"}}
    for group, name in kept.items():
        if name not in members.choices(group):
            raise ConfigError(f"{folder} was made with {group}={name}, which does not exist here.")
    groups = [f"{k}={v}" for k, v in kept.items()]
    return launch.launch([], [*groups, *values, *words[1:]])


def sample(words: list[str]) -> int:
    """`nnrun sample RUN [n=16]`: draws from a generative network's prior into samples.npz and samples.png."""
    folder = _folder(words[:1], "sample")
    options = dict(word.partition("=")[::2] for word in words[1:])
    if unknown := set(options) - {"n", "seed"}:
        raise ConfigError(f"There is no {unknown.pop()}= for nnrun sample. Choose from: n, seed.")
    numbers = {name: _natural(name, options.get(name, default)) for name, default in (("n", "16"), ("seed", "0"))}
    from nnrun import sampling

    terminal.say(sampling.sample(folder, _recorded(folder)[0], **numbers))
    return 0


def _natural(name: str, text: str) -> int:
    if not text.isdecimal() or (name == "n" and int(text) == 0):
        least = 1 if name == "n" else 0
        raise ConfigError(f"{name} must be an integer >= {least}, but got {text}. Set for example {name}=16.")
    return int(text)


def _folder(words: list[str], verb: str) -> Path:
    if not words:
        raise ConfigError(
            f"nnrun {verb} needs a run's folder, for example nnrun {verb} outputs/runs/DATE/TIME_lstm_sine."
        )
    folder = Path(words[0])
    if not (folder / "summary.json").exists():
        raise ConfigError(f"{folder} is not a run's folder: it holds no summary.json. List yours with nnrun runs.")
    return folder


def _summary(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "summary.json").read_text())
    except ValueError:
        raise ConfigError(f"{folder / 'summary.json'} is damaged: it is no JSON. Move the folder away.") from None


def _recorded(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved config and the choices of a run. Raises ConfigError for what would run code outside nnrun."""
    try:
        plain = yaml.safe_load((folder / "config.yaml").read_text())
        choices = dict(plain.pop("choices"))
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{folder / 'config.yaml'} is missing or damaged, so the run cannot be rebuilt.") from None
    allowed = {*members.groups(), "seed", "objective"}
    for key in (*plain, *choices):
        if key not in allowed:
            raise ConfigError(f"{folder / 'config.yaml'} has a key that no run writes: {key}. Its folder is not run.")
    from nnrun.config import refuse_foreign_code

    refuse_foreign_code(folder, plain)
    return plain, choices


def _overrides(plain: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and values in Hydra's grammar; JSON is a part of it."""
    found: list[tuple[str, str]] = []
    for key, value in plain.items():
        if key.startswith("_"):
            continue
        if isinstance(value, dict):
            found += _overrides(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, json.dumps(value, ensure_ascii=False)))
    return found


VERBS = {
    "list": list_choices,
    "show": show,
    "runs": runs,
    "resume": resume,
    "repeat": repeat,
    "sample": sample,
    "best": sweep_verbs.best,
    "report": sweep_verbs.report,
}
