"""A trained network as one pure function of raw arrays, and a description of it for its users."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nnrun.datasets.tables.reader import TableReader
from nnrun.trained.export.arguments import Argument, ArrayInputs, TableInputs
from nnrun.trained.trained_run import TrainedRun

Answer = dict[str, jax.Array]


@dataclass(frozen=True)
class Exported:
    """`function(*arrays)` answers with arrays by name; weights, scaling and threshold are constants in it."""

    arguments: tuple[Argument, ...]
    function: Callable[..., Answer]

    def results(self) -> dict[str, jax.ShapeDtypeStruct]:
        """What a batch of one is answered with, as shapes and types."""
        found: dict[str, jax.ShapeDtypeStruct] = jax.eval_shape(self.function, *(one.of(1) for one in self.arguments))
        return found

    def signature(self) -> dict[str, Any]:
        """Arguments in order and results, for people and programs that have the file alone."""
        taken = {one.name: one.described() for one in self.arguments}
        given = {n: {"dtype": s.dtype.name, "shape": ["batch", *s.shape[1:]]} for n, s in self.results().items()}
        return {"arguments": taken, "results": given}


def network(run: TrainedRun) -> Exported:
    """The function of a loaded run, of raw arrays; those of a table have gaps, which it fills.

    Answers are those of `Task.answer`, and for a reconstruction `flagged`, whether the error exceeds the threshold.
    """
    raw, threshold = _raw(run), run.preprocessing.error_threshold
    # As NumPy arrays, so that the function is bound to no device.
    traced, state = jax.device_get((run.traced, run.state))

    def function(*arrays: jax.Array) -> Answer:
        batch = raw.batch({one.name: array for one, array in zip(raw.arguments, arrays, strict=True)})
        outputs, scaled = run.program.forward(traced, state, batch)
        answer = run.task.answer(outputs, scaled, state.fitted.inputs, state.fitted.targets)
        if threshold is not None and "error" in answer:
            answer["flagged"] = answer["error"] > threshold
        return answer

    return Exported(raw.arguments, function)


def examples(run: TrainedRun, network: Exported, count: int) -> list[np.ndarray]:
    """Made-up raw arrays in the range of the training data, for trying an artifact out."""
    made = _raw(run).made_up(np.random.default_rng(0), count, run.preprocessing.input_scaling)
    return [np.asarray(made[one.name], one.dtype) for one in network.arguments]


def _raw(run: TrainedRun) -> ArrayInputs | TableInputs:
    reader = run.preprocessing.reader
    # A user's own kind of TableReader may make other inputs of the columns than the exported arithmetic would.
    return TableInputs(reader) if type(reader) is TableReader else ArrayInputs(run.preprocessing.spec)
