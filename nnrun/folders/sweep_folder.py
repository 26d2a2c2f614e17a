"""A sweep's folder: the only writer of its files beside the ledger."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

from nnrun.compose.grammar import value_text
from nnrun.folders import reading, weights_file
from nnrun.folders.columns_file import harmless
from nnrun.folders.run_folder import Folder, RunFolder, dump_yaml
from nnrun.search.trial import Trial

WEIGHTS = "best-"
"""The name of the winner's weights so far, before its number."""


class SweepFolder(Folder):
    """Writes what a sweep leaves behind, each file whole."""

    begun = ("sweep.yaml", "run.log", "sweep.db", "sweep.db-wal", "sweep.db-shm", ".lock")

    def write_record(self, record: dict[str, Any]) -> None:
        """sweep.yaml: what the sweep was asked for, and how its groups are batched."""
        self.write_text("sweep.yaml", dump_yaml(record))

    def write_trials(self, trials: list[Trial], keys: list[str]) -> None:
        """trials.csv: a row per trial, a column per key of the space and per metric; one for strategies compared.

        Metrics that are means over folds and repeats have their standard deviations behind them.
        """
        metrics = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
        compared = ["strategy"] if any(trial.part for trial in trials) else []
        spread = [name for name in metrics if any(name in trial.spread for trial in trials)]
        deviations = [f"{name} std" for name in spread]
        columns = ["number", "state", "objective", *compared, *keys, *metrics, *deviations, "seconds", "error"]
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(columns)
        for t in trials:
            values = [harmless(value_text(t.params[key])) if key in t.params else "" for key in keys]
            found = [t.metrics.get(name) for name in metrics] + [t.spread.get(name) for name in spread]
            part = [t.part] if compared else []
            writer.writerow(
                [t.number, t.state, t.objective, *part, *values, *found, t.seconds, t.error and harmless(t.error)]
            )
        self.write_text("trials.csv", table.getvalue())

    def trial(self, number: int) -> RunFolder:
        """The folder of one trial. Raises OSError where that of the sweep is gone."""
        (self.path / str(number)).mkdir(exist_ok=True)
        return RunFolder(self.path / str(number), durable=False)

    def crowned(self) -> int | None:
        """The trial that best/ is of: best.yaml is written after it."""
        try:
            found: int = reading.read_yaml(self.path / "best.yaml", reading.LARGEST_CONFIG)["number"]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return found

    def write_best(self, best: dict[str, Any]) -> None:
        """best.yaml: the winner's number, value and overrides."""
        self.write_text("best.yaml", dump_yaml(best))

    def uncrown(self) -> None:
        """Takes back best.yaml and best/."""
        (self.path / "best.yaml").unlink(missing_ok=True)
        shutil.rmtree(self.path / "best", ignore_errors=True)

    def save_weights(self, number: int, weights: Any) -> None:
        """The weights of the best trial so far, beside the groups' states until the sweep ends."""
        weights_file.write(self._groups() / f"{WEIGHTS}{number}.safetensors", weights)

    def load_weights(self, number: int, like: Any, members: int = 1) -> Any:
        """What was kept of a trial, of several members with an axis of them in front of `like`.

        Raises ValueError when it is missing or damaged.
        """
        if members > 1:
            # Only here: what is asked of a finished sweep needs no JAX.
            import jax

            like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape), leaf.dtype), like)
        return weights_file.read(self._groups() / f"{WEIGHTS}{number}.safetensors", like)

    def remove_weights_but(self, number: int) -> None:
        """Removes the weights of trials that are no longer the best."""
        for path in self._groups().glob(f"{WEIGHTS}*.safetensors"):
            if path.stem != f"{WEIGHTS}{number}":
                path.unlink()

    def save_group(self, number: int, state: Any, notes: dict[str, Any]) -> None:
        """The state of a group in training."""
        weights_file.write(self._groups() / f"{number}.safetensors", state, notes)

    def has_group(self, number: int) -> bool:
        """Whether the state of a group was saved."""
        return (self._groups() / f"{number}.safetensors").exists()

    def load_group(self, number: int, like: Any, stacked: bool) -> tuple[Any, dict[str, Any]]:
        """The state of a group and its notes. Raises ValueError when there is none that is whole."""
        path = self._groups() / f"{number}.safetensors"
        return weights_file.read(path, like, stacked), weights_file.notes(path)

    def remove_group(self, number: int) -> None:
        """Removes the state of a group that is done."""
        (self._groups() / f"{number}.safetensors").unlink(missing_ok=True)

    def clear_groups(self) -> None:
        """Removes all states, once the sweep is done."""
        shutil.rmtree(self.path / "groups", ignore_errors=True)

    def discard(self) -> None:
        """Takes back what a sweep writes before it trains, and the folder where nothing else is in it."""
        self.clear_groups()
        super().discard()

    def _groups(self) -> Path:
        folder = self.path / "groups"
        folder.mkdir(exist_ok=True)
        return folder
