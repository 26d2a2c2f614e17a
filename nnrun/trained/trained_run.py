"""A finished run, back from its folder: no code from it is executed, no data is loaded."""

import dataclasses
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

from nnrun.config import run_config as config
from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.errors import ConfigError
from nnrun.execution import devices
from nnrun.execution.devices import Placement
from nnrun.folders import preprocessing, reading, strangers, weights_file
from nnrun.folders.preprocessing import Preprocessing
from nnrun.folders.weights_file import WEIGHTS
from nnrun.tasks.base import Task
from nnrun.training.program import Program
from nnrun.training.state import Fitted, State, Weights


@dataclass(frozen=True)
class TrainedRun:
    """A trained network with what turns raw inputs into scaled ones.

    `state` has the weights and what was fitted, and nothing of training; `traced` are the config's numbers.
    """

    folder: Path
    config: RunConfig
    preprocessing: Preprocessing
    task: Task
    program: Program
    placement: Placement
    traced: dict[str, Any]
    state: State

    @cached_property
    def model(self) -> Any:
        """The network, to be called eagerly: `model({"inputs": scaled})`."""
        return self.program.model(self.traced, self.state)


def load(folder: Path, plain: dict[str, Any], data: Data | None = None) -> TrainedRun:
    """Rebuilds the network of a checked config with the folder's weights.

    `data`, where the run's own data set is at hand, completes the task by what only the training part tells.
    Raises ConfigError when weights or preprocessing are missing, damaged or of another network.
    """
    devices.prepare()
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(without_weights(folder, plain))
    # Only --trust lets a config pass that names a data set of the user's own.
    fitted = preprocessing.read(folder, own="dataset" in strangers.foreign(plain))
    built = config.build(plain)
    kind, given = built.task.cls, built.task.config
    known = kind.without_training(given) if data is None else kind.prepare(given, data)
    built = dataclasses.replace(built, task=dataclasses.replace(built.task, config=known))
    static, numbers = built.split()
    # A batch is split as in training by default, over the devices of this machine.
    splits = built.model.cls.split_over_devices and jax.default_backend() == "cpu"
    placement, traced = Placement(jax.device_count() if splits else 1), config.as_arrays(numbers)
    own = Fitted.of(fitted.input_scaling, fitted.target_scaling, fitted.scalings)
    try:
        program = Program(static, fitted.spec, 1, placement.shard)
        task = built.task.create(fitted.spec)
        shapes = jax.eval_shape(program.init, traced, own)
    except ConfigError:
        raise
    except Exception as error:
        # A config that no run wrote fails wherever the network's code first meets the impossible.
        raise ConfigError(
            f"{folder / 'config.yaml'} and {preprocessing.NAME} describe no network that can be built "
            f"({type(error).__name__}: {str(error)[:200]}). Train again: nnrun repeat {shlex.quote(str(folder))}"
        ) from None
    try:
        saved = weights_file.read(folder / WEIGHTS, {"weights": shapes.weights, "numbers": shapes.numbers})
    except ValueError as error:
        raise ConfigError(f"{error} Train again: nnrun repeat {shlex.quote(str(folder))}") from None
    nothing: dict[str, Any] = dict.fromkeys(("best", "optimizer", "schedule", "step", "sums"))
    state = State(weights=Weights(*saved["weights"]), numbers=saved["numbers"], fitted=own, **nothing)
    return TrainedRun(folder, built, fitted, task, program, placement, placement.put(traced), placement.put(state))


def without_weights(folder: Path, plain: dict[str, Any]) -> str:
    """Why the folder of a checked config has no weights, and what to do about it."""
    said, name, summary = f"{folder} has no weights ({WEIGHTS})", shlex.quote(str(folder)), reading.summary(folder)
    if reading.is_sweep(folder.resolve().parent):
        return f"{said}. Of a sweep's trials only the best one's are kept, in {folder.parent / 'best'}."
    if summary["status"] == "completed":
        return f"{said}, though its training is completed. To train again: nnrun repeat {name}"
    if summary["status"] != "failed":
        return f"{said}. If it is still to be trained: nnrun resume {name}"
    error = str(summary.get("error"))
    said = f"{said}, because its training failed: {error.partition('. ')[0][:300]}."
    if "optimizer.learning_rate" not in error:
        return f"{said} More says nnrun show {name}. To train again: nnrun repeat {name}"
    tenth = config.build(plain).optimizer.config.learning_rate / 10
    return f"{said} Train again with a smaller rate: nnrun repeat {name} optimizer.learning_rate={tenth:g}"
