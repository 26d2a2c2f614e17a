"""A resolved Hydra config as frozen dataclasses, split into what shapes the program and the numbers it takes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nnrun import schema
from nnrun.errors import ConfigError
from nnrun.schema import number, setting, size

PictureFormat = Literal["png", "svg", "pdf"]
MEMBERS = ("dataset", "task", "model", "optimizer", "schedule")
"""Config groups whose choice is a class or function named by `_target_`."""
LATER = ("augmentation", "report")
"""Groups that the configs of earlier runs lack."""


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """Keys of training.early_stopping."""

    patience: int | None = size(None, "stop after this many epochs without improvement; null: never")
    minimum_change: float = setting(0.0, "smallest improvement that counts", least=0.0)


@dataclass(frozen=True)
class TrainingConfig:
    """Keys of training."""

    epochs: int | Literal["auto"] = size(
        "auto",
        "passes over the training part; auto: 20 of generated data and digits, else 3000 steps in 20 to 1000 epochs",
    )
    batch_size: int = size(32, "examples per step")
    gradient_clip: float | None = number(None, "largest global norm of the gradient; null: no clipping", above=0)
    precision: Literal["float32", "bfloat16"] = setting("float32", "of the arithmetic; weights stay float32")
    devices: int | Literal["auto"] = size("auto", "devices that share a batch; auto: all CPU cores for recurrent nets")
    early_stopping: EarlyStoppingConfig = dataclasses.field(default=EarlyStoppingConfig())
    folds: int = size(
        1,
        "cross-validation: the training and validation part in so many equal folds, of which each validates the "
        "networks that learn from the others; 1: the parts as they are",
    )
    repeats: int = size(1, "networks that learn the same with other seeds: seed, seed + 1, ...; means go by all")
    refit: bool = setting(
        False, "train anew on training and validation part for as many epochs as were best; a sweep's winner alone"
    )
    trainable: tuple[str, ...] = setting(("*",), "globs of the names of the weights that learn")
    initial: str | None = setting(None, "safetensors file or folder of a run whose weights to start from; null: drawn")
    checkpoint_seconds: float = setting(20.0, "time between saved states to continue from", least=0)

    @property
    def passes(self) -> int:
        """The epochs as a number, which `auto` is once the data are known."""
        if self.epochs == "auto":
            raise ValueError("training.epochs=auto has no number yet: execution.prepared.prepare gives it")
        return self.epochs

    @property
    def members(self) -> int:
        """How many networks a setting is judged by: its folds, each with its repeats."""
        return self.folds * self.repeats


@dataclass(frozen=True)
class AugmentationConfig:
    """Keys of augmentation: random changes of training images, drawn anew for every image in every step."""

    flip: float = number(0.0, "probability of mirroring left and right", off=0.0, least=0, most=1)
    flip_vertical: float = number(0.0, "probability of mirroring top and bottom", off=0.0, least=0, most=1)
    rotation: float = number(0.0, "largest angle in degrees, either way, the edge repeated", off=0.0, least=0, most=180)
    crop: float = number(
        0.0,
        "share of the side by which a picture is shifted at most, its edge repeated; 0.125: 4 of 32 pixels",
        off=0.0,
        least=0,
        most=0.5,
    )
    brightness: float = number(0.0, "largest relative change of all values", off=0.0, least=0, most=1)
    contrast: float = number(0.0, "largest relative change of the distance to the mean grey", off=0.0, least=0, most=1)
    saturation: float = number(0.0, "largest relative change of a colour's distance to grey", off=0.0, least=0, most=1)

    @property
    def active(self) -> bool:
        """Whether any of it is on."""
        return self != AugmentationConfig()


@dataclass(frozen=True)
class ObjectiveConfig:
    """Keys of objective: what the search, early stopping and the best weights look at."""

    metric: str = setting("val/loss", "a metric of the validation part")
    direction: Literal["auto", "minimize", "maximize"] = setting("auto", "auto: known from the metric")


@dataclass(frozen=True)
class ReportConfig:
    """Keys of report."""

    format: PictureFormat = setting("png", "of the figures; png has 200 dots per inch")
    slow_baselines: bool = setting(True, "gradient boosting where task.baselines is all; false: only where it names it")


@dataclass(frozen=True)
class Choice:
    """What a config group chose: the class or function that `_target_` names, and its checked config."""

    target: str
    config: Any
    cls: Any = dataclasses.field(compare=False, repr=False)

    def create(self, *more: Any) -> Any:
        """What the class or function makes of its config, and of what else it takes."""
        return self.cls(self.config, *more)


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on; hashable, so that equal static parts compare equal."""

    dataset: Choice
    task: Choice
    model: Choice
    optimizer: Choice
    schedule: Choice
    training: TrainingConfig
    objective: ObjectiveConfig
    seed: int
    augmentation: AugmentationConfig = AugmentationConfig()
    report: ReportConfig = ReportConfig()

    def split(self) -> tuple["RunConfig", dict[str, float]]:
        """The static part, and the traced numbers by dotted name (`optimizer.learning_rate`, `seed`)."""
        # The seed is a number that every program takes: trials that differ in it share one. Pictures shape none.
        static: dict[str, Any] = {"seed": 0, "report": ReportConfig()}
        traced: dict[str, float] = {"seed": self.seed}
        for group in (*MEMBERS, "training", "augmentation"):
            part = getattr(self, group)
            config, numbers = schema.split_traced(part.config if isinstance(part, Choice) else part)
            static[group] = dataclasses.replace(part, config=config) if isinstance(part, Choice) else config
            traced |= {f"{group}.{name}": value for name, value in numbers.items()}
        return dataclasses.replace(self, **static), traced

    def title(self, names: Mapping[str, Any]) -> str:
        """The model and the data set by the names of their choices, a file by its own: `mlp on houses.csv`."""
        given = self.dataset.config
        path = getattr(given, "path", None) or getattr(given, "train", None)
        return f"{names['model']} on {Path(path).name if isinstance(path, str) else names['dataset']}"

    def with_numbers(self, group: str, traced: dict[str, Any]) -> Any:
        """The config of a group with its traced fields filled in again; they may be tracers."""
        part = getattr(self, group)
        config = part.config if isinstance(part, Choice) else part
        names = {name.partition(".")[2]: value for name, value in traced.items() if name.startswith(group + ".")}
        return dataclasses.replace(config, **names)


def as_arrays(traced: dict[str, float]) -> dict[str, np.generic]:
    """Traced numbers as the scalars that programs take."""
    # float32 holds whole numbers exactly up to 2**24 only, and every seed is to be another.
    return {name: np.uint32(value) if name == "seed" else np.float32(value) for name, value in traced.items()}


def build(plain: dict[str, Any]) -> RunConfig:
    """Checks a whole config; groups that need no heavy import come first. Raises ConfigError."""
    known = [field.name for field in dataclasses.fields(RunConfig)]
    for name in plain:
        if name not in known:
            raise ConfigError(f"There is no key {name}. {schema.nearest(name, known)}")
    if missing := [name for name in known if name not in plain and name not in LATER]:
        raise ConfigError(f"The config lacks {missing[0]}, which every run needs. Leave ~{missing[0]} out.")
    seed = plain["seed"]
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be an integer >= 0 and < 4294967296, but got {seed}. Set for example seed=0.")
    training = schema.build("training", plain["training"], TrainingConfig)
    objective = schema.build("objective", plain["objective"], ObjectiveConfig)
    augmentation = schema.build("augmentation", plain.get("augmentation", {}), AugmentationConfig)
    report = schema.build("report", plain.get("report", {}), ReportConfig)
    chosen = {group: choice(group, plain[group]) for group in MEMBERS}
    dataset, tasks = chosen["dataset"], [kind.__name__ for kind in getattr(chosen["task"].cls, "__mro__", ())]
    # A data set of a user's own need not be a Dataset of ours.
    if settle := getattr(dataset.cls, "for_task", None):
        chosen["dataset"] = dataclasses.replace(dataset, config=settle(dataset.config, tasks))
    return RunConfig(
        training=training, objective=objective, seed=seed, augmentation=augmentation, report=report, **chosen
    )


def choice(group: str, values: Any) -> Choice:
    """What a config group chose, from its plain values. Raises ConfigError."""
    cls, config = schema.build_chosen(group, values)
    return Choice(values["_target_"], config, cls)
