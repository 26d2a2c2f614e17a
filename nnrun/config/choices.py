"""Which choices exist: the YAML files of `conf/`, ours and the user's own."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nnrun import schema
from nnrun.errors import ConfigError


def package() -> Path:
    """The folder that our package lies in."""
    return Path(__file__).resolve().parents[2]


@cache
def conf_folder() -> Path:
    """Our primary config folder: inside an installed package, beside it in a checkout."""
    inside = package() / "nnrun" / "conf"
    return inside if inside.is_dir() else package() / "conf"


def conf_folders() -> list[Path]:
    """Ours, then `./conf` of the current folder where it exists."""
    own = Path.cwd() / "conf"
    is_users = own.is_dir() and own.resolve() != conf_folder().resolve()
    return [conf_folder(), own] if is_users else [conf_folder()]


def choices(group: str) -> dict[str, Path]:
    """Name -> file of every choice of a group. Raises ConfigError when a user's choice hides one of ours."""
    found: dict[str, Path] = {}
    for folder in conf_folders():
        for path in sorted((folder / group).glob("*.yaml")):
            # Hydra takes the first file of a name on its search path: the user's would be passed over in silence.
            if path.stem in found:
                raise ConfigError(
                    f"{path} defines {group}={path.stem}, which nnrun has already ({found[path.stem]}). "
                    f"Rename the file, for example my_{path.name}."
                )
            found[path.stem] = path
    return found


def left_out(group: str, name: str | None) -> set[str]:
    """Keys that a choice takes though its YAML, the user's own, leaves them out; our YAML files show all."""
    path = choices(group).get(name or "")
    if path is None or conf_folder() in path.parents:
        return set()
    values = load_choice(group, path.stem)
    target = values.get("_target_")
    settings = {schema.key_of(field) for field in dataclasses.fields(schema.config_class(target))} if target else set()
    return settings - values.keys()


def groups() -> list[str]:
    """Names of all config groups."""
    return sorted({path.name for folder in conf_folders() for path in folder.iterdir() if any(path.glob("*.yaml"))})


def load_choice(group: str, name: str) -> dict[str, Any]:
    """The raw content of one choice's YAML. Raises ConfigError where it has no keys with values."""
    path = choices(group)[name]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(no_yaml(error, path)) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys with values, but holds {content!r:.80}. Write `key: value` lines.")
    return content


def no_yaml(error: yaml.YAMLError, path: Path | None = None) -> str:
    """A sentence for a file that the parser refuses; it knows the file's name unless it was given text."""
    begun, met = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    # A key without its colon is noticed in the next line only.
    mark = begun if getattr(error, "context", None) == "while scanning a simple key" else met
    where = f"{path or (mark.name if mark else 'A file of ./conf')}{f', line {mark.line + 1}' if mark else ''}"
    return f"{where}: {getattr(error, 'problem', None) or error}. Every line is written `key: value`, as in YAML."
