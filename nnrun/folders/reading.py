"""What a run's folder says of itself. It may be somebody else's: nothing in it is trusted, and nothing executed."""

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import yaml

from nnrun.config import choices as members
from nnrun.config.run_config import LATER
from nnrun.errors import ConfigError

LARGEST_CONFIG, LARGEST_SUMMARY = 2**18, 2**24
"""Bytes that are read; no run writes as many."""
MOST_ENTRIES = 256
"""The longest list that makes a layer of each entry: nothing else bounds how long building the network takes."""
ALWAYS = ("dataset", "task", "model", "optimizer", "schedule", "training")
"""Groups that every run's config has."""
RUNS_KEYS = ("seed", "objective")
"""Top-level keys beside the groups."""
BEFORE = (".lock", "sweep.db", "sweep.db-journal", "sweep.db-shm", "sweep.db-wal")
"""What a sweep's folder holds before its trials are written down."""
OWN = "If the folder is your own, run again with --trust where ./conf and the code lie."


class Best(TypedDict):
    """The objective's best value in summary.json."""

    metric: str
    direction: str
    value: float | None
    epoch: int


class Summary(TypedDict):
    """The part of summary.json that is shown."""

    status: str
    model: str
    dataset: str
    task: str
    epochs: int
    parameters: int | None
    objective: Best | None
    metrics: dict[str, float | None]
    baseline: dict[str, dict[str, float | None]]
    versions: dict[str, str]
    command: str


def folder(word: str) -> Path:
    """The folder of a run that `word` names. Raises ConfigError when it is none."""
    found = Path(word)
    if is_sweep(found):
        raise ConfigError(f"{found} is a sweep's folder. The run of its best trial is {found / 'best'}.")
    check_begun(found)
    if not (found / "summary.json").is_file():
        raise ConfigError(f"{found} is not a run's folder: it holds no summary.json. List yours with nnrun runs.")
    return found


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (folder / "sweep.yaml").exists()


def check_begun(folder: Path) -> None:
    """Raises ConfigError for a folder that a command made and had no time to fill."""
    if folder.is_dir() and all(path.name in BEFORE for path in folder.iterdir()):
        raise ConfigError(f"In {folder} nothing had begun. Start the command that made it again.")


def summary(folder: Path) -> dict[str, Any]:
    """summary.json. Raises ConfigError when it is damaged."""
    path = folder / "summary.json"
    try:
        content = json.loads(_read(path, LARGEST_SUMMARY))
    except (ValueError, OSError, RecursionError):
        raise ConfigError(f"{path} is damaged: it is no JSON. Move the folder away.") from None
    try:
        msgspec.convert(content, Summary)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path} is damaged or of another version ({str(error)[:200]}). Move the folder away."
        ) from None
    assert isinstance(content, dict)
    return content


def read_trial(folder: Path) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """The rows of a folder's metrics.csv, none where no epoch was finished, and its summary."""
    rows: list[dict[str, float]] = []
    if (folder / "metrics.csv").exists():
        with (folder / "metrics.csv").open(newline="") as file:
            rows = [{name: float(text or "nan") for name, text in row.items()} for row in csv.DictReader(file)]
    return [row | {name: int(row[name]) for name in ("epoch", "step")} for row in rows], summary(folder)


def config(folder: Path, trust: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved config and the choices of a run.

    Raises ConfigError for a damaged file and for what no run writes; unless `trust`, which lets Python find members
    beside `./conf`, also for members outside nnrun, whose code would be executed, and for links, through which a later
    file would be written elsewhere.
    """
    path = folder / "config.yaml"
    try:
        plain = read_yaml(path, LARGEST_CONFIG)
        choices = dict(plain.pop("choices"))
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{path} is missing or damaged, so the run cannot be rebuilt. Its command is in summary.json."
        ) from None
    known = {*members.groups(), *RUNS_KEYS, *LATER}
    for key in (*plain, *choices):
        if key not in known:
            raise ConfigError(f"{path} has a key that no run writes: {key}. Its folder is not run.")
    if lacking := [key for key in (*ALWAYS, *RUNS_KEYS) if key not in plain]:
        raise ConfigError(f"{path} lacks {lacking[0]}, which every run writes. Its folder is not run.")
    for group, content in plain.items():
        _check_value(path, group, content)
    if not all(isinstance(name, str) for name in choices.values()):
        raise ConfigError(f"{path} must name its choices by words. Its folder is not run.")
    if trust:
        from nnrun.compose import compose

        compose.prepare_imports()
    else:
        refuse_foreign_code(folder, plain)
        for found in (*folder.iterdir(), *folder.glob("*/*")):
            if found.is_symlink():
                raise ConfigError(f"{found} is a link, which no run writes; files would be written through it. {OWN}")
    return plain, choices


def read_yaml(path: Path, most: int) -> Any:
    """The plain values of a file. Raises OSError, and ValueError for foreign YAML and over `most` bytes."""
    try:
        return yaml.load(_read(path, most), _PlainLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{path} is damaged") from error


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, with which a few lines stand for billions of values.

    In Python, because libYAML's loader exhausts the stack, where this one raises, on lists nested by the thousand.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Raises YAMLError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("no run writes an alias")
        return super().compose_node(parent, index)


def _read(path: Path, most: int) -> bytes:
    """A file's content. Raises ValueError for a larger one, OSError where it is no plain file."""
    # Reading a pipe or a device would never end.
    if not path.is_file():
        raise FileNotFoundError(path)
    # Not stat: the size of a file may change before it is read.
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path} is larger than {most} bytes")
    return content


def _check_value(path: Path, key: str, value: Any, top: bool = True) -> None:
    """Raises ConfigError for what Hydra would replace, and for members inside members."""
    if isinstance(value, dict):
        for name, item in value.items():
            if str(name).startswith("_") and not (top and name in ("_target_", "_task_")):
                raise ConfigError(f"{path} has a key that no run writes: {key}.{name}. Its folder is not run.")
            _check_value(path, f"{key}.{name}", item, False)
    elif isinstance(value, list):
        if key.startswith("model.") and len(value) > MOST_ENTRIES:
            raise ConfigError(f"{path} must have at most {MOST_ENTRIES} entries in {key}, but has {len(value)}.")
        for item in value:
            _check_value(path, key, item, False)
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{path} must hold values alone, but {key} is {value[:80]}. Its folder is not run.")


def continuing(folder: Path, *configs: dict[str, Any]) -> str:
    """The command that goes on in a folder of one's own, whose configs may name members of one's own."""
    trust = " --trust" if any(map(foreign, configs)) else ""
    return f"nnrun resume {shlex.quote(str(folder))}{trust}"


def refuse_foreign_code(folder: Path, plain: dict[str, Any]) -> None:
    """Raises ConfigError when a recorded config names anything but our members: a folder must not execute code."""
    for group, target in foreign(plain).items():
        named = f"{group}._target_={target[:80]}"
        raise ConfigError(f"{folder} names {named}, code outside nnrun, which is not run from a folder. {OWN}")


def foreign(plain: dict[str, Any]) -> dict[str, str]:
    """What groups of a config name outside nnrun: {group: target}."""
    targets = {group: content.get("_target_") for group, content in plain.items() if isinstance(content, dict)}
    return {
        group: str(target)
        for group, target in targets.items()
        if target is not None and not re.fullmatch(rf"nnrun\.{group}s?\.\w+\.\w+", str(target))
    }
