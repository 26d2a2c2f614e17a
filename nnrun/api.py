"""nnrun from Python: `nnrun.load` a finished run and predict with it, `nnrun.train` a new one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnrun.compose.grammar import value_text
from nnrun.datasets.base import Data
from nnrun.datasets.part import Columns
from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.models.base import Outputs
from nnrun.trained.prediction import Predictor, blocks, latent_of
from nnrun.trained.trained_run import TrainedRun
from nnrun.trained.trained_run import load as load_run


def load(folder: str | Path, trust: bool = False) -> "TrainedModel":
    """A finished run as an object that predicts; its data set is not touched.

    trust: run members of your own, from `./conf` and the code beside it; otherwise nothing from the folder is executed.
    Raises ConfigError for what is no run, is damaged, or would execute code.
    """
    path = reading.folder(str(folder))
    plain, _ = reading.config(path, trust)
    return TrainedModel(load_run(path, plain))


def train(overrides: Sequence[str] | Mapping[str, Any] = ()) -> dict[str, Any]:
    """Trains as `nnrun OVERRIDES` does, and returns the run's summary.json with its `folder`.

    overrides: what is typed on the command line, or keys and values: {"model": "mlp", "training.epochs": 5}.
    Raises ConfigError or RunError where the command would end with exit code 2 or 1.
    """
    from nnrun.commands import train as launch

    words = [f"{k}={_typed(v)}" for k, v in overrides.items()] if isinstance(overrides, Mapping) else list(overrides)
    if flags := [word for word in words if word.startswith("-") or "=" not in word.lstrip("+~")]:
        raise ConfigError(f"nnrun.train takes overrides like training.epochs=5, but got {flags[0]}. Sweeps: nnrun -m.")
    finished: list[Path] = []
    launch.launch([], words, finished)
    return reading.summary(finished[0]) | {"folder": str(finished[0])}


class TrainedModel:
    """A trained network that takes raw inputs and answers in original units, with the methods of scikit-learn.

    Inputs are arrays (n, ...), data frames of polars or pandas with the training data's columns, or the path of a
    file or folder that `nnrun predict` reads. An array has a table's columns in the order of the training file, without
    the target and those that are no inputs.
    """

    def __init__(self, run: TrainedRun) -> None:
        self._run, self._predictor = run, Predictor(run)

    @property
    def classes_(self) -> np.ndarray | None:
        """(classes,) what `predict` chooses from, in the order of `predict_proba`; None without classes."""
        names, count = self._run.preprocessing.class_names, self._run.preprocessing.spec.classes
        return None if count is None else np.array(names or [str(number) for number in range(count)])

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """Names of the network's inputs, empty where they have none."""
        return self._run.preprocessing.input_names

    def predict(self, values: Any) -> np.ndarray:
        """Classes by name (n,); values (n,), or (n, targets); forecasts (n, horizon, variables); or reconstructions.

        Numbers are in original units; a reconstruction (n, *inputs) has the shape of what it rebuilds.
        """
        found, spec = self.predict_columns(values), self._run.preprocessing.spec
        for name in ("predicted", "predictions", "reconstruction"):
            if name in found:
                return found[name]
        columns = np.stack([column for name, column in found.items() if name.endswith("_predicted")], axis=1)
        if spec.targets is not None and len(spec.targets) > 1:
            return columns.reshape(-1, *spec.targets)
        return columns[:, 0] if columns.shape[1] == 1 else columns

    def predict_proba(self, values: Any) -> np.ndarray:
        """(n, classes) probabilities, for time steps (n, time, classes). Raises ConfigError without classes."""
        found = self.predict_columns(values)
        if "probabilities" in found:
            return found["probabilities"]
        columns = [column for name, column in found.items() if name.startswith("probability_")]
        if self.classes_ is None or not columns:
            raise ConfigError(f"{self._run.folder} does not tell classes apart, so it has no probabilities.")
        return np.stack(columns, axis=1)

    def predict_columns(self, values: Any) -> Columns:
        """Everything that `nnrun predict` writes, but for the labels and targets: {name: (n, ...)}."""
        outputs, data = self._outputs(values)
        return self._run.task.decode(outputs, data)

    def encode(self, values: Any) -> np.ndarray:
        """(n, latent) codes. Raises ConfigError for a network without."""
        return latent_of(self._run, self._outputs(values)[0])

    def _outputs(self, values: Any) -> tuple[Outputs, Data]:
        # All blocks at once, because the answers are one array: `nnrun predict` is for what does not fit into memory.
        parts = [self._run.preprocessing.spec.shown(block.part) for block in blocks(self._run, values)]
        if not parts:
            raise ConfigError("There is no example to predict. Give at least one.")
        part = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return self._predictor.outputs(part), self._run.preprocessing.data(part)


def _typed(value: Any) -> str:
    """A value of Python's or NumPy's, or a path, in Hydra's grammar."""
    if isinstance(value, np.generic | np.ndarray):
        return value_text(value.tolist())
    return value_text(os.fspath(value) if isinstance(value, os.PathLike) else value)
