"""The checkpoints of a run: the newest states of its training, so that it can go on from one."""

from pathlib import Path
from typing import Any

from nnrun.folders import weights_file

KEPT = 2
"""The newest, and one to fall back to where that is damaged."""


def save_checkpoint(folder: Path, step: int, tree: Any, notes: dict[str, Any]) -> None:
    """Adds `<step>.safetensors`, the newest from now on, and keeps it and the one before.

    Those of later steps could not be used, or training would not have gone back behind them.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{step:010d}.safetensors"
    weights_file.write(path, tree, notes)
    kept = [one for one in checkpoints(folder) if one.name <= path.name][:KEPT]
    for old in (*checkpoints(folder), *folder.glob(".*.partial")):
        if old not in kept:
            old.unlink()


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, newest first."""
    return sorted(folder.glob("[0-9]*.safetensors"), reverse=True)
