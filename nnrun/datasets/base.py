"""What a data set is: a spec known before anything is loaded, and three parts of plain NumPy arrays."""

import abc
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from nnrun.datasets.part import Part, is_mapped
from nnrun.datasets.reader import Reader
from nnrun.schema import setting, size

Kind = Literal["table", "series", "image", "tokens", "audio"]
ScalingKind = Literal["standard", "minmax", "none"]

EXCERPT_ROWS, EXCERPT_BYTES = 100_000, 2**30
"""Of a part that may be larger than memory, for predictions, figures and naive baselines; metrics are of all rows."""
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Anchor:
    """What a forecast is a change of: step h of variable v starts from inputs[steps[h], columns[v]].

    steps count from the end of the window, -1 is the newest value; with a forecast after every step there is one, 0,
    the step itself.
    """

    steps: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class DataSpec:
    """The static facts of a data set.

    inputs: shape of one example: (features,), (time, channels) or (height, width, channels).
    targets: shape of one target: () for a class label, (values,), (horizon, variables); None without.
    classes: number of classes where targets are labels.
    per_step: targets have a leading time axis: (time, *targets).
    lengths: examples carry `lengths`, the number of valid steps.
    anomalies: examples carry `anomaly`, 1 for what the training part never shows.
    log: inputs and targets are scaled after taking their logarithms.
    anchor: where forecasts start from; the network predicts the change.
    categories: examples carry `categories` (columns,), numbers below these counts; 0 stands for never seen.
    """

    kind: Kind
    inputs: tuple[int, ...]
    targets: tuple[int, ...] | None
    task: str
    classes: int | None = None
    per_step: bool = False
    lengths: bool = False
    anomalies: bool = False
    log: bool = False
    anchor: Anchor | None = None
    categories: tuple[int, ...] = ()


@dataclass(frozen=True)
class Series:
    """What forecasting metrics and pictures need to know of the series behind the windows.

    period: steps of a season, None where there is none.
    naive_error: (variables,) mean absolute one-step (or seasonal) difference on the training part, MASE's denominator.
    target_columns: which input channels the targets are.
    """

    period: int | None
    naive_error: np.ndarray
    target_columns: tuple[int, ...]


@dataclass(frozen=True)
class Scaling:
    """scaled = (raw - offset) / scale, or with `log` (log raw - offset) / scale; both broadcast against one example."""

    offset: np.ndarray
    scale: np.ndarray
    log: bool = False

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Raw to scaled units."""
        return ((np.log(raw) if self.log else raw) - self.offset) / self.scale

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled to raw units."""
        found = scaled * self.scale + self.offset
        return np.exp(found) if self.log else found


@dataclass(frozen=True)
class Data:
    """A loaded data set.

    A part is a dict with `inputs` (n, *spec.inputs), `targets`, and `lengths` (n,) or `anomaly` (n,) where the spec
    says so; `targets` hold raw values, or class numbers as int32. `reader` reads further examples like these; without
    one, later verbs take arrays of raw inputs. `labels` (columns, as a Block has them) tell the test examples apart,
    `notes` are sentences for the user, `error_threshold` is the reconstruction error above which an example is flagged.
    """

    spec: DataSpec
    train: Part
    val: Part
    test: Part
    input_scaling: Scaling
    target_scaling: Scaling | None = None
    input_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    series: Series | None = None
    reader: Reader | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error_threshold: float | None = None

    @cached_property
    def input_range(self) -> tuple[float, float]:
        """The smallest and largest scaled input of the training part, in which a mapped one is read once."""
        low, high = np.inf, -np.inf
        inputs = self.train["inputs"]
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            block = np.asarray(self.input_scaling.apply(inputs[start : start + ROWS_AT_ONCE]), np.float32)
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        return low, high

    def excerpt(self) -> "Data":
        """The same with the first rows of every part that is mapped: at most EXCERPT_ROWS, and EXCERPT_BYTES."""
        if not any(map(is_mapped, (self.train, self.val, self.test))):
            return self
        train, val, test = map(_excerpt, (self.train, self.val, self.test))
        labels = {name: values[: len(test["inputs"])] for name, values in self.labels.items()}
        return replace(self, train=train, val=val, test=test, labels=labels)


def _excerpt(part: Part) -> Part:
    if not is_mapped(part):
        return part
    row = sum(values[:1].nbytes for values in part.values())
    rows = max(1, min(EXCERPT_ROWS, EXCERPT_BYTES // row))
    return {name: np.array(values[:rows]) for name, values in part.items()}


@dataclass(frozen=True)
class DatasetConfig:
    """Keys that every data set has."""

    seed: int = size(0, "generation and split", least=0)
    limit: int | None = size(None, "at most this many examples in all; null: all", least=10)
    val_fraction: float = setting(0.15, "share of the examples for validation", above=0.0, below=0.9)
    test_fraction: float = setting(0.15, "share of the examples for the test", above=0.0, below=0.9)
    scaling: ScalingKind = setting("standard", "fitted on the training part alone")


class Dataset(abc.ABC):
    """Base of every data set; built from its config, which is its only argument."""

    @abc.abstractmethod
    def spec(self) -> DataSpec:
        """Shapes and kind, without loading or generating the data."""

    def task(self) -> str:
        """The task where the YAML says `_task_: auto`. Raises ConfigError where it cannot be told."""
        return self.spec().task

    @abc.abstractmethod
    def load(self) -> Data:
        """Reads or generates, splits, and fits the scaling. Raises RunError when files are missing or damaged."""
