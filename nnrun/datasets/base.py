"""What a data set is: a spec known before anything is loaded, and three parts of plain NumPy arrays."""

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnrun.schema import setting, size

if TYPE_CHECKING:
    from nnrun.datasets.reader import Reader

Kind = Literal["table", "series", "image", "tokens", "audio"]
ScalingKind = Literal["standard", "minmax", "none"]
Part = dict[str, np.ndarray]


@dataclass(frozen=True)
class DataSpec:
    """The static facts of a data set.

    inputs: shape of one example: (features,), (time, channels) or (height, width, channels).
    targets: shape of one target: () for a class label, (values,), (horizon, variables); None without.
    classes: number of classes where targets are labels.
    per_step: targets have a leading time axis: (time, *targets).
    lengths: examples carry `lengths`, the number of valid steps.
    anomalies: examples carry `anomaly`, 1 for what the training part never shows.
    """

    kind: Kind
    inputs: tuple[int, ...]
    targets: tuple[int, ...] | None
    task: str
    classes: int | None = None
    per_step: bool = False
    lengths: bool = False
    anomalies: bool = False


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
    """scaled = (raw - offset) / scale, both broadcast against one example."""

    offset: np.ndarray
    scale: np.ndarray

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Raw to scaled units."""
        return (raw - self.offset) / self.scale

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled to raw units."""
        return scaled * self.scale + self.offset


@dataclass(frozen=True)
class Data:
    """A loaded data set.

    A part is a dict with `inputs` (n, *spec.inputs), `targets`, and `lengths` (n,) or `anomaly` (n,) where the spec
    says so; `targets` hold raw values, or class numbers as int32. `reader` reads further examples like these; without
    one, later verbs take arrays of raw inputs.
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
    reader: "Reader | None" = None


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

    @abc.abstractmethod
    def load(self) -> Data:
        """Reads or generates, splits, and fits the scaling. Raises RunError when files are missing or damaged."""
