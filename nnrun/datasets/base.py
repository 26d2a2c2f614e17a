"""What a data set is: a spec known before anything is loaded, and three parts of plain NumPy arrays."""

import abc
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from nnrun.datasets import fields
from nnrun.datasets.fields import Field
from nnrun.datasets.part import Part, count, is_mapped, take
from nnrun.datasets.reader import Reader
from nnrun.errors import ConfigError
from nnrun.schema import setting, size

Kind = Literal["table", "series", "image", "tokens", "audio"]
ScalingKind = Literal["standard", "minmax", "none"]

EXCERPT_ROWS, EXCERPT_BYTES = 100_000, 2**30
"""The excerpt of a part that may be larger than memory: predictions, figures and naive baselines are of it, metrics of
all rows."""
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
    """The static facts of a data set; `example` has the fields of an example that follow from them.

    inputs: shape of one example: (features,), (time, channels) or (height, width, channels).
    targets: shape of one target: () for a class label, (values,), (horizon, variables); None without.
    classes: number of classes where targets are labels.
    per_step: targets have a leading time axis: (time, *targets).
    lengths: examples carry `lengths`, the number of valid steps.
    anomalies: examples carry `anomaly`, 1 for what the training part never shows.
    log: scaled fields are scaled after taking their logarithms.
    anchor: where forecasts start from; the network predicts the change.
    categories: examples carry `categories` (columns,), numbers below these counts; 0 stands for never seen.
    fields: what else an example consists of. One that is called like a usual field says more about it (the number of
        tokens, that a target is a mask which moves with its image) and takes its place.
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
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError where `fields` do not fit each other or the other arguments."""
        if self.fields:
            fields.check(self._usual(), self.fields)

    @property
    def example(self) -> dict[str, Field]:
        """Every field of an example by name: `inputs` (whole numbers where they are tokens), `targets`, `categories`,
        `lengths` and `anomaly` as far as the arguments say that there are such, then those of `fields`."""
        return fields.by_name(self._usual(), self.fields)

    def shown(self, part: Part) -> Part:
        """A part without what is to be predicted, so that files with and without answers share one program."""
        example = self.example
        return {name: values for name, values in part.items() if name not in example or not example[name].answer}

    def valid_steps(self, name: str, arrays: dict[str, Any]) -> Any:
        """How many steps of a field are valid, (examples,) of a part or a batch; None where all are."""
        lengths = self.example[name].lengths
        return None if lengths is None else arrays[lengths]

    def _usual(self) -> tuple[Field, ...]:
        time = 0 if self.lengths or self.kind in ("series", "tokens", "audio") else None
        lengths = "lengths" if self.lengths else None
        whole = self.kind == "tokens"
        found = [Field("inputs", self.inputs, "int32" if whole else "float32", time, lengths, scaled=not whole)]
        if self.targets is not None:
            shape = (*self.inputs[:1], *self.targets) if self.per_step else self.targets
            steps = (0, lengths) if self.per_step else (None, None)
            if self.classes is None:
                found.append(Field("targets", shape, "float32", steps[0], steps[1], scaled=True, answer=True))
            else:
                found.append(Field("targets", shape, "int32", steps[0], steps[1], below=(self.classes,), answer=True))
        if self.categories:
            found.append(Field("categories", (len(self.categories),), "int32", below=self.categories))
        if self.lengths:
            found.append(Field("lengths", (), "int32"))
        if self.anomalies:
            found.append(Field("anomaly", (), "int32", below=(2,), answer=True))
        return tuple(found)


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


LEFT_OUT = 2.0**100
"""The scale of an input that is constant in the training part: whatever it is elsewhere, the network is given 0."""


@dataclass(frozen=True)
class Scaling:
    """scaled = (raw - offset) / scale, or with `log` (log raw - offset) / scale; both broadcast against one example.

    An input of the scale LEFT_OUT tells the network nothing, and turned back it is its offset.
    """

    offset: np.ndarray
    scale: np.ndarray
    log: bool = False

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Raw to scaled units."""
        return ((np.log(raw) if self.log else raw) - self.offset) / self.scale

    def invert(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled to raw units."""
        found = scaled * np.where(self.scale < LEFT_OUT, self.scale, np.float32(0)) + self.offset
        return np.exp(found) if self.log else found


UNSCALED = Scaling(np.zeros((), np.float32), np.ones((), np.float32))
"""The scaling of data without a scaled field of that name, tokens for example."""


@dataclass(frozen=True)
class Data:
    """A loaded data set.

    A part is a dict of the fields of `spec.example`, each (n, *shape): `inputs` and `targets` hold raw values, classes
    are numbers as int32. `scalings` are those of further scaled fields, by name. `reader` reads further examples like
    these; without one, later verbs take arrays of raw inputs. `labels` (columns, as a Block has them) tell the test
    examples apart. `season_before` (n, horizon, variables) are the values a season before those that the test windows
    forecast, where windows are shorter than a season. `places` of training and test, (n,) each, are those of the
    windows' newest steps in their season. `notes` are sentences for the user, `error_threshold` is the reconstruction
    error above which an example is flagged. `folds` divide the training and the validation part anew, where
    training.folds asks for it.
    """

    spec: DataSpec
    train: Part
    val: Part
    test: Part
    input_scaling: Scaling = UNSCALED
    target_scaling: Scaling | None = None
    input_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    series: Series | None = None
    reader: Reader | None = None
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    season_before: np.ndarray | None = None
    places: tuple[np.ndarray, np.ndarray] | None = None
    notes: tuple[str, ...] = ()
    error_threshold: float | None = None
    scalings: dict[str, Scaling] = field(default_factory=dict)
    folds: "Folds | None" = None

    def __post_init__(self) -> None:
        """Raises ConfigError where the parts are not what `spec.fields` says, or one of these lacks its scaling."""
        for part in (self.train, self.val, self.test):
            fields.check_part(part, self.spec.fields)
        for one in self.spec.fields:
            if one.scaled and one.name not in {"inputs", "targets", *self.scalings}:
                raise ConfigError(f"The field {one.name} is scaled, but Data.scalings has no {one.name}. Fit one.")

    @cached_property
    def input_range(self) -> tuple[float, float]:
        """The smallest and largest scaled input of the training part, in which a mapped one is read once."""
        low, high = np.inf, -np.inf
        inputs = self.train["inputs"]
        for start in range(0, len(inputs), ROWS_AT_ONCE):
            # float32 as the network gets it, whatever type the scaling gives.
            block = np.asarray(self.input_scaling.apply(inputs[start : start + ROWS_AT_ONCE]), np.float32)
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        return low, high

    def excerpt(self) -> "Data":
        """The data set with the first rows of every mapped part alone: at most EXCERPT_ROWS, and EXCERPT_BYTES."""
        if not any(map(is_mapped, (self.train, self.val, self.test))):
            return self
        train, val, test = map(_excerpt, (self.train, self.val, self.test))
        return replace(self, train=train, val=val, test=test, labels=take(self.labels, slice(count(test))))


NO_EXAMPLE = -1
"""The place of an example that a fold lacks: folds of unequal sizes are filled up with it at their end."""


@dataclass(frozen=True, eq=False)
class Folds:
    """Divisions of a pool of examples, a fold each.

    pool: every field, (n, ...). train, val: (folds, most) int32 places in the pool, NO_EXAMPLE behind the last ones.
    divisions: the data as each fold has them, with its own parts and with what was fitted on its training part alone.
    """

    pool: Part
    train: np.ndarray
    val: np.ndarray
    divisions: tuple[Data, ...]


def _excerpt(part: Part) -> Part:
    if not is_mapped(part):
        return part
    row = sum(values[:1].nbytes for values in part.values())
    rows = max(1, min(EXCERPT_ROWS, EXCERPT_BYTES // row))
    return {name: np.array(values[:rows]) for name, values in part.items()}


@dataclass(frozen=True)
class DatasetConfig:
    """Keys that every data set has."""

    seed: int = size(0, "generation and split", least=0, changes="examples")
    limit: int | None = size(None, "at most this many examples in total; null: all", least=10, changes="examples")
    val_fraction: float = setting(
        0.15, "share of the examples for validation", above=0.0, below=0.9, changes="examples"
    )
    test_fraction: float = setting(0.15, "share of the examples for the test", above=0.0, below=0.9, changes="examples")
    scaling: ScalingKind = setting("standard", "fitted on the training part alone", changes="units")


class Dataset(abc.ABC):
    """Base of every data set; built from its config, which is its only argument."""

    auto_epochs: ClassVar[int | None] = None
    """What training.epochs=auto stands for; None: what the number of its training examples calls for."""

    @abc.abstractmethod
    def spec(self) -> DataSpec:
        """Shapes and kind, without loading or generating the data."""

    def task(self) -> str:
        """The task where the YAML says `_task_: auto`. Raises ConfigError where it cannot be told."""
        return self.spec().task

    @classmethod
    def for_task(cls, config: Any, tasks: Collection[str]) -> Any:
        """The config where a task of these classes was chosen, which may settle what targets mean."""
        return config

    @abc.abstractmethod
    def load(self) -> Data:
        """Reads or generates, splits, and fits the scaling. Raises RunError when files are missing or damaged."""

    def folds(self, data: Data, count: int) -> Folds | None:
        """So many folds of what `load` gave; None: those of independent examples, of which a scaling alone is fitted.

        Raises ConfigError where the data cannot be divided so.
        """
        return None
