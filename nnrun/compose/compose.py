"""Typed words become composed configs, by Hydra's public interface; mistakes are explained in our words."""

import contextlib
import importlib
import itertools
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nnrun.compose.grammar import parse_override
from nnrun.compose.mistakes import explain
from nnrun.config import choices, run_config
from nnrun.errors import ConfigError
from nnrun.schema import nearest, show

if TYPE_CHECKING:
    from omegaconf import DictConfig

OF_SWEEPS = ("search", "execution", "dry_run")
"""Top-level keys that no single run has."""
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Composed:
    """One composed config: plain values of a run and of a sweep, and the name picked from each group of a run."""

    plain: dict[str, Any]
    choices: dict[str, str]
    sweep: dict[str, Any] = field(default_factory=dict)


def composed(plain: dict[str, Any], picked: dict[str, str]) -> Composed:
    """A Composed of a whole plain config: what belongs to sweeps is kept apart."""
    run = {key: value for key, value in plain.items() if key not in OF_SWEEPS}
    sweep = {key: plain[key] for key in OF_SWEEPS if key in plain} | {"strategy": picked.get("search", "grid")}
    return Composed(run, {group: name for group, name in picked.items() if group not in OF_SWEEPS}, sweep)


def prepare_imports() -> None:
    """Lets Hydra find our plugins."""
    plugins = str(Path(__file__).parents[1] / "_plugins")
    if plugins not in sys.path:
        sys.path.append(plugins)
    # Hydra looks for plugins once: one that did so before their folder was on the path is told of ours by hand.
    if "hydra.core.plugins" in sys.modules:
        from hydra.core.plugins import Plugins

        names = {"launcher": "NnrunLauncher", "search_path": "UserConf", "sweeper": "NnrunSweeper"}
        for module, name in names.items():
            Plugins.instance().register(getattr(importlib.import_module(f"hydra_plugins.nnrun.{module}"), name))


def parsed(overrides: list[str], multirun: bool) -> list[Any]:
    """Hydra's Override for each typed word. Raises ConfigError for what no config has to be composed to refuse."""
    # A choice of the user's that hides one of ours is refused, whatever is typed.
    for group in choices.groups():
        choices.choices(group)
    found = [parse_override(word) for word in overrides]
    for override in found:
        _check_name(override)
    if not multirun and (swept := [o.get_key_element() for o in found if o.is_sweep_override()]):
        raise ConfigError(f"Several values for {swept[0]} need -m: nnrun -m {shlex.join(overrides)}")
    return found


def _check_name(override: Any) -> None:
    """A group is given the name of a choice; Hydra itself fails on null, numbers and nothing."""
    group, value = override.get_key_element(), override.value()
    is_named = override.is_sweep_override() or isinstance(value, dict) or (isinstance(value, str) and value)
    if group in choices.groups() and not override.is_delete() and not is_named:
        typed = override.input_line.partition("=")[2] or "nothing"
        raise ConfigError(f"{group} must be a choice's name, but got {typed}. {nearest(typed, choices.choices(group))}")


def compose_one(overrides: list[str], swept: Mapping[str, Any] = NOTHING) -> Composed:
    """The config of overrides with one value each, `${...}` left as it is written; for `swept` see `resolve_task`.

    Raises ConfigError.
    """
    with _hydra_ready():
        return _with_task(overrides, resolve=False, swept=swept)


def compose_all(overrides: list[str], multirun: bool) -> list[Composed]:
    """One config for every combination of swept config groups and every value of a swept key. Raises ConfigError."""
    words = parsed(overrides, multirun)
    fixed = [o.input_line for o in words if not o.is_sweep_override()]
    with _hydra_ready():
        variants = _variants([o for o in words if o.is_sweep_override()])
        return [_with_task([*fixed, *varied]) for varied in variants]


def of_hydra(config: "DictConfig", overrides: list[str]) -> Composed:
    """What Hydra itself composed of the typed words, with its own node in it. Raises ConfigError."""
    with explaining(overrides):
        found = composed(to_plain(config), picked(config.hydra))
    _check_keys(found)
    return resolve_task(found)


def picked(node: Any) -> dict[str, str]:
    """The choices of our groups, from Hydra's own node of a config."""
    return {str(k): str(v) for k, v in node.runtime.choices.items() if v and not str(k).startswith("hydra/")}


def to_plain(config: "DictConfig", resolve: bool = True) -> dict[str, Any]:
    """Plain Python containers without Hydra's own node."""
    from omegaconf import OmegaConf

    ours = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(ours, resolve=resolve, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def resolved(plain: dict[str, Any]) -> dict[str, Any]:
    """A plain config with `${...}` replaced by what it names."""
    from omegaconf import OmegaConf

    return to_plain(OmegaConf.create(plain)) if "${" in str(plain) else plain


def resolve_task(composed: Composed, swept: Mapping[str, Any] = NOTHING) -> Composed:
    """Puts the model's or the data set's own task, with its defaults, where the config says `auto`.

    swept: the values that a sweep lists for keys of the data set; all of them must call for the same task.
    """
    if composed.choices["task"] != "auto":
        return composed
    task = _own_task(composed, swept)
    typed = {name: value for name, value in composed.plain["task"].items() if not name.startswith("_")}
    plain = composed.plain | {"task": choices.load_choice("task", task) | typed}
    return replace(composed, plain=plain, choices=composed.choices | {"task": task})


@contextlib.contextmanager
def _hydra_ready() -> Iterator[None]:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    # Inside Hydra's own main function, which searches the same folders.
    if GlobalHydra.instance().is_initialized():
        yield
        return
    prepare_imports()
    with initialize_config_dir(str(choices.conf_folder()), version_base="1.3"):
        yield


def _variants(swept: list[Any]) -> list[list[str]]:
    """Every combination of choices of groups; of other keys every value once, beside the first of the others."""
    groups = set(choices.groups())
    options = [[f"{o.get_key_element()}={value}" for value in _values(o)] for o in swept]
    structural = [o.get_key_element() in groups for o in swept]
    crossed = [every if group else every[:1] for every, group in zip(options, structural, strict=True)]
    variants = [list(combination) for combination in itertools.product(*crossed)]
    first = [every[0] for every in options]
    for i, every in enumerate(options):
        if not structural[i]:
            variants += [[*first[:i], other, *first[i + 1 :]] for other in every[1:]]
    return variants


def _values(override: Any) -> list[str]:
    key = override.get_key_element()
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{key} is given an interval, which a grid cannot walk through. List the values, for example "
            f"{key}=1e-3,1e-2."
        )
    return list(override.sweep_string_iterator())


def _with_task(overrides: list[str], resolve: bool = True, swept: Mapping[str, Any] = NOTHING) -> Composed:
    """Composes; where the task is `auto`, first to learn which it is, so that `task.*` keys can be overridden too."""
    of_task = [word for word in overrides if word.lstrip("+~").startswith("task.")]
    found = _compose([word for word in overrides if word not in of_task], resolve)
    if not of_task:
        return resolve_task(found, swept)
    # Hydra takes one choice of a group: the task that was found stands in the place of `auto`.
    task = resolve_task(found, swept).choices["task"]
    return _compose([*(word for word in overrides if word != "task=auto"), f"task={task}"], resolve)


def _own_task(composed: Composed, swept: Mapping[str, Any]) -> str:
    for group in ("model", "dataset"):
        if name := (composed.plain.get(group) or {}).get("_task_"):
            if name != "auto":
                return name
            return _task_of(resolved(composed.plain)["dataset"], swept)
    name = composed.choices["dataset"]
    raise ConfigError(f"dataset={name} names no task of its own. Set for example task=regression.")


def _task_of(dataset: dict[str, Any], swept: Mapping[str, Any]) -> str:
    """The task that a data set calls for: a table's target may be classes or numbers, so that it looks at the file."""
    swept = {key: values for key, values in swept.items() if key in dataset}
    first = dataset | {key: values[0] for key, values in swept.items()}
    others = [(key, value) for key, values in swept.items() for value in values[1:]]
    task = str(run_config.choice("dataset", first).create().task())
    for key, value in others:
        other = str(run_config.choice("dataset", first | {key: value}).create().task())
        if other != task:
            raise ConfigError(
                f"dataset.{key}={show(first[key])} calls for task={task}, but dataset.{key}={show(value)} for "
                f"task={other}, and no metric compares trials of different tasks. Sweep its values apart, or set one "
                "task for all with task=."
            )
    return task


def _compose(overrides: list[str], resolve: bool) -> Composed:
    with explaining(overrides):
        found = _hydra_compose(overrides, resolve)
    _check_keys(found)
    return found


@contextlib.contextmanager
def explaining(overrides: list[str]) -> Iterator[None]:
    """Turns what Hydra and its libraries raise on the words of a command into ConfigError."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        # To name what is near, the message needs the keys of the chosen groups: those of the command without the rest.
        groups = [word for word in overrides if word.partition("=")[0] in choices.groups()]
        try:
            with _hydra_ready():
                known = _hydra_compose(groups, resolve=False)
        except (HydraException, OmegaConfBaseException):
            raise ConfigError(explain(error, None, {})) from None
        of_sweep = {key: value for key, value in known.sweep.items() if key in OF_SWEEPS}
        chosen = known.choices | {"search": known.sweep["strategy"]}
        raise ConfigError(explain(error, known.plain | of_sweep, chosen)) from None
    except yaml.YAMLError as error:
        raise ConfigError(choices.no_yaml(error)) from error


def _check_keys(composed: Composed) -> None:
    """Raises ConfigError for a choice whose file holds no keys."""
    for group, name in composed.choices.items():
        if isinstance(composed.plain.get(group), list):
            choices.load_choice(group, name)


def _hydra_compose(overrides: list[str], resolve: bool = True) -> Composed:
    from hydra import compose

    config = compose("config", overrides=overrides, return_hydra_config=True)
    return composed(to_plain(config, resolve), picked(config.hydra))
