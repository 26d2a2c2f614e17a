"""`nnrun repeat`: a run again, from what its folder recorded."""

from typing import Any

from nnrun.commands import train, usage
from nnrun.compose.grammar import value_text
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.folders import reading, strangers


def repeat(words: list[str]) -> int:
    """`nnrun repeat RUN [--trust]`, with changes like seed=1: composes the recorded choices and values again.

    Example: `nnrun repeat outputs/runs/DATE/TIME_lstm_sine seed=1`
    """
    changes = [word for word in words if not word.startswith("--")][1:]
    given = usage.parse(repeat, [word for word in words if word not in changes])
    folder = reading.folder(given.arguments[0])
    plain, picked = reading.config(folder, "trust" in given.flags)
    changed = {word.partition("=")[0] for word in changes}
    kept = {k: v for k, v in picked.items() if k not in changed | {"experiment", "debug"}}
    for group, name in kept.items():
        if name not in choices.choices(group):
            raise ConfigError(f"{folder} was made with {group}={name}, which does not exist here.")
    groups = [f"{k}={v}" for k, v in kept.items()]
    base = {group: choices.load_choice(group, name) for group, name in kept.items()}
    if "trust" not in given.flags:
        strangers.check_choices(folder, kept)
    # Groups of keys without choices; those that an earlier run lacks keep their defaults.
    found = _overrides(plain, base | {name: plain[name] for name in ("objective", "report") if name in plain})
    values = [f"{k}={v}" for k, v in found if k not in changed and k.partition(".")[0] not in changed]
    return train.launch([], [*groups, *values, *changes])


def _overrides(plain: dict[str, Any], base: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted keys and values in Hydra's grammar."""
    found: list[tuple[str, str]] = []
    for key, value in plain.items():
        if key.startswith("_"):
            continue
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            found += _overrides(value, base[key], f"{prefix}{key}.")
        else:
            found.append((prefix + key, value_text(value)))
    return found
