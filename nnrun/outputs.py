"""A run's folder: the only writer of its files."""

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nnrun import checkpoint
from nnrun.datasets.base import Data, Scaling


class RunFolder:
    """Writes what a run leaves behind, each file whole or line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._columns: list[str] = []

    def write_config(self, plain: dict[str, Any], choices: dict[str, str]) -> None:
        """config.yaml: the resolved config, and under `choices` the options that were picked."""
        text = yaml.safe_dump({**plain, "choices": choices}, sort_keys=False, allow_unicode=True)
        checkpoint.write_atomically(self.path / "config.yaml", text.encode())

    def write_summary(self, summary: dict[str, Any]) -> None:
        """summary.json; numbers that are not finite become null."""
        text = json.dumps(_finite(summary), indent=2, ensure_ascii=False) + "\n"
        checkpoint.write_atomically(self.path / "summary.json", text.encode())

    def write_preprocessing(self, data: Data) -> None:
        """preprocessing.json: what was fitted on the training data, and the names that give numbers a meaning."""
        content = {
            "inputs": _scaling(data.input_scaling, data.input_names),
            "targets": _scaling(data.target_scaling, data.target_names) if data.target_scaling else None,
            "class_names": list(data.class_names),
            "kind": data.spec.kind,
            "shape": list(data.spec.inputs),
        }
        checkpoint.write_atomically(self.path / "preprocessing.json", (json.dumps(content, indent=1) + "\n").encode())

    def start_metrics(self, rows: list[dict[str, float]]) -> None:
        """metrics.csv afresh with the epochs so far."""
        (self.path / "metrics.csv").unlink(missing_ok=True)
        self._columns = []
        for row in rows:
            self.append_metrics(row)

    def append_metrics(self, row: dict[str, float]) -> None:
        """Adds an epoch to metrics.csv; the first one sets the columns."""
        with (self.path / "metrics.csv").open("a", newline="") as file:
            writer = csv.writer(file)
            if not self._columns:
                self._columns = list(row)
                writer.writerow(self._columns)
            writer.writerow([row.get(name, "") for name in self._columns])

    def discard(self) -> None:
        """Takes back what a run writes before it trains, and the folder where nothing else is in it."""
        for name in ("config.yaml", "summary.json", "run.log", "preprocessing.json"):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def log(self, text: str) -> None:
        """Adds a line to run.log."""
        with (self.path / "run.log").open("a") as file:
            file.write(text.rstrip("\n") + "\n")

    def write_columns(self, name: str, columns: dict[str, np.ndarray]) -> None:
        """`name`.csv where every column is one-dimensional, else `name`.npz."""
        if any(np.ndim(values) != 1 for values in columns.values()):
            np.savez_compressed(self.path / f"{name}.npz", allow_pickle=False, **columns)
            return
        with (self.path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True))

    def save_figure(self, name: str, figure: Any) -> None:
        """figures/`name`.png."""
        folder = self.path / "figures"
        folder.mkdir(exist_ok=True)
        figure.savefig(folder / f"{name}.png")

    def save_weights(self, tree: Any) -> None:
        """model.safetensors: the weights of the objective's best epoch."""
        checkpoint.save_tree(self.path / "model.safetensors", tree)

    def save_checkpoint(self, step: int, state: Any, notes: dict[str, Any]) -> None:
        """A resumable state under checkpoints/."""
        checkpoint.save_checkpoint(self.path / "checkpoints", step, state, notes)


def _scaling(scaling: Scaling, names: tuple[str, ...]) -> dict[str, Any]:
    offset, scale = np.asarray(scaling.offset).tolist(), np.asarray(scaling.scale).tolist()
    return {"names": list(names), "offset": offset, "scale": scale}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
