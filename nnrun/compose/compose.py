"""Composes the configs of a command before Hydra runs it, so that mistakes are found before anything is written."""

import contextlib
import importlib
import itertools
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from nnrun.compose.mistakes import explain, needs_quotes
from nnrun.config import choices as members
from nnrun.errors import ConfigError
from nnrun.schema import nearest

OF_SWEEPS = ("search", "execution", "dry_run")
"""Top-level keys that no single run has."""


@dataclass(frozen=True)
class Composed:
    """One composed config: plain values of a run and of a sweep, and the name picked from each group of a run."""

    plain: dict[str, Any]
    choices: dict[str, str]
    sweep: dict[str, Any] = field(default_factory=dict)


def composed(plain: dict[str, Any], choices: dict[str, str]) -> Composed:
    """Keeps what belongs to sweeps apart."""
    run = {key: value for key, value in plain.items() if key not in OF_SWEEPS}
    sweep = {key: plain[key] for key in OF_SWEEPS if key in plain} | {"strategy": choices.get("search", "grid")}
    return Composed(run, {group: name for group, name in choices.items() if group not in OF_SWEEPS}, sweep)


def compose_one(overrides: list[str]) -> Composed:
    """The config of overrides with one value each, `${...}` left as it is written. Raises ConfigError."""
    with _hydra_ready():
        return _with_task(overrides, resolve=False)


def prepare_imports() -> None:
    """Lets Hydra find our plugins, and Python a user's own members beside `./conf`."""
    plugins = str(Path(__file__).parents[1] / "_plugins")
    if plugins not in sys.path:
        sys.path.append(plugins)
    if len(members.conf_folders()) > 1 and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    if "hydra.core.plugins" in sys.modules:
        _register_plugins()


def _register_plugins() -> None:
    """Makes ours known to a Hydra that looked for plugins before their folder was on the path."""
    from hydra.core.plugins import Plugins

    names = {"launcher": "NnrunLauncher", "search_path": "UserConf", "sweeper": "NnrunSweeper"}
    for module, name in names.items():
        Plugins.instance().register(getattr(importlib.import_module(f"hydra_plugins.nnrun.{module}"), name))


def compose_all(overrides: list[str], multirun: bool) -> list[Composed]:
    """One config for every combination of swept config groups and every value of a swept key. Raises ConfigError."""
    for group in members.groups():
        members.choices(group)
    parsed = [_parse(override) for override in overrides]
    for override in parsed:
        _check_name(override)
    swept = [o for o in parsed if o.is_sweep_override()]
    if swept and not multirun:
        raise ConfigError(f"Several values for {swept[0].get_key_element()} need -m: nnrun -m {shlex.join(overrides)}")
    fixed = [o.input_line for o in parsed if not o.is_sweep_override()]
    with _hydra_ready():
        return [_with_task([*fixed, *varied]) for varied in _variants(swept)]


def _check_name(override: Any) -> None:
    """A group is given the name of a choice; Hydra itself fails on null, numbers and nothing."""
    group, value = override.get_key_element(), override.value()
    is_named = override.is_sweep_override() or isinstance(value, dict) or (isinstance(value, str) and value)
    if group in members.groups() and not override.is_delete() and not is_named:
        typed = override.input_line.partition("=")[2] or "nothing"
        raise ConfigError(f"{group} must be a choice's name, but got {typed}. {nearest(typed, members.choices(group))}")


def picked(node: Any) -> dict[str, str]:
    """The choices of our groups, from Hydra's own node of a config."""
    return {str(k): str(v) for k, v in node.runtime.choices.items() if v and not str(k).startswith("hydra/")}


def resolve_task(composed: Composed) -> Composed:
    """Puts the model's or the data set's own task, with its defaults, where the config says `auto`."""
    if composed.choices["task"] != "auto":
        return composed
    task = _own_task(composed)
    typed = {name: value for name, value in composed.plain["task"].items() if not name.startswith("_")}
    plain = composed.plain | {"task": members.load_choice("task", task) | typed}
    return replace(composed, plain=plain, choices=composed.choices | {"task": task})


@contextlib.contextmanager
def _hydra_ready() -> Iterator[None]:
    from hydra import initialize_config_dir

    prepare_imports()
    with initialize_config_dir(str(members.conf_folder()), version_base="1.3"):
        yield


def _variants(swept: list[Any]) -> list[list[str]]:
    """Every combination of choices of groups; of other keys every value once, beside the first of the others."""
    groups = set(members.groups())
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


def _with_task(overrides: list[str], resolve: bool = True) -> Composed:
    """Composes; where the task is `auto`, first to learn which it is, so that `task.*` keys can be overridden too."""
    of_task = [o for o in overrides if _parse(o).get_key_element().startswith("task.")]
    composed = _compose([o for o in overrides if o not in of_task], resolve)
    if not of_task:
        return resolve_task(composed)
    resolved = resolve_task(composed).choices["task"]
    return _compose([*(o for o in overrides if o != "task=auto"), f"task={resolved}"], resolve)


def _own_task(composed: Composed) -> str:
    for group in ("model", "dataset"):
        if name := (composed.plain.get(group) or {}).get("_task_"):
            return name if name != "auto" else _task_of_data(composed)
    name = composed.choices["dataset"]
    raise ConfigError(f"dataset={name} names no task of its own. Set for example task=regression.")


def _task_of_data(composed: Composed) -> str:
    """The task that a data set can only tell once it has looked at its file."""
    from nnrun import schema
    from nnrun.config import run_config as config

    values = config.resolved(composed.plain)["dataset"]
    found: str = schema.locate(values["_target_"])(schema.build("dataset", values)).task()
    return found


def _compose(overrides: list[str], resolve: bool) -> Composed:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        found = _hydra_compose(overrides, resolve)
        _check_keys(found)
        return found
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explained(error, overrides)) from None
    except yaml.YAMLError as error:
        raise ConfigError(members.no_yaml(error)) from error


def _check_keys(composed: Composed) -> None:
    """Raises ConfigError for a choice whose file holds no keys."""
    for group, name in composed.choices.items():
        if isinstance(composed.plain.get(group), list):
            members.load_choice(group, name)


def _explained(error: Exception, overrides: list[str]) -> str:
    """The explanation, with the keys that the chosen groups have."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    groups = [o for o in overrides if _parse(o).get_key_element() in members.groups()]
    try:
        known = _hydra_compose(groups, resolve=False)
    except (HydraException, OmegaConfBaseException):
        return explain(error, None, {})
    of_sweep = {key: value for key, value in known.sweep.items() if key in OF_SWEEPS}
    return explain(error, known.plain | of_sweep, known.choices | {"search": known.sweep["strategy"]})


def _hydra_compose(overrides: list[str], resolve: bool = True) -> Composed:
    from hydra import compose
    from omegaconf import open_dict

    from nnrun.config.run_config import to_plain

    config = compose("config", overrides=overrides, return_hydra_config=True)
    choices = picked(config.hydra)
    with open_dict(config):
        del config["hydra"]
    return composed(to_plain(config, resolve), choices)


def _parse(override: str) -> Any:
    if not override.partition("=")[0].strip("+~ "):
        raise ConfigError(f"{override} has no key. Write key=value, for example model=lstm.")
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        raise ConfigError(needs_quotes(override)) from None
