"""Typed configs: how a dataclass beside the code describes the keys of its YAML, and how values are checked.

A member (model, data set, task, optimizer, schedule) takes one argument named `config`, annotated with a frozen
dataclass. Its fields are the keys of the YAML; `number`, `size` and `setting` add bounds and help.
"""

import contextlib
import dataclasses
import difflib
import os
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from nnrun.errors import ConfigError, UnknownSetting
from nnrun.host import own_code

SMALLEST, LARGEST = 2.0**-126, 2.0**128 - 2.0**104
"""The smallest and largest positive numbers that programs compute with at full precision."""
BOUNDS = {
    "above": (">", lambda value, bound: value > bound),
    "least": (">=", lambda value, bound: value >= bound),
    "most": ("<=", lambda value, bound: value <= bound),
    "below": ("<", lambda value, bound: value < bound),
}


Change = Literal["loss", "units", "question", "examples"]
"""What a setting can change of how networks are measured, so that trials of a sweep that differ in it are not measured
alike: the formula of the loss; the units that networks are trained in; what they are asked to predict; which examples
they are measured on, or how hard these are."""


def setting(default: Any, help: str = "", **metadata: Any) -> Any:
    """A key without bounds: a name, a flag, a list.

    Metadata of every kind of key: `changes` is the Change that comes with other values of it, or a function that tells
    it, or None, from a config that has the key.
    """
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


def number(default: float | None, help: str = "", *, off: float | None = None, **bounds: Any) -> Any:
    """A traced number: trials that differ only in it share one program.

    `off` is the value at which the feature is left out of the program (dropout 0 draws no random bits);
    bounds are `above`, `least`, `most` and `below`.
    """
    return setting(default, help, traced=True, off=off, **bounds)


def size(default: Any, help: str = "", least: int = 1, most: int | None = None, **metadata: Any) -> Any:
    """A static integer, or a list of them: it shapes the program."""
    return setting(default, help, least=least, **({} if most is None else {"most": most}), **metadata)


def key_of(field: dataclasses.Field) -> str:
    """The key of a field; one that is a word of Python's, as `from`, has an underscore behind it in the class."""
    return field.name.rstrip("_")


def change(config: Any, name: str) -> Change | None:
    """What a setting of a config changes of how networks are measured; where it is defined anew, as it did before."""
    for kind in type(config).__mro__:
        field = vars(kind).get("__dataclass_fields__", {}).get(name)
        if field is not None and "changes" in field.metadata:
            found = field.metadata["changes"]
            return typing.cast(Change | None, found(config) if callable(found) else found)
    return None


def is_off(value: Any) -> bool:
    """Whether a setting is Python's number 0, so that what it sets is left out of the program; a traced one is not."""
    return isinstance(value, float | int) and value == 0


def nearest(word: str, choices: Iterable[str]) -> str:
    """A sentence that names the choice most like `word`, or all of them; what all have in front tells nothing."""
    choices = sorted(choices)
    # A name that is cut in the middle would not be known again: cut behind a dot or slash alone.
    common = os.path.commonprefix([word, *choices])  # noqa: RUF071
    shared = max(common.rfind(sign) for sign in "./") + 1
    tails = {choice[shared:].lower(): choice for choice in choices}
    # Initials as people abbreviate: `lr` is near to learning_rate, which difflib does not see.
    short = {"".join(part[0] for part in tail.split("_") if part): choice for tail, choice in tails.items()}
    tail = word[shared:].lower()
    close = difflib.get_close_matches(tail, tails, 1, 0.6)
    found = short.get(tail) if len(tail) > 1 else None
    found = tails[close[0]] if close else found
    return f"Did you mean {found}?" if found else f"Choose from: {', '.join(choices)}."


def locate(target: str, key: str = "_target_", others: Iterable[str] = ()) -> Any:
    """The class or function that `key` names. Raises ConfigError when there is none, or its file fails.

    others: names that could have been meant by a module's name.
    """
    module_name, _, name = target.rpartition(".")
    try:
        with own_code.refused():
            module = own_code.imported(module_name)
    except ModuleNotFoundError as error:
        # The module is there, but lacks one that it imports itself.
        if error.name and not module_name.startswith(error.name):
            raise
        near = f" {nearest(module_name, others)}" if others else ""
        raise ConfigError(
            f"{key} {target}: there is no module {module_name}. "
            f"Start nnrun in the folder where it lies beside ./conf.{near}"
        ) from None
    if not hasattr(module, name):
        raise ConfigError(f"{key} {target}: {module_name} has no {name}. {nearest(name, vars(module))}")
    return getattr(module, name)


def config_class(target: str) -> type:
    """The dataclass that annotates a target's `config`: the attribute of a class, or the argument."""
    member = locate(target)
    for candidate in (member, getattr(member, "__init__", None)) if isinstance(member, type) else (member,):
        found = _hints(candidate).get("config")
        if dataclasses.is_dataclass(found):
            return typing.cast(type, found)
    raise ConfigError(f"_target_ {target} must take an argument `config` annotated with a dataclass.")


@cache
def _hints(member: Any) -> dict[str, Any]:
    return typing.get_type_hints(member)


def build_chosen(group: str, values: Mapping[str, Any]) -> tuple[Any, Any]:
    """Checks a choice: the class or function that its `_target_` names, and its frozen dataclass.

    Raises ConfigError for a target that does not exist, and where `build` does.
    """
    if not isinstance(values, Mapping) or not values.get("_target_"):
        raise _no_keys(group, values)
    target = values["_target_"]
    return locate(target), build(group, values, config_class(target))


def build(group: str, values: Mapping[str, Any], schema: type | None = None) -> Any:
    """Checks the values of a config group and returns its frozen dataclass: `schema`, or that of its `_target_`.

    `values` are plain Python values; keys that start with an underscore (`_target_`, `_task_`) are skipped.
    Raises ConfigError for an unknown key, a wrong type or a value out of bounds.
    """
    if schema is None:
        return build_chosen(group, values)[1]
    if not isinstance(values, Mapping):
        raise _no_keys(group, values, schema)
    hints = _hints(schema)
    fields = {key_of(field): field for field in dataclasses.fields(schema)}
    checked = {}
    for name, value in values.items():
        if name.startswith("_"):
            continue
        where = f"{group}.{name}" if group else name
        if name not in fields:
            member = str(values.get("_target_", "")).split(".")[-2:-1]
            chosen = "=".join([group, *member])
            raise UnknownSetting(f"{where} is not a setting of {chosen}. {nearest(name, fields)}")
        field = fields[name]
        checked[field.name] = _converted(where, value, hints[field.name], field)
        _check_bounds(where, checked[field.name], field)
    return schema(**checked)


def _no_keys(group: str, values: Any, schema: type | None = None) -> ConfigError:
    """The error for a value where keys belong; its next move is the first key that could take the value."""
    said = f"{group} has keys of its own, but got {show(values)}."
    for field in dataclasses.fields(schema) if schema else ():
        with contextlib.suppress(ConfigError):
            _check_bounds("", convert("", values, _hints(schema)[field.name]), field)
            return ConfigError(f"{said} Set for example {group}.{field.name}={show(values)}.")
    return ConfigError(f"{said} Set one of them: {group}.KEY=VALUE.")


def _converted(where: str, value: Any, hint: Any, field: dataclasses.Field) -> Any:
    try:
        return convert(where, value, hint)
    except ConfigError as error:
        names_next_move = typing.get_origin(hint) is typing.Literal or dataclasses.is_dataclass(hint)
        raise ConfigError(f"{error}{'' if names_next_move else _example(where, field)}") from None


def _example(where: str, field: dataclasses.Field) -> str:
    # `=null` as an example helps nobody who wants a path; of a number with bounds it says how to switch it off.
    if field.default is None and not BOUNDS.keys() & field.metadata.keys():
        return ""
    return f" Set for example {where}={show(field.default)}."


def _check_bounds(where: str, value: Any, field: dataclasses.Field) -> None:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, tuple):
        for item in value:
            _check_bounds(where, item, field)
        return
    for name, (sign, holds) in BOUNDS.items():
        bound = field.metadata.get(name)
        if bound is not None and not holds(value, bound):
            raise ConfigError(f"{where} must be {sign} {bound}, but got {value}.{_example(where, field)}")
    if field.metadata.get("traced") and value and not SMALLEST <= abs(value) <= LARGEST:
        raise ConfigError(
            f"{where} does not fit single precision (at least {SMALLEST:.2g}, at most {LARGEST:.2g}), but got {value}."
            f"{_example(where, field)}"
        )


def show(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, tuple):
        return "[" + ",".join(map(show, value)) + "]"
    return "null" if value is None else str(value) or "''"


def describe(hint: Any) -> str:
    """A type in words a user knows: `an integer`, `one of none, batch, layer`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, args))
    if origin is tuple:
        return f"a list (each {describe(args[0])})"
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else describe(a) for a in args)
    words = {float: "a number", int: "an integer", bool: "true or false", str: "text", dict: "keys"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def convert(where: str, value: Any, hint: Any) -> Any:
    """A plain value as the type `hint`. Raises ConfigError that names `where`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(where, value, typing.cast(type, hint))
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(convert(f"{where}[{i}]", item, args[0]) for i, item in enumerate(value))
    if origin in (typing.Union, types.UnionType):
        for option in args:
            with contextlib.suppress(ConfigError):
                return convert(where, value, option)
    if origin is typing.Literal:
        # 1 == True == 1.0 in Python, but not in a YAML file.
        if type(value) in {type(a) for a in args} and value in args:
            return value
        choices = [str(a) for a in args]
        raise ConfigError(f"{where} must be {describe(hint)}, but got {show(value)}. {nearest(str(value), choices)}")
    # A whole number is a number, but true is neither; infinity, NaN and integers of 400 digits are no settings.
    if hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
    elif type(value) is hint:
        return value
    raise ConfigError(f"{where} must be {describe(hint)}, but got {show(value)}.")


def split_traced(config: Any) -> tuple[Any, dict[str, float]]:
    """Splits a config into its static part and its traced numbers.

    The static part has its traced fields set to TRACED, so that trials of one group compare equal; a number that equals
    its `off` value (or is None) stays in the static part.
    """
    traced = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.metadata.get("traced") and value is not None and value != field.metadata.get("off"):
            traced[field.name] = float(value)
    return dataclasses.replace(config, **dict.fromkeys(traced, TRACED)), traced


# An object of its own, because no number will do: NaN is not equal to itself, and any other is a value one may set.
class _Traced:
    """Stands in a static config for a number that only the traced part knows."""

    def __repr__(self) -> str:
        return "TRACED"


TRACED = _Traced()
