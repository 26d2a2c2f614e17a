"""What a run's folder says of itself. It may be somebody else's: nothing in it is trusted, and nothing executed."""

import csv
import json
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import yaml

from nnrun.config import choices as members
from nnrun.config.run_config import LATER
from nnrun.errors import ConfigError
from nnrun.folders import strangers

LARGEST_CONFIG, LARGEST_SUMMARY = 2**18, 2**24
"""Bytes that are read; no run writes as many."""
ALWAYS = ("dataset", "task", "model", "optimizer", "schedule", "training")
"""Groups that every run's config has."""
RUNS_KEYS = ("seed", "objective")
"""Top-level keys beside the groups."""
BEFORE = (".lock", "sweep.db", "sweep.db-journal", "sweep.db-shm", "sweep.db-wal")
"""What a sweep's folder holds before its trials are written down."""


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
    if not found.exists():
        raise ConfigError(nothing_there(found))
    if not (found / "summary.json").is_file():
        raise ConfigError(f"{found} is not a run's folder: it holds no summary.json. List yours with nnrun runs.")
    return found


def nothing_there(folder: Path) -> str:
    """What to say of a folder that was typed and is not there."""
    return f"There is no folder {folder} here. nnrun runs lists the runs under ./outputs, where nnrun writes them."


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


def is_best_at_last(summary: dict[str, Any]) -> bool:
    """Whether the best epoch is the last of several, without early stopping: training was still of use."""
    best = summary["objective"]
    return bool(best and best["epoch"] == summary["epochs"] > 1 and not summary.get("stopped_early"))


def read_trial(folder: Path) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """The rows of a folder's metrics.csv, none where no epoch was finished, and its summary."""
    rows: list[dict[str, float]] = []
    if (folder / "metrics.csv").exists():
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            rows = [{name: float(text or "nan") for name, text in row.items()} for row in csv.DictReader(file)]
    return [row | {name: int(row[name]) for name in ("epoch", "step")} for row in rows], summary(folder)


def config(folder: Path, trust: bool = False) -> tuple[dict[str, Any], dict[str, str]]:
    """The resolved config and the choices of a run.

    Raises ConfigError for a damaged file and for what no run writes, see `strangers.check`; less of it with `trust`.
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
    if not all(isinstance(name, str) for name in choices.values()):
        raise ConfigError(f"{path} must name its choices by words. Its folder is not run.")
    strangers.check(folder, path, [plain], trust)
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
