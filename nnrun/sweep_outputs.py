"""A sweep's folder: the only writer of its files beside the ledger."""

import csv
import shutil
from pathlib import Path
from typing import Any

import yaml

from nnrun import checkpoint
from nnrun.ledger import Trial
from nnrun.outputs import RunFolder, append_line, dump_yaml, save_figure
from nnrun.sweep_syntax import value_text


class SweepFolder:
    """Writes what a sweep leaves behind, each file whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write_record(self, record: dict[str, Any]) -> None:
        """sweep.yaml: what the sweep was asked for, and how its groups are batched."""
        _write_yaml(self.path / "sweep.yaml", record)

    def write_trials(self, trials: list[Trial], keys: list[str]) -> None:
        """trials.csv: a row per trial, a column per key of the space and per metric."""
        metrics = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
        columns = ["number", "state", "objective", *keys, *metrics, "seconds", "error"]
        temporary = self.path / ".trials.csv.partial"
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for t in trials:
                values = [value_text(t.params[key]) if key in t.params else "" for key in keys]
                found = [t.metrics.get(name) for name in metrics]
                writer.writerow([t.number, t.state, t.objective, *values, *found, t.seconds, t.error])
        temporary.replace(self.path / "trials.csv")

    def trial(self, number: int) -> RunFolder:
        """The folder of one trial."""
        return RunFolder(self.path / str(number), durable=False)

    def crowned(self) -> int | None:
        """The trial that best/ is of: best.yaml is written after it."""
        try:
            found: int = yaml.safe_load((self.path / "best.yaml").read_text())["number"]
        except (OSError, yaml.YAMLError, TypeError, KeyError):
            return None
        return found

    def write_best(self, best: dict[str, Any]) -> None:
        """best.yaml: the winner's number, value and overrides."""
        _write_yaml(self.path / "best.yaml", best)

    def save_best_weights(self, number: int, weights: Any) -> None:
        """The best weights so far, beside the groups' states until the sweep ends."""
        checkpoint.save_tree(self._groups() / "best.safetensors", weights, {"trial": number})

    def load_best_weights(self, like: Any) -> tuple[Any, int]:
        """What was kept, and the trial it is of. Raises ValueError when it is missing or damaged."""
        tree, notes = checkpoint.load_tree(self._groups() / "best.safetensors", like)
        return tree, notes["trial"]

    def save_group(self, number: int, state: Any, notes: dict[str, Any]) -> None:
        """The state of a group in training."""
        checkpoint.save_tree(self._groups() / f"{number}.safetensors", state, notes)

    def load_group(self, number: int, like: Any, stacked: bool) -> tuple[Any, dict[str, Any]]:
        """The state of a group and its notes. Raises ValueError when there is none that is whole."""
        return checkpoint.load_tree(self._groups() / f"{number}.safetensors", like, stacked)

    def remove_group(self, number: int) -> None:
        """A group is done."""
        (self._groups() / f"{number}.safetensors").unlink(missing_ok=True)

    def clear_groups(self) -> None:
        """The sweep is done."""
        shutil.rmtree(self.path / "groups", ignore_errors=True)

    def write_report(self, page: str, figures: dict[str, Any]) -> None:
        """report.html, and the same as pictures."""
        checkpoint.write_atomically(self.path / "report.html", page.encode())
        for name, figure in figures.items():
            save_figure(self.path / "figures", name, figure)

    def log(self, text: str) -> None:
        """Adds a line to run.log."""
        append_line(self.path / "run.log", text)

    def _groups(self) -> Path:
        folder = self.path / "groups"
        folder.mkdir(exist_ok=True)
        return folder


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    checkpoint.write_atomically(path, dump_yaml(content).encode())
