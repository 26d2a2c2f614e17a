"""How a run goes on from the newest checkpoint that can be used, and when that differs from never having stopped."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.errors import RunError
from nnrun.execution import prepared
from nnrun.folders import checkpoint, weights_file
from nnrun.training.state import State

KEPT = {"history", "summary", "notes"}
"""What a checkpoint holds beside the state."""
NOTED = {"epochs", "examples", "made_with"}
"""What `notes_of` notes."""


@dataclass(frozen=True)
class Restored:
    """A state of training and what a run knew then; `notes` as `notes_of` made them."""

    state: State
    history: list[dict[str, float]]
    summary: dict[str, Any]
    notes: dict[str, Any]


def notes_of(config: RunConfig, data: Data, summary: dict[str, Any]) -> dict[str, Any]:
    """What a continued run compares: its length, the number of examples, versions and devices."""
    # What decides the last digits: the compiler, and the libraries whose arithmetic is compiled.
    made_with = {name: summary["versions"][name] for name in ("jax", "jaxlib", "flax", "optax")}
    made_with["devices"] = summary["devices"]
    return {"epochs": config.training.passes, "examples": prepared.counts(data), "made_with": made_with}


def newest(folder: Path, like: State, say: Callable[[str], None]) -> Restored | None:
    """The newest usable checkpoint of a folder; says why others are not."""
    paths = checkpoint.checkpoints(folder)
    for path in paths:
        try:
            state, found = weights_file.read(path, like, exactly=True), weights_file.notes(path)
            _check_kept(path, found)
            return Restored(state, **found)
        except ValueError as error:
            say(f"Warning: {error}{'' if path == paths[-1] else ' Falling back to the checkpoint before.'}")
    return None


def _check_kept(path: Path, found: dict[str, Any]) -> None:
    for content, wanted in ((found, KEPT), (found.get("notes", {}), NOTED)):
        if different := set(content) ^ wanted:
            name = min(different)
            what = "lacks" if name in wanted else "also holds"
            raise ValueError(f"{path} was written by another version of nnrun: it {what} {name}.")


def check_data(folder: Path, restored: Restored, like: State, notes: dict[str, Any]) -> None:
    """Raises RunError when the data is not what the run was trained on so far."""
    changes = prepared.changed_data(restored.state.fitted, restored.notes["examples"], like.fitted, notes["examples"])
    if changes:
        raise RunError(
            f"The data of {folder} changed since it was trained: {changes}. Put the old data back, or train anew: "
            f"nnrun repeat {shlex.quote(str(folder))}"
        )


def remarks(restored: Restored, notes: dict[str, Any], config: RunConfig, step: int, train_steps: int) -> list[str]:
    """Why the end may differ from that of a run that never stopped, a line for each reason."""
    found = []
    before, epochs = restored.notes["epochs"], notes["epochs"]
    if before != epochs and config.schedule.cls.follows_progress:
        share = step / (epochs * train_steps)
        found.append(
            f"The learning rate goes on at {share:.0%} of its schedule over {epochs} epochs instead of {before}: not "
            f"the same as {epochs} epochs from the start."
        )
    made_with = restored.notes["made_with"]
    if changed := [name for name, value in notes["made_with"].items() if made_with.get(name) != value]:
        pairs = ", ".join(f"{name} {made_with.get(name)} then, {notes['made_with'][name]} now" for name in changed)
        found.append(f"Numbers may differ in their last digits from those of one run: {pairs}.")
    return found
