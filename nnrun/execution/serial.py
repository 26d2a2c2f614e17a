"""One run as a compiled program on its devices."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import jax
import numpy as np

from nnrun.config.run_config import RunConfig, as_arrays
from nnrun.datasets.base import Data
from nnrun.datasets.part import Part
from nnrun.execution import judge
from nnrun.execution.compiled import Compiled, compile_together
from nnrun.execution.devices import Placement, batch_devices
from nnrun.execution.judge import Evaluation
from nnrun.models.base import Outputs
from nnrun.training import batches
from nnrun.training.state import EpochSums, State


class SerialRun:
    """The state of one run: a trainer with one member.

    `compiled` may be that of another run of equal static config and data; `placement` is where the state lies, if not
    where that says.
    """

    def __init__(
        self, config: RunConfig, data: Data, compiled: Compiled | None = None, placement: Placement | None = None
    ) -> None:
        static, traced = config.split()
        self.compiled = compiled or Compiled(static, data, Placement(batch_devices(config)))
        self.program, self.placement = self.compiled.program, placement or self.compiled.placement
        self._numbers = as_arrays(traced)
        self.traced = self.placement.put(self._numbers)
        self.train_steps = self.program.train_steps
        self.stopped: set[int] = set()

    @cached_property
    def state(self) -> State:
        """What training carries; initial weights are drawn when first asked for."""
        return self.placement.put(self._initial())

    def _initial(self) -> State:
        return jax.tree.map(lambda leaf: leaf[0], self.compiled.init_all(self._twice()))

    @property
    def like(self) -> State:
        """What a saved state looks like: shapes alone but for what was fitted, so that nothing is drawn for it."""
        return self._shapes._replace(fitted=self.compiled.fitted())

    @cached_property
    def _shapes(self) -> State:
        return jax.eval_shape(self.program.init, self._numbers, self.compiled.fitted())

    def _twice(self) -> Any:
        # A loop over a single member would be unrolled and round otherwise than in a group.
        return jax.tree.map(lambda number: np.stack([number, number]), self._numbers)

    def compile(self) -> float:
        """Compiles what training needs; the seconds it took."""
        return compile_together(self._lowered())

    def _lowered(self) -> Iterator[Any]:
        source, _ = self.compiled.feed.take(0)
        initialize = self.compiled.lower_init(self._twice())
        yield initialize
        # Shapes of what was just lowered: to draw a state here would wait until it is compiled.
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), initialize.out_info)
        state = self.placement.like(one)
        yield self.compiled.steps.lower(self.traced, state, source, np.int32(0))
        yield self.compiled.evaluate.lower(self.traced, state.to_judge(), self._chunk())
        yield self.compiled.end_epoch.lower(self.traced, state, np.float32(0), np.bool_(False))

    def _chunk(self) -> Any:
        return next(iter(self.compiled.chunks(self.compiled.data.val)))

    def snapshot(self) -> tuple[State, dict[str, Any]]:
        """Everything that training needs to go on."""
        return self.state, {}

    def restore(self, state: State, layout: dict[str, Any] | None = None) -> None:
        """Continues from a state that was saved."""
        self.state = self.placement.put(state)

    def repack(self) -> None:
        """Nothing: there is one member."""

    def weights(self, member: int = 0) -> dict[str, Any]:
        """The best weights as a run's folder keeps them."""
        return {"weights": self.state.best, "numbers": self.state.numbers, "fitted": self.state.fitted}

    def adopt(self, kept: dict[str, Any]) -> None:
        """Takes over weights that were kept as the best."""
        self.state = self.placement.put(
            self.state._replace(best=kept["weights"], numbers=kept["numbers"], fitted=kept["fitted"])
        )

    @property
    def position(self) -> int:
        """Steps trained so far."""
        return int(self.state.step)

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.weights.params))

    def steps(self, count: int) -> list[EpochSums]:
        """Trains `count` batches, waits for them, and gives the sums of the epoch so far."""
        for source, some in self.compiled.sources(self.position, count):
            self.state = self.compiled.steps(self.traced, self.state, source, some)
        return [EpochSums(*(float(value) for value in jax.device_get(self.state.sums)))]

    def stop(self, leaving: Iterable[int]) -> None:
        """Trains no further; the state stays as it is."""
        self.stopped |= set(leaving)

    def end_epoch(self, values: list[float], improved: list[bool]) -> None:
        """Keeps the weights if the objective improved; values are smaller where better."""
        self.state = self.compiled.end_epoch(self.traced, self.state, np.float32(values[0]), np.bool_(improved[0]))

    def evaluate(self, part: Part, best: bool = False) -> list[Evaluation]:
        """Statistics of every example of a part, under the current or the best weights."""
        state, chunks = self.state.to_judge(best), self.compiled.chunks(part)
        return [judge.evaluation(lambda chunk: self._statistics(state, chunk), chunks, batches.count(part))]

    def outputs(self, part: Part) -> Outputs:
        """The best weights' Outputs on a part, as NumPy arrays (n, ...)."""
        state, chunks = self.state.to_judge(best=True), self.compiled.chunks(part)
        return judge.outputs(lambda chunk: jax.device_get(self._outputs(state, chunk)), chunks, batches.count(part))

    def _statistics(self, state: State, chunk: Part) -> Any:
        return self.compiled.evaluate(self.traced, state, chunk)

    def _outputs(self, state: State, chunk: Part) -> Any:
        return self.compiled.outputs(self.traced, state, chunk)

    def model(self, weights: Any = None) -> Any:
        """The network with its best weights, or with these, to be called eagerly on one device."""
        state = self.state.to_judge(best=True)
        return self.program.model(self.traced, state if weights is None else state._replace(weights=weights))


class Judged(SerialRun):
    """Weights that were trained elsewhere, judged by one program; zeros until weights are adopted.

    Where the task generates there are two, so that only what is to be predicted is generated for.
    """

    def _initial(self) -> State:
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), self._shapes)

    def _lowered(self) -> Iterator[Any]:
        compiled, arguments = self.compiled, (self.traced, self.placement.like(self._shapes.to_judge()), self._chunk())
        for function in (compiled.evaluate, compiled.outputs) if self.program.generates else (compiled.judge,):
            yield function.lower(*arguments)

    def _judge(self, state: State, chunk: Part) -> Any:
        return self.compiled.judge(self.traced, state, chunk)

    def _statistics(self, state: State, chunk: Part) -> Any:
        return super()._statistics(state, chunk) if self.program.generates else self._judge(state, chunk)[0]

    def _outputs(self, state: State, chunk: Part) -> Any:
        return super()._outputs(state, chunk) if self.program.generates else self._judge(state, chunk)[1]
