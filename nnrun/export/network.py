"""A trained network as one pure function of raw arrays, and a description of it for its users."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nnrun.loading import LoadedRun

Answer = dict[str, jax.Array]


@dataclass(frozen=True)
class Argument:
    """An array that the function takes: `shape` of one example, without the leading axis of examples."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    def of(self, batch: Any) -> jax.ShapeDtypeStruct:
        """Shape and type for a batch of a size, which may be symbolic."""
        return jax.ShapeDtypeStruct((batch, *self.shape), self.dtype)


@dataclass(frozen=True)
class Network:
    """`function(*arrays)` answers with arrays by name; weights, scaling and threshold are constants in it."""

    arguments: tuple[Argument, ...]
    function: Callable[..., Answer]

    def results(self) -> dict[str, jax.ShapeDtypeStruct]:
        """What a batch of one is answered with, as shapes and types."""
        found: dict[str, jax.ShapeDtypeStruct] = jax.eval_shape(self.function, *(one.of(1) for one in self.arguments))
        return found

    def signature(self) -> dict[str, Any]:
        """Arguments in order and results, for people and programs that have the file alone."""
        taken = {one.name: {"dtype": one.dtype.name, "shape": ["batch", *one.shape]} for one in self.arguments}
        given = {n: {"dtype": s.dtype.name, "shape": ["batch", *s.shape[1:]]} for n, s in self.results().items()}
        return {"arguments": taken, "results": given}


def network(run: LoadedRun) -> Network:
    """The function of a loaded run: raw `inputs` as float32, then `categories` and `lengths` where the data has them.

    Answers are those of `Task.answer`, and for a reconstruction `flagged`, whether the error exceeds the threshold.
    """
    spec, threshold = run.preprocessing.spec, run.preprocessing.error_threshold
    arguments = [Argument("inputs", np.dtype("float32"), spec.inputs)]
    if spec.categories:
        arguments.append(Argument("categories", np.dtype("int32"), (len(spec.categories),)))
    if spec.lengths:
        arguments.append(Argument("lengths", np.dtype("int32"), ()))
    # As NumPy arrays, so that the function is bound to no device.
    traced, state = jax.device_get((run.traced, run.state))

    def function(*arrays: jax.Array) -> Answer:
        batch = {one.name: array for one, array in zip(arguments, arrays, strict=True)}
        outputs, scaled = run.program.forward(traced, state, batch)
        answer = run.task.answer(outputs, scaled, state.fitted.inputs, state.fitted.targets)
        if threshold is not None and "error" in answer:
            answer["flagged"] = answer["error"] > threshold
        return answer

    return Network(tuple(arguments), function)


def examples(run: LoadedRun, network: Network, count: int) -> list[np.ndarray]:
    """Made-up raw arrays in the range of the training data, for trying an artifact out."""
    random, scaling = np.random.default_rng(0), run.preprocessing.input_scaling
    made = {"inputs": scaling.invert(random.normal(size=(count, *network.arguments[0].shape)))}
    if counts := run.preprocessing.spec.categories:
        made["categories"] = np.stack([random.integers(0, most, count) for most in counts], -1)
    made["lengths"] = random.integers(1, network.arguments[0].shape[0] + 1, count)
    return [np.asarray(made[one.name], one.dtype) for one in network.arguments]
