"""Arrays on disk: safetensors files written whole or not at all, never pickle."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nnrun.host import disk
from nnrun.training.network import weight_names

KEPT = 2


def save_tree(path: Path, tree: Any, notes: dict[str, Any] | None = None) -> None:
    """Writes the leaves of a tree under their dotted names, with `notes` as JSON beside them."""
    leaves = jax.device_get(jax.tree.leaves(tree))
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in zip(weight_names(tree), leaves, strict=True)}
    disk.write(path, save(arrays, {"nnrun": json.dumps(notes or {})}))


def load_tree(path: Path, like: Any, stacked: bool = False) -> tuple[Any, dict[str, Any]]:
    """Reads a tree of the same structure and shapes as `like`, and the notes; `stacked`: of any leading size.

    Raises ValueError when the file is missing, damaged or does not fit.
    """
    arrays, notes = _read(path)
    leaves, structure = jax.tree.flatten(like)
    wanted = weight_names(like)
    for name, leaf in zip(wanted, leaves, strict=True):
        if name not in arrays or arrays[name].shape[stacked:] != np.shape(leaf)[stacked:]:
            raise ValueError(f"{path} does not fit this network: {name} is missing or has another shape.")
    return jax.tree.unflatten(structure, [arrays[name] for name in wanted]), notes


def load_exactly(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Reads a tree that holds what `like` does and nothing else, and the notes.

    Raises ValueError when the file is missing, damaged or of another version.
    """
    arrays, notes = _read(path)
    leaves, structure = jax.tree.flatten(like)
    wanted = dict(zip(weight_names(like), leaves, strict=True))
    if difference := _difference(arrays, wanted):
        raise ValueError(f"{path} was written by another version of nnrun: {difference}.")
    return jax.tree.unflatten(structure, [arrays[name] for name in wanted]), notes


def _difference(found: dict[str, np.ndarray], wanted: dict[str, Any]) -> str:
    if lacking := [name for name in wanted if name not in found]:
        return f"it lacks {lacking[0]}"
    if unknown := [name for name in found if name not in wanted]:
        return f"it holds {unknown[0]}, which is unknown here"
    for name, leaf in wanted.items():
        if (found[name].dtype, found[name].shape) != (leaf.dtype, leaf.shape):
            kind = f"{found[name].dtype} of shape {found[name].shape}"
            return f"{name} is {kind}, not {leaf.dtype} of shape {leaf.shape}"
    return ""


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, json.loads((file.metadata() or {}).get("nnrun", "{}"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing.") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}).") from None


def save_checkpoint(folder: Path, step: int, tree: Any, notes: dict[str, Any]) -> None:
    """Adds `<step>.safetensors`, the newest from now on, and keeps it and the one before.

    Those of later steps could not be used, or training would not have gone back behind them.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{step:010d}.safetensors"
    save_tree(path, tree, notes)
    kept = [one for one in checkpoints(folder) if one.name <= path.name][:KEPT]
    for old in (*checkpoints(folder), *folder.glob(".*.partial")):
        if old not in kept:
            old.unlink()


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, newest first."""
    return sorted(folder.glob("[0-9]*.safetensors"), reverse=True)
