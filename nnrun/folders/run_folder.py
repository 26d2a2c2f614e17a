"""A run's folder: the only writer of its files."""

import contextlib
import csv
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from nnrun.datasets.base import Data
from nnrun.folders import checkpoint, columns_file, weights_file
from nnrun.folders.preprocessing import Preprocessing
from nnrun.host import disk
from nnrun.host.terminal import printable


class Folder:
    """The folder of a run or a sweep, made where it is not there.

    `durable` files are synced to the disk before they count as written; a trial's can be made again from the ledger.
    """

    begun: ClassVar[tuple[str, ...]]
    """Files that are there before training."""

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path, self._durable = path, durable
        path.mkdir(parents=True, exist_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """A file, written whole or not at all."""
        disk.write(self.path / name, text.encode(errors="backslashreplace"), self._durable)

    def log(self, text: str) -> None:
        """Adds a line to run.log."""
        with disk.append(self.path / "run.log") as file:
            file.write(printable(text.rstrip("\n")) + "\n")

    def discard(self) -> None:
        """Takes back what is there before training, and the folder where nothing else is in it."""
        for name in self.begun:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()


class RunFolder(Folder):
    """Writes what a run leaves behind, each file whole or line by line."""

    begun = ("config.yaml", "summary.json", "run.log", "preprocessing.json")

    def __init__(self, path: Path, durable: bool = True) -> None:
        super().__init__(path, durable)
        self._columns: list[str] = []

    def write_config(self, plain: dict[str, Any], choices: dict[str, str]) -> None:
        """config.yaml: the resolved config, and under `choices` the options that were picked."""
        self.write_text("config.yaml", dump_yaml({**plain, "choices": choices}))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """summary.json."""
        self.write_json("summary.json", summary)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """A file of JSON; numbers that are not finite become null."""
        self.write_text(name, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")

    def write_preprocessing(self, data: Data) -> None:
        """preprocessing.json: what was fitted on the training data, and the names that give numbers a meaning."""
        Preprocessing.of(data).save(self.path)

    def start_metrics(self, rows: list[dict[str, float]]) -> None:
        """metrics.csv afresh with the epochs so far."""
        (self.path / "metrics.csv").unlink(missing_ok=True)
        self._columns = []
        if rows:
            self.append_metrics(*rows)

    def append_metrics(self, *rows: dict[str, float]) -> None:
        """Adds epochs to metrics.csv; the first one sets the columns."""
        with disk.append(self.path / "metrics.csv") as file:
            writer = csv.writer(file)
            if not self._columns:
                self._columns = list(rows[0])
                writer.writerow(self._columns)
            writer.writerows([row.get(name, "") for name in self._columns] for row in rows)

    def write_columns(self, name: str, columns: dict[str, np.ndarray]) -> None:
        """`name`.csv where every column is one-dimensional, else `name`.npz."""
        if any(np.ndim(values) != 1 for values in columns.values()):
            with columns_file.writing(self.path / f"{name}.npz", overwrite=True) as write:
                write(columns)
            return
        with disk.create(self.path / f"{name}.csv", "w") as file:
            writer = csv.writer(file)
            writer.writerow(map(columns_file.harmless, columns))
            lists = (np.asarray(values).tolist() for values in columns.values())
            texts = ([columns_file.harmless(v) if isinstance(v, str) else v for v in values] for values in lists)
            writer.writerows(zip(*texts, strict=True))

    def save_figure(self, name: str, figure: Any, kind: str = "png") -> None:
        """figures/`name`.png, or of another format that the figure is rendered in."""
        # Only here, because it imports matplotlib, and most folders of a sweep get no picture.
        from nnrun.report.palette import save

        (self.path / "figures").mkdir(exist_ok=True)
        save(figure, self.path / "figures" / f"{name}.{kind}")

    def save_weights(self, tree: Any) -> None:
        """model.safetensors: the weights of the objective's best epoch."""
        weights_file.write(self.path / weights_file.WEIGHTS, tree)

    def save_checkpoint(self, step: int, state: Any, notes: dict[str, Any]) -> None:
        """A resumable state under checkpoints/."""
        checkpoint.save_checkpoint(self.path / "checkpoints", step, state, notes)


def with_epochs(plain: dict[str, Any], epochs: int | None) -> dict[str, Any]:
    """A config with the number that training.epochs=auto stands for, as far as that is known."""
    return plain if epochs is None else {**plain, "training": {**plain["training"], "epochs": epochs}}


def dump_yaml(content: Any) -> str:
    """YAML with keys in their order; LibYAML's emitter is seven times faster than Python's."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Repeats a value that occurs twice: whoever reads a folder that may be hostile allows no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _finite(value: Any) -> Any:
    """A value with None for numbers that are not finite, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
