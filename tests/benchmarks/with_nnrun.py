"""nnrun's own training steps: the config a command line gives, the product's compiled run, its choice of devices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from nnrun.compose import compose
from nnrun.config import run_config
from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.execution import devices
from tests.benchmarks.cases import Case, arrays


def build(case: Case, threads: int) -> Callable[[], float]:
    """An epoch of training as a function that returns its mean loss; the devices are nnrun's choice, not `threads`."""
    run = single(case)
    seen = [0.0, 0.0]

    def epoch() -> float:
        (sums,) = run.steps(run.train_steps)
        loss = (sums.loss - seen[0]) / (sums.examples - seen[1])
        seen[:] = sums.loss, sums.examples
        return loss

    return epoch


def single(case: Case, *words: str) -> Any:
    """The product's SerialRun of a case, before anything is compiled; `words` are further overrides."""
    built = config(case, *words)
    from nnrun.execution.serial import SerialRun

    return SerialRun(built, data(case))


def config(case: Case, *words: str) -> RunConfig:
    """The config that a command line gives, with the devices made ready."""
    compose.prepare_imports()
    built = run_config.build(
        compose.compose_all(["training.epochs=20", *case.overrides, *words], multirun=False)[0].plain
    )
    devices.prepare()
    return built


def data(case: Case) -> Data:
    """The arrays as a loaded data set whose scaling changes nothing."""
    inputs, targets = arrays(case)
    few = {"inputs": inputs[: case.batch], "targets": targets[: case.batch]}
    unscaled = Scaling(np.float32(0), np.float32(1))
    if case.classes is None:
        part = {"inputs": inputs, "targets": targets[:, None]}
        few["targets"] = few["targets"][:, None]
        spec = DataSpec("series", case.inputs, (1, 1), "forecasting")
        return Data(spec, part, few, few, unscaled, unscaled)
    kind = "image" if len(case.inputs) == 3 else "table"
    spec = DataSpec(kind, case.inputs, (), "classification", case.classes)
    return Data(spec, {"inputs": inputs, "targets": targets}, few, few, unscaled)
