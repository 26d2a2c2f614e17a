"""A command with several values becomes a search space, and a point of it becomes the config of a trial."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from nnrun import schema
from nnrun.compose import checked, compose, grammar
from nnrun.compose.compose import Composed
from nnrun.compose.mistakes import SPACE, swept_itself, unknown_key
from nnrun.config import choices, run_config
from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import DatasetConfig
from nnrun.errors import ConfigError
from nnrun.execution.settings import ExecutionConfig
from nnrun.search.base import SearchConfig, Strategy
from nnrun.search.space import Categorical, Dimension, Interval, Params, Space

Choice = tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """The space of a sweep, and a composed config for every combination of the config groups in it."""

    space: Space
    bases: dict[Choice, Composed]

    @property
    def first(self) -> Composed:
        """The config of the first combination."""
        return next(iter(self.bases.values()))

    def composed(self, point: Params) -> Composed:
        """The config of a trial. Raises ConfigError for a point that is not of the space."""
        choice = tuple(point.get(name) for name in self.space.choosers)
        # In a list, because a damaged value may have no hash.
        if choice not in [*self.bases] or point.keys() != self.space.dimensions.keys() - self.space.lacking[choice]:
            raise ConfigError(
                f"A trial has the settings {str(point)[:80]}, which this sweep does not try: sweep.db or sweep.yaml is "
                "damaged, or of another sweep. Put the right one back."
            )
        base = self.bases[choice]
        plain = base.plain
        for key, value in point.items():
            if key not in self.space.choosers:
                plain = _with_value(plain, key, value)
        return replace(base, plain=compose.resolved(plain))

    def left_out(self, point: Params) -> set[str]:
        """The keys of a point that the YAML of their choice leaves out."""
        plain = self.bases[tuple(point[name] for name in self.space.choosers)].plain
        return {key for key in point if key not in self.space.choosers and not has(plain, key)}

    def strategy(self) -> Strategy:
        """The strategy that the config names, over this space."""
        values = self.first.sweep["search"]
        return schema.locate(values["_target_"])(self.search(), self.space)

    def search(self) -> SearchConfig:
        """The checked keys of search. Raises ConfigError."""
        return schema.build("search", self.first.sweep["search"])


def of(overrides: list[str]) -> Plan:
    """The trials of a command, whose names are known to be right; see `check` for values. Raises ConfigError."""
    typed, swept = grammar.parse(overrides)
    _check_swept(swept)
    fixed = {grammar.parse_override(text).get_key_element(): text for text in typed}
    # Raises ConfigError where a file in ./conf hides a choice of ours, before Hydra takes one of the two.
    for group in choices.groups():
        choices.choices(group)
    picked = [f"{key}={names[0]}" for key, names in _choosers(swept).items()]
    first = compose.compose_one([*typed, *picked], _of_data(swept))
    first = replace(first, sweep=_filled(first.sweep))
    recipe = grammar.from_space(first.sweep["search"]["space"])
    dimensions = {key: found for key, found in recipe.items() if key not in fixed}
    # A key that a YAML leaves out may be swept with Hydra's sign for added ones, and without.
    dimensions |= {key.removeprefix("+") if "." in key else key: found for key, found in swept.items()}
    if not dimensions and not (several(first) and first.sweep["strategy"] == "grid"):
        run_config.build(compose.resolved(first.plain))
        raise ConfigError(
            f"search={first.sweep['strategy']} has nothing to search: no key has several values. List some, for "
            "example optimizer.learning_rate=1e-3,1e-2, or leave -m out to train one run."
        )
    plan = _with_bases(dimensions, fixed, first)
    plan.strategy()
    return plan


def several(composed: Composed) -> bool:
    """Whether each setting is judged by several networks: folds, or repeats."""
    training = composed.plain["training"]
    return any(training.get(key, 1) != 1 for key in ("folds", "repeats"))


def _filled(sweep: dict[str, Any]) -> dict[str, Any]:
    """The checked keys of a sweep as a whole, those that a user's YAML leaves out with their defaults."""
    checked_keys = {"search": schema.build("search", sweep["search"])}
    checked_keys["execution"] = schema.build("execution", sweep["execution"], ExecutionConfig)
    return sweep | {
        group: {schema.key_of(field): getattr(config, field.name) for field in fields(config)} | sweep[group]
        for group, config in checked_keys.items()
    }


def _check_swept(swept: Mapping[str, Dimension]) -> None:
    """Raises ConfigError for a key that is of the sweep as a whole."""
    for key, dimension in swept.items():
        # Hydra's signs for a key that is added or left out.
        key = key.lstrip("+~")
        if key.startswith(SPACE):
            raise ConfigError(swept_itself(key.removeprefix(SPACE)))
        if key.partition(".")[0].partition("/")[0] in (*compose.OF_SWEEPS, "objective", "hydra"):
            example = f" Set for example {key}={grammar.value_text(_listed(dimension)[0])}."
            raise ConfigError(f"{key} is one value for the whole sweep, but got several.{example}")


def _choosers(dimensions: Mapping[str, Dimension]) -> dict[str, tuple[Any, ...]]:
    """The config groups among the dimensions, with the names to choose from."""
    groups = choices.groups()
    return {key: found.values for key, found in dimensions.items() if key in groups and isinstance(found, Categorical)}


def _of_data(dimensions: Mapping[str, Dimension]) -> dict[str, tuple[Any, ...]]:
    """The listed values of the data set's own keys, which may say what its task is."""
    every = {field.name for field in fields(DatasetConfig)}
    found = {key.lstrip("+").partition("."): dimension for key, dimension in dimensions.items()}
    return {
        name: dimension.values
        for (group, _, name), dimension in found.items()
        if group == "dataset" and name and name not in every and not isinstance(dimension, Interval)
    }


def _with_bases(dimensions: dict[str, Dimension], fixed: dict[str, str], first: Composed) -> Plan:
    """The plan with a config for every combination of the swept groups; `first` is the only one where none is swept."""
    groups, choosers = choices.groups(), _choosers(dimensions)
    # A typed value of a swept group applies where the choice has its key.
    optional = {key: text for key, text in fixed.items() if key.partition(".")[0] in choosers and key not in groups}
    typed = [text for key, text in fixed.items() if key not in optional and key not in choosers]
    values = {key: grammar.parse_override(text).value() for key, text in optional.items()}
    of_data = _of_data(dimensions | {key: Categorical((value,)) for key, value in values.items()})
    # A base is asked for its task and its metrics, which without a target there are none of.
    values |= {f"dataset.{name}": listed[0] for name, listed in of_data.items()}
    bases, lacking = {}, {}
    for choice in itertools.product(*choosers.values()):
        picked = [f"{key}={value}" for key, value in zip(choosers, choice, strict=True)]
        base = first
        if picked:
            base = replace(compose.compose_one([*typed, *picked], of_data), sweep=first.sweep)
        for key, value in values.items():
            if has(base.plain, key):
                base = replace(base, plain=_with_value(base.plain, key, value))
        bases[choice] = base
        lacking[choice] = frozenset(key for key in dimensions if key not in groups and not takes(base, key))
    for key in [*optional, *dimensions]:
        if key not in groups and not any(takes(base, key) for base in bases.values()):
            base = next(iter(bases.values()))
            others = " No other choice in this sweep has it either." if len(bases) > 1 else ""
            raise ConfigError(f"{unknown_key(key, base.plain, base.choices)}{others}")
    return Plan(Space(dimensions, tuple(choosers), lacking), bases)


def check(plan: Plan) -> None:
    """Types, bounds and fit of every combination and, beside it, every listed value. Raises ConfigError."""
    checked.check([_built(plan, point) for point in _corners(plan.space)])


def _built(plan: Plan, point: Params) -> RunConfig:
    """The config of a point. Raises ConfigError, with advice where an interval needs whole numbers."""
    try:
        return checked.build(plan.composed(point))
    except ConfigError as error:
        for key, value in point.items():
            found = plan.space.dimensions[key]
            if isinstance(found, Interval) and not found.integer and str(error).startswith(f"{key} must be an integer"):
                whole = f"int(interval({math.ceil(found.low)},{math.floor(found.high)}))"
                whole = f"tag(log,{whole})" if found.log else whole
                raise ConfigError(f"{key} must be an integer, but got {value}. Write '{key}={whole}'.") from None
        raise


def _corners(space: Space) -> Iterator[Params]:
    """Every combination of config groups with, in turn, every listed value or bound of the other keys."""
    listed = {key: _listed(found) for key, found in space.dimensions.items()}
    for choice in itertools.product(*(listed[key] for key in space.choosers)):
        point = {key: values[0] for key, values in listed.items()} | dict(zip(space.choosers, choice, strict=True))
        yield space.active(point)
        for key in listed:
            if key not in space.choosers:
                yield from (space.active(point | {key: value}) for value in listed[key][1:])


def _listed(dimension: Dimension) -> tuple[Any, ...]:
    if not isinstance(dimension, Interval):
        return dimension.values
    whole = int if dimension.integer else float
    return whole(dimension.low), whole(dimension.high)


def has(plain: Any, key: str) -> bool:
    """Whether a config has a dotted key."""
    for name in key.split("."):
        if not isinstance(plain, dict) or name not in plain:
            return False
        plain = plain[name]
    return True


def takes(base: Composed, key: str) -> bool:
    """Whether a config has a dotted key, or a choice in it whose YAML leaves it out."""
    group, _, name = key.partition(".")
    return has(base.plain, key) or (group in base.choices and name in choices.left_out(group, base.choices[group]))


def _with_value(plain: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy with one dotted key changed; what is not on its path is shared."""
    name, _, rest = key.partition(".")
    return plain | {name: _with_value(plain[name], rest, value) if rest else value}
