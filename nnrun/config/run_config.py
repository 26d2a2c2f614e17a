"""A resolved Hydra config as frozen dataclasses, split into what shapes the program and the numbers it takes.

The only module below the command line that sees OmegaConf.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from omegaconf import DictConfig, OmegaConf

from nnrun.host import own_code
from nnrun import schema
from nnrun.errors import ConfigError
from nnrun.schema import number, setting, size

MEMBERS = ("dataset", "task", "model", "optimizer", "schedule")
"""Config groups whose choice is a class or function named by `_target_`."""


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """Keys of training.early_stopping."""

    patience: int | None = size(None, "stop after this many epochs without improvement; null: never")
    minimum_change: float = setting(0.0, "smallest improvement that counts", least=0.0)


@dataclass(frozen=True)
class TrainingConfig:
    """Keys of training."""

    epochs: int = size(20, "passes over the training part")
    batch_size: int = size(32, "examples per step")
    gradient_clip: float | None = number(None, "largest global norm of the gradient; null: no clipping", above=0)
    precision: Literal["float32", "bfloat16"] = setting("float32", "of the arithmetic; weights stay float32")
    devices: int | Literal["auto"] = size("auto", "devices that share a batch; auto: all CPU cores for recurrent nets")
    early_stopping: EarlyStoppingConfig = dataclasses.field(default=EarlyStoppingConfig())
    trainable: tuple[str, ...] = setting(("*",), "globs of the names of the weights that learn")
    checkpoint_seconds: float = setting(20.0, "time between saved states to continue from", least=0)


@dataclass(frozen=True)
class AugmentationConfig:
    """Keys of augmentation: random changes of training images, drawn anew for every image in every step."""

    flip: float = number(0.0, "probability of mirroring left and right", off=0.0, least=0, most=1)
    flip_vertical: float = number(0.0, "probability of mirroring top and bottom", off=0.0, least=0, most=1)
    rotation: float = number(0.0, "largest angle in degrees, either way", off=0.0, least=0, most=180)
    crop: float = number(
        0.0,
        "share of the side added as black border before a random crop of the old size; 0.125: 4 of 32 pixels",
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
class Member:
    """A choice of a config group: what to build, and its checked config."""

    target: str
    config: Any

    def locate(self) -> Any:
        """The class or function itself."""
        return schema.locate(self.target)


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on; hashable, so that equal static parts compare equal."""

    dataset: Member
    task: Member
    model: Member
    optimizer: Member
    schedule: Member
    training: TrainingConfig
    objective: ObjectiveConfig
    seed: int
    augmentation: AugmentationConfig = AugmentationConfig()

    def split(self) -> tuple["RunConfig", dict[str, float]]:
        """The static part, and the traced numbers by dotted name (`optimizer.learning_rate`, `seed`)."""
        static: dict[str, Any] = {"seed": 0}
        traced: dict[str, float] = {"seed": self.seed}
        for group in (*MEMBERS, "training", "augmentation"):
            part = getattr(self, group)
            config, numbers = schema.split_traced(part.config if isinstance(part, Member) else part)
            static[group] = dataclasses.replace(part, config=config) if isinstance(part, Member) else config
            traced |= {f"{group}.{name}": value for name, value in numbers.items()}
        return dataclasses.replace(self, **static), traced

    def with_numbers(self, group: str, traced: dict[str, Any]) -> Any:
        """The config of a group with its traced fields filled in again; they may be tracers."""
        part = getattr(self, group)
        config = part.config if isinstance(part, Member) else part
        names = {name.partition(".")[2]: value for name, value in traced.items() if name.startswith(group + ".")}
        return dataclasses.replace(config, **names)


def as_arrays(traced: dict[str, float]) -> dict[str, np.generic]:
    """Traced numbers as the scalars that programs take."""
    return {name: np.uint32(value) if name == "seed" else np.float32(value) for name, value in traced.items()}


def to_plain(config: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """Plain Python containers without Hydra's own node."""
    plain = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=True)
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    return {str(key): value for key, value in plain.items()}


def resolved(plain: dict[str, Any]) -> dict[str, Any]:
    """The same with `${...}` replaced by what it names."""
    return to_plain(OmegaConf.create(plain)) if "${" in str(plain) else plain


def build(plain: dict[str, Any]) -> RunConfig:
    """Checks a whole config; groups that need no heavy import come first. Raises ConfigError."""
    known = [field.name for field in dataclasses.fields(RunConfig)]
    for name in plain:
        if name not in known:
            raise ConfigError(f"There is no key {name}. {schema.nearest(name, known)}")
    if missing := [name for name in known if name not in plain and name != "augmentation"]:
        raise ConfigError(f"The config lacks {missing[0]}, which every run needs. Leave ~{missing[0]} out.")
    seed = plain["seed"]
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be an integer >= 0 and < 4294967296, but got {seed}. Set for example seed=0.")
    training = schema.build("training", plain["training"], TrainingConfig)
    objective = schema.build("objective", plain["objective"], ObjectiveConfig)
    augmentation = schema.build("augmentation", plain.get("augmentation", {}), AugmentationConfig)
    checked = {group: schema.build(group, plain[group]) for group in MEMBERS}
    members = {group: Member(plain[group]["_target_"], checked[group]) for group in MEMBERS}
    return RunConfig(training=training, objective=objective, seed=seed, augmentation=augmentation, **members)


@own_code.refused()
def check_fit(config: RunConfig) -> None:
    """Whether the model can take the data and the task knows the objective, before anything is loaded."""
    from nnrun.compose import compatible

    spec = config.dataset.locate()(config.dataset.config).spec()
    model = config.model.locate()
    if spec.kind not in model.kinds:
        raise ConfigError(
            f"model={_name(config.model)} takes {' or '.join(model.kinds)} data, but dataset={_name(config.dataset)} "
            f"is {spec.kind} data of shape {spec.inputs}. {_fitting_models(spec.kind)}"
        )
    _check_augmentation(config, spec)
    if spec.anchor and not model.anchored:
        raise ConfigError(
            f"model={_name(config.model)} does not forecast changes. Set dataset.relative_to=none, or for example "
            "model=lstm."
        )
    if spec.categories and not model.embeds:
        raise ConfigError(
            f"model={_name(config.model)} learns no embeddings, but dataset={_name(config.dataset)} has columns of "
            "categories to be embedded. Set dataset.categorical=one_hot and no type embedding, or model=mlp."
        )
    task = config.task.locate()(config.task.config, spec)
    output = task.output_spec()
    task.check_model(config.model.config)
    check_objective(config.objective, task, model.terms)
    compatible.check(config, spec, output)


def _check_augmentation(config: RunConfig, spec: Any) -> None:
    if config.augmentation.active and spec.kind != "image":
        raise ConfigError(
            f"augmentation changes images, but dataset={_name(config.dataset)} is {spec.kind} data. "
            "Set augmentation=none."
        )
    if config.augmentation.saturation and spec.inputs[-1] != 3:
        raise ConfigError(
            f"augmentation.saturation needs red, green and blue, but dataset={_name(config.dataset)} has "
            f"{spec.inputs[-1]} channel(s). Set augmentation.saturation=0."
        )


def check_objective(objective: ObjectiveConfig, task: Any, terms: tuple[str, ...] = ()) -> str:
    """The direction of the objective. Raises ConfigError when neither the task nor the model's terms have it."""
    from nnrun.tasks.metrics import DIRECTIONS

    names = [f"val/{name}" for name in ("loss", *task.metric_names(), *terms)]
    if objective.metric not in [*names, "train/loss"]:
        found = schema.nearest(f"val/{objective.metric.rpartition('/')[2]}", names)
        listed = f" The task has: {', '.join(names)}." if found.startswith("Did") else ""
        raise ConfigError(
            f"objective.metric must be a metric of this task, but got {objective.metric}. {found}{listed}"
        )
    if objective.direction != "auto":
        return objective.direction
    return DIRECTIONS.get(objective.metric.partition("/")[2], "minimize")


def _name(member: Member) -> str:
    return member.target.split(".")[-2]


def _fitting_models(kind: str) -> str:
    from nnrun.config.choices import choices, load_choice

    fitting = [
        name
        for name in choices("model")
        if kind in getattr(schema.locate(load_choice("model", name)["_target_"]), "kinds", ())
    ]
    return f"For {kind} data choose from: {', '.join(fitting)}."
