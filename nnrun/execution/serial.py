"""One run as a compiled program on its devices."""

import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nnrun.config import RunConfig, as_arrays
from nnrun.datasets.base import Data, Part, Scaling
from nnrun.execution.devices import Placement, batch_devices
from nnrun.models.base import Outputs
from nnrun.tasks.base import ArrayScaling
from nnrun.training import batches
from nnrun.training.program import EpochSums, Fitted, State, build

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """What evaluation brings to the host: summed statistics, and rows joined over the part."""

    sums: Arrays
    rows: Arrays

    @property
    def loss(self) -> float:
        """Mean loss per example."""
        return float(self.sums["nnrun/loss"] / self.sums["nnrun/count"])

    @property
    def terms(self) -> dict[str, float]:
        """Mean of each term that the model adds to the loss (a VAE's `kl`)."""
        prefix, total = "nnrun/term/", self.sums["nnrun/count"]
        return {k.removeprefix(prefix): float(v / total) for k, v in self.sums.items() if k.startswith(prefix)}


class SerialRun:
    """Compiled functions, data and numbers of one run; `compile_seconds` is what building them took."""

    def __init__(self, config: RunConfig, data: Data) -> None:
        started = time.perf_counter()
        self.data = data
        self.placement = Placement(batch_devices(config))
        static, traced = config.split()
        self.program = build(static, data.spec, batches.count(data.train), self.placement.shard)
        fitted = Fitted(_arrays(data.input_scaling), _arrays(data.target_scaling) if data.target_scaling else None)
        numbers = as_arrays(traced)
        self.state: State = self.placement.put(_initialize(self.program.init, numbers, fitted))
        self.traced = self.placement.put(numbers)
        self._train = self.placement.put(data.train)
        self._shape = batches.chunk_shape(data)
        self._chunks: dict[int, list[Any]] = {}
        self._compile()
        self.compile_seconds = time.perf_counter() - started

    def _compile(self) -> None:
        steps = jax.jit(self.program.steps, donate_argnums=1)
        chunk = self._on_device(self.data.val)[0]
        self._steps = steps.lower(self.traced, self.state, self._train, np.int32(1)).compile()
        self._evaluate = jax.jit(self.program.evaluate).lower(self.traced, self.state, chunk).compile()
        self._end_epoch = jax.jit(self.program.end_epoch, donate_argnums=1)
        self._outputs = jax.jit(self.program.outputs)

    def restore(self, state: State) -> None:
        """Continues from a state that was saved."""
        self.state = self.placement.put(state)

    @property
    def position(self) -> int:
        """Steps trained so far."""
        return int(self.state.step)

    @property
    def train_steps(self) -> int:
        """Steps of an epoch."""
        return self.program.train_steps

    def steps(self, count: int) -> EpochSums:
        """Trains `count` batches, waits for them, and gives the sums of the epoch so far."""
        self.state = self._steps(self.traced, self.state, self._train, np.int32(count))
        return EpochSums(*(float(value) for value in jax.device_get(self.state.sums)))

    def end_epoch(self, value: float, improved: bool) -> None:
        """Keeps the weights if the objective improved; `value` is smaller where better."""
        self.state = self._end_epoch(self.traced, self.state, np.float32(value), np.bool_(improved))

    def evaluate(self, part: Part, best: bool = False) -> Evaluation:
        """Statistics of every example of a part, under the current or the best weights."""
        found = [jax.device_get(self._evaluate(self.traced, self._state(best), c)) for c in self._on_device(part)]
        sums = {name: np.sum([f.sums[name] for f in found], 0) for name in found[0].sums}
        return Evaluation(sums, {name: self._trim([f.rows[name] for f in found], part) for name in found[0].rows})

    def outputs(self, part: Part) -> Outputs:
        """The best weights' Outputs on a part, as NumPy arrays (n, ...)."""
        found = [jax.device_get(self._outputs(self.traced, self._state(True), c)) for c in self._on_device(part)]
        return jax.tree.map(lambda *chunks: self._trim(chunks, part), *found)

    def model(self) -> Any:
        """The network with its best weights, to be called eagerly on one device."""
        return self.program.model(self.traced, self._state(True))

    def _state(self, best: bool) -> State:
        return self.state._replace(weights=self.state.best) if best else self.state

    def _trim(self, chunks: Any, part: Part) -> np.ndarray:
        return np.concatenate(chunks)[: batches.count(part)]

    def _on_device(self, part: Part) -> list[Any]:
        if id(part) not in self._chunks:
            self._chunks[id(part)] = [self.placement.put(chunk) for chunk in batches.chunks(part, self._shape)]
        return self._chunks[id(part)]


def _initialize(init: Any, numbers: Any, fitted: Fitted) -> State:
    """Runs `init` on one device, compiled without optimization: it runs once."""
    # Decompositions inside a program over several CPU devices can hang, see the orthogonal initializer.
    program = jax.jit(init, compiler_options={"xla_backend_optimization_level": "0"})
    return jax.device_get(program(numbers, fitted))


def _arrays(scaling: Scaling) -> ArrayScaling:
    return ArrayScaling(np.float32(scaling.offset), np.float32(scaling.scale))
