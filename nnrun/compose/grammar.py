"""Hydra's sweep syntax as dimensions of a search space, and plain values back in Hydra's grammar."""

import math
import random
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from nnrun.compose.mistakes import needs_quotes
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.schema import nearest
from nnrun.search.space import Categorical, Dimension, Interval, Steps

TAKES = {
    "interval": ("interval(LOW,HIGH) takes two numbers", "interval(0.1,0.5)"),
    "range": ("range(START,STOP,STEP) takes numbers", "range(1,5)"),
    "choice": ("choice(A,B,...) takes one or more values, no null and no function", "choice(1,2)"),
    "tag": ("tag(log,...) takes an interval", "tag(log,interval(1e-4,1e-1))"),
    "glob": ("glob(PATTERN) takes a pattern", "glob(r*)"),
    "shuffle": ("shuffle(...) takes values, a choice or a range", "shuffle(1,2,3)"),
    "sort": ("sort(...) takes values that compare, a choice or a range", "sort(3,1,2)"),
    "int": ("int(...) takes finite numbers, an interval or a range", "int(interval(8,64))"),
    "float": ("float(...) takes numbers, an interval or a range", "float(range(1,5))"),
    "bool": ("bool(...) takes true, false and numbers", "bool(0,1)"),
    "str": ("str(...) takes values, a choice or a range", "str(1,2)"),
}
FAILED_CALL = re.compile(r"while evaluating '((\w+).*?)': ", re.DOTALL)
BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
RESERVED = {"null", "true", "false", "inf", "nan"}


def parse(overrides: Iterable[str]) -> tuple[list[str], dict[str, Dimension]]:
    """Splits the overrides of a command into those with one value, and the dimensions of the swept keys.

    Raises ConfigError for whatever cannot be searched.
    """
    parsed = [parse_override(override) for override in overrides]
    return [o.input_line for o in parsed if not o.is_sweep_override()], dimensions(parsed)


def from_space(space: Mapping[str, Any]) -> dict[str, Dimension]:
    """The dimensions of `search.space`: strings in the syntax of the command line, lists, or single values.

    Keys may be dotted or nested. Raises ConfigError.
    """
    found: dict[str, Dimension] = {}
    try:
        for key, value in _flat(space):
            if key in found:
                raise ConfigError(f"{key} is given twice. Keep one of them.")
            found[key] = _written(key, value)
    except ConfigError as error:
        raise ConfigError(f"search.space: {error}") from None
    return found


def parse_override(text: str, config_loader: Any = None) -> Any:
    """Hydra's Override for `key=value`; `config_loader` where the app is not ours. Raises ConfigError."""
    if not text.partition("=")[0].strip("+~ "):
        raise ConfigError(f"{text} has no key. Write key=value, for example model=lstm.")
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(_refused(text, str(error))) from None
    override.config_loader = config_loader
    return override


def dimensions(parsed: Iterable[Any]) -> dict[str, Dimension]:
    """The dimensions of the swept ones among Hydra's Overrides. Raises ConfigError when such a key comes twice."""
    found: dict[str, Dimension] = {}
    first: dict[tuple[str, str | None], Any] = {}
    for override in parsed:
        known = first.setdefault((override.key_or_group, override.package), override)
        swept = dimension(override)
        if known is not override and (swept or known.is_sweep_override()):
            given = f"{known.input_line} and {override.input_line}"
            raise ConfigError(f"{override.key_or_group} is given twice: {given}. Keep one of them.")
        if swept:
            found[override.get_key_element()] = swept
    return found


def dimension(override: Any) -> Dimension | None:
    """What one of Hydra's Overrides sweeps over; None where it has one value. Raises ConfigError."""
    value = override.value()
    if not override.is_sweep_override():
        _plain(override, value)
        return None
    if override.is_interval_sweep():
        return _interval(override, value)
    # A Glob; Hydra's Override has no question for it, as it has for the other sweeps.
    if hasattr(value, "include"):
        return _glob(override, value)
    if _is_log(override, value):
        raise _wrong(override, "can have the tag log on an interval only", "Leave it out where values are listed.")
    if override.is_range_sweep():
        swept: Categorical | Steps = _steps(override, value)
    else:
        swept = Categorical(tuple(_plain(override, item) for item in value.list))
    if not value.shuffle:
        return swept
    # In an order that depends on nothing but the number of the values, so that a repeat is equal.
    values = list(swept.values)
    random.Random(0).shuffle(values)
    return Categorical(tuple(values))


def value_text(value: Any) -> str:
    """A plain value in Hydra's grammar, such that `key=` and this text give the value back."""
    from hydra.core.override_parser.types import Quote, QuotedString

    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    # Not repr(value), which for NumPy's float64, a float, is `np.float64(0.1)`.
    if isinstance(value, int | float):
        return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
    if isinstance(value, str):
        bare = BARE_WORD.fullmatch(value) and value.lower() not in RESERVED
        return value if bare else QuotedString(value, Quote.double).with_quotes()
    if isinstance(value, Mapping):
        keys = (re.sub(r"([\\()\[\]{}:=,])", r"\\\1", str(key)) for key in value)
        return "{" + ",".join(f"{key}:{value_text(item)}" for key, item in zip(keys, value.values(), strict=True)) + "}"
    return "[" + ",".join(map(value_text, value)) + "]"


def dimension_text(dimension: Dimension) -> str:
    """A dimension as it is typed behind `key=`."""
    if isinstance(dimension, Categorical):
        return ",".join(map(value_text, dimension.values))
    if isinstance(dimension, Steps):
        stop = Decimal(repr(dimension.start)) + dimension.count * Decimal(repr(dimension.step))
        return f"range({value_text(dimension.start)},{stop},{value_text(dimension.step)})"
    # Its ends may be read as floats where whole numbers were typed.
    low, high = (value_text(int(end) if dimension.integer else end) for end in (dimension.low, dimension.high))
    text = f"interval({low},{high})"
    text = f"int({text})" if dimension.integer else text
    return f"tag(log,{text})" if dimension.log else text


def _flat(space: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in space.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(key: str, value: Any) -> Dimension:
    if isinstance(value, str) and value:
        override = parse_override(f"{key}={value}")
        return dimension(override) or Categorical((override.value(),))
    if isinstance(value, str | list | tuple) and not value:
        raise ConfigError(f"{key} needs one or more values, but got none. Write for example {key}: [1e-3, 1e-2].")
    return Categorical(tuple(value) if isinstance(value, list | tuple) else (value,))


def _interval(override: Any, sweep: Any) -> Interval:
    low, high = sweep.start, sweep.end
    is_integer, is_log = isinstance(low, int), _is_log(override, sweep)
    if names := _options(override):
        raise _wrong(override, "is chosen by name", f"List some: {override.key_or_group}={','.join(names[:3])}.")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise _wrong(override, "needs an interval with finite bounds", "Write for example interval(0,1).")
    if low == high:
        between = "two whole numbers or more" if is_integer else "different bounds"
        single = f"A single value is {override.get_key_element()}={value_text(low)}."
        raise _wrong(override, f"needs an interval with {between}", single)
    if low > high:
        turned = f"interval({value_text(high)},{value_text(low)})"
        raise _wrong(override, "needs an interval from a lower to a higher number", f"Turn it round: {turned}.")
    if is_log and low <= 0:
        example = f"Write for example tag(log,interval({value_text(high / 1000)},{value_text(high)}))."
        raise _wrong(override, "needs bounds > 0 on a log scale", example if high > 0 else "Leave out the tag log.")
    return Interval(low, high, is_log, is_integer)


def _steps(override: Any, sweep: Any) -> Steps:
    """A range; its length is counted in decimals, as the bounds were written."""
    # In binary (0.4 - 0.1) / 0.1 is 3.0000000000000004, which would make four values of range(0.1,0.4,0.1).
    numbers = [+sweep.start, +sweep.stop, +sweep.step]
    if not all(map(math.isfinite, numbers)):
        raise _wrong(override, "needs a range with finite bounds", "Write for example range(1,5).")
    start, stop, step = (Decimal(repr(number)) for number in numbers)
    if not step:
        raise _wrong(override, "needs a range with a step other than 0", "Write for example range(1,5,1).")
    count = math.ceil((stop - start) / step)
    if count < 1:
        raise _wrong(override, "needs a range that reaches a number", "STOP is excluded: range(1,5) is 1,2,3,4.")
    if not all(isinstance(number, int) for number in numbers):
        numbers = [float(number) for number in numbers]
    return Steps(numbers[0], numbers[2], count)


def _glob(override: Any, pattern: Any) -> Categorical:
    options = _options(override)
    if not options:
        example = "List the values, for example 1e-3,1e-2."
        raise _wrong(override, "is no config group, whose choices glob could match", example)
    if not (names := pattern.filter(options)):
        raise _wrong(override, "needs a pattern that matches a choice", f"Choose from: {', '.join(options)}.")
    return Categorical(tuple(names))


def _options(override: Any) -> list[str]:
    """The choices where the key is a config group, else nothing."""
    group = override.key_or_group
    if override.config_loader:
        return override.config_loader.get_group_options(group)
    return sorted(choices.choices(group)) if group in choices.groups() else []


def _is_log(override: Any, sweep: Any) -> bool:
    if sweep.tags - {"log"}:
        example = "Write for example tag(log,interval(1e-4,1e-1))."
        raise _wrong(override, "can have the tag log only", example)
    return bool(sweep.tags)


def _plain(override: Any, value: Any) -> Any:
    """A value without Hydra's quoted strings. Raises ConfigError for a sweep inside it."""
    from hydra.core.override_parser.types import QuotedString, Sweep

    if isinstance(value, Sweep):
        raise _wrong(override, "can be swept as a whole only", "Write for example choice([32,32],[64,64]).")
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(override, item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(override, item) for key, item in value.items()}
    return value


def _wrong(override: Any, rule: str, next_move: str) -> ConfigError:
    return ConfigError(f"{override.get_key_element()} {rule}, but got {override.get_value_string()}. {next_move}")


def _refused(text: str, message: str) -> str:
    """What to do about an override that Hydra refuses: a function called wrongly, or text without its quotes."""
    found = FAILED_CALL.search(message)
    if not found:
        return needs_quotes(text)
    key, _, value = text.partition("=")
    if found[2] in TAKES:
        rule, example = TAKES[found[2]]
        return f"{key}: {rule}, but got {found[1]}. Write for example {key}={example}."
    quoted = shlex.quote(f"{key}={value_text(value)}")
    return (
        f"{key}: there is no function {found[2]}. {nearest(found[2], TAKES)} Text with brackets needs quotes: {quoted}."
    )
