"""What a task is: it says what head it needs, what is minimised, and what is reported."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import numpy as np

from nnrun.datasets.base import Data, DataSpec
from nnrun.models.base import Batch, Model, Outputs, OutputSpec
from nnrun.schema import Change
from nnrun.tasks.metrics import DIRECTIONS, Direction


class ArrayScaling(NamedTuple):
    """scaled = (raw - offset) / scale, as traced arrays."""

    offset: Any
    scale: Any

    def apply(self, raw: jax.Array) -> jax.Array:
        """Raw to scaled units."""
        return (raw - self.offset) / self.scale

    def invert(self, scaled: jax.Array) -> jax.Array:
        """Scaled to raw units."""
        return scaled * self.scale + self.offset


class Statistics(NamedTuple):
    """What evaluation keeps of a batch.

    sums: arrays already summed over the batch with its mask; added up over batches.
    rows: arrays (batch, ...) kept per example for metrics that are no batch means (AUROC).
    """

    sums: dict[str, jax.Array]
    rows: dict[str, jax.Array]


ALL: Literal["all"] = "all"
MOST_DETAILS = 1000
"""Most targets, classes or steps ahead that are measured one by one."""

Summed = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
"""The added-up sums and the joined rows of a part, on the host."""


class Task(abc.ABC):
    """Base of every task, built as `Task(config, data_spec)`; inside a trace, traced fields of `config` are tracers.

    In `loss` and `statistics`, `batch["inputs"]` and, unless they are labels, `batch["targets"]` are in scaled units
    and `batch["mask"]` (batch,) is 1 for real examples and 0 for padding.
    """

    figures: ClassVar[tuple[str, ...]] = ()
    """Names of modules in nnrun.report that picture the result, or of one's own beside ./conf with a `draw(run)`."""
    directions: ClassVar[Mapping[str, Direction]] = {}
    """Which way the task's own metrics get better, by their names without a prefix; known ones need no entry."""

    def __init__(self, config: Any, data: DataSpec) -> None:
        self.config = config
        self.data = data

    overconfident: ClassVar[bool] = False
    """Whether the loss of examples that were not trained on may rise while the answers get better."""

    @classmethod
    def prepare(cls, config: Any, data: Data) -> Any:
        """The config completed by what only the loaded training part tells; called once, before building."""
        return config

    @classmethod
    def without_training(cls, config: Any) -> Any:
        """The config where the training part is not at hand: what `prepare` would take from it is left out."""
        return config

    @abc.abstractmethod
    def output_spec(self) -> OutputSpec:
        """The head the model needs. Raises ConfigError when the data does not fit the task."""

    def check_model(self, model: Any) -> None:  # noqa: B027
        """Raises ConfigError when the loss cannot judge what a model of this config gives."""

    @classmethod
    def direction(cls, metric: str) -> Direction:
        """Which way a metric, named without its prefix, gets better: smaller where neither side says."""
        return {**DIRECTIONS, **cls.directions}.get(metric, "minimize")

    @abc.abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """Names that `finish` reports beside `loss`, in the order of the columns of metrics.csv."""

    def comparable(self, change: Change) -> tuple[str, ...]:
        """Metrics that trials can be compared by although they differ in a setting that `changes` that, the best first.

        Of `question`, where nothing is in the same units, those that are a share of what there is to be known.
        """
        return self.metric_names() if change == "loss" else ()

    @abc.abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) data loss per example, the model's `terms` not included."""

    def weights(self, batch: Batch) -> jax.Array:
        """(batch,) how often each example counts in mean losses and terms: 0 for padding, else 1 unless a task differs.

        Where `loss` is a mean over an example's tokens, their number makes every mean one per token.
        """
        return batch["mask"]

    @abc.abstractmethod
    def statistics(self, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """What the metrics need of a batch; `targets` turns scaled predictions into original units."""

    @abc.abstractmethod
    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """Metrics on the host, without a prefix, from the added-up sums and the joined rows."""

    def finish_all(self, found: Sequence[Summed], data: Data) -> list[dict[str, float]]:
        """What `finish` gives for each of several networks on the same part."""
        return [self.finish(sums, rows, data) for sums, rows in found]

    def details(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """Test metrics of single targets, classes or steps ahead, named `<metric>/<name>`, from what `finish` gets.

        A task that keeps other sums than the one it extends has none.
        """
        return {}

    def condense(self, outputs: Outputs, batch: Batch) -> Outputs:
        """What of a batch's Outputs leaves the device, computed inside a trace; `batch` may lack the targets.

        `decode`, `baselines`, `calibrate` and the figures get what this gives, joined over a part: a task whose
        predictions are larger than what it reports (scores of a large vocabulary) keeps only that.
        """
        return outputs

    def generate(self, model: Model, batch: Batch, rngs: Any) -> Outputs:
        """What a task that decodes in its own way predicts of a batch, in the place of `condense`; others lack it.

        It calls the model as often as it wants, for the test part and for new examples, which have no targets. What
        training and evaluation minimise and measure stays with the one call that `loss` and `statistics` see. `rngs`
        draws as in training, the same for the same examples.
        """
        raise NotImplementedError(f"{type(self).__name__} generates nothing")

    @classmethod
    def generates(cls) -> bool:
        """Whether the task has a `generate` of its own."""
        return cls.generate is not Task.generate

    @abc.abstractmethod
    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Predictions for people: columns (n,) for a csv, or arrays of higher rank for an npz."""

    def answer(
        self, outputs: Outputs, batch: Batch, inputs: ArrayScaling, targets: ArrayScaling | None
    ) -> dict[str, jax.Array]:
        """What an exported network returns, computed inside a trace: what `decode` writes, as arrays (batch, ...).

        `batch` is in scaled units; `inputs` and `targets` turn values into original ones.
        """
        return {"prediction": outputs.prediction}

    def calibrate(self, outputs: Callable[[], Outputs], data: Data) -> Data:
        """The data completed by what the trained network does on the validation part; called once, after training.

        `outputs()` computes those on the validation part (NumPy arrays).
        """
        return data

    def wants(self, baseline: str, by_name: bool = False) -> bool:
        """Whether `task.baselines` has a baseline, all of them by default; `by_name`: whether it is named there."""
        wanted = getattr(self.config, "baselines", ALL)
        return (wanted == ALL and not by_name) or (wanted != ALL and baseline in wanted)

    def headline(self) -> str:
        """The metric, without a prefix, that a network and its baselines are compared in if the objective is a loss."""
        return self.metric_names()[0]

    def remarks(self, baseline: dict[str, dict[str, float]], metrics: dict[str, float], data: Data) -> tuple[str, ...]:
        """Sentences on the test metrics, which are given as in summary.json, for the end of a run."""
        return ()

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """Naive predictors on the test part: {baseline: {metric without prefix: value}}.

        `outputs` are the trained model's own on the test part (NumPy arrays), for baselines of equal size (PCA).
        """
        return {}

    def slow_baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """As `baselines`, those that may take half a minute."""
        return {}

    def compared(self, outputs: Outputs, data: Data, slow: bool) -> dict[str, dict[str, float]]:
        """All baselines; `slow`: those that take their time too, though they are not named."""
        named = getattr(self.config, "baselines", ALL) != ALL
        return self.baselines(outputs, data) | (self.slow_baselines(data) if slow or named else {})

    def tables(self, model: Model, data: Data) -> dict[str, dict[str, np.ndarray]]:
        """Further results of the trained model: {name: columns}, each a file `<name>.csv` in the run's folder."""
        return {}
