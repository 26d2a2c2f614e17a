"""The words after a verb: its arguments, and options in the form `--name`, `--name VALUE` or `--name=VALUE`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nnrun.errors import ConfigError
from nnrun.schema import nearest


@dataclass(frozen=True)
class Usage:
    """What a verb takes.

    needed: names of the arguments, RUN first; optional: one more. flags: options that stand alone; values: options
    with a value, each with an example of one. example: a whole command. settings: words NAME=VALUE, with an example of
    a value each.
    """

    verb: str
    needed: tuple[str, ...]
    optional: str | None
    flags: tuple[str, ...]
    values: dict[str, str]
    example: str
    settings: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        options = [f"{name}={value}" for name, value in self.settings.items()]
        options += [f"--{name}" for name in self.flags] + [f"--{name} {value}" for name, value in self.values.items()]
        words = [*self.needed, *([f"[{self.optional}]"] if self.optional else []), *(f"[{word}]" for word in options)]
        return " ".join(["nnrun", self.verb, *words])


@dataclass(frozen=True)
class Words:
    """The arguments in order, "" for an optional one that was left out; flags that were set; values by name.

    `values` has settings too.
    """

    arguments: tuple[str, ...]
    flags: frozenset[str]
    values: dict[str, str]


def parse(usage: Usage, words: Sequence[str]) -> Words:
    """Sorts the words of a command. Raises ConfigError for whatever the verb does not take."""
    arguments: list[str] = []
    flags: set[str] = set()
    values: dict[str, str] = {}
    left = iter(words)
    for word in left:
        name, has_value, value = word.removeprefix("--").partition("=")
        if name in usage.settings and has_value and not word.startswith("-"):
            values[name] = value
        elif not word.startswith("-") or word == "-":
            arguments.append(word)
        elif word == "--":
            arguments += left
        elif name in usage.values and word.startswith("--"):
            values[name] = value if has_value else next(left, "")
            _check_value(usage, name, values[name])
        elif name in usage.flags and word.startswith("--") and not has_value:
            flags.add(name)
        else:
            raise ConfigError(_unknown(usage, word.partition("=")[0]))
    return Words(_arguments(usage, arguments), frozenset(flags), values)


def _check_value(usage: Usage, name: str, value: str) -> None:
    if not value or value.startswith("--"):
        raise ConfigError(f"--{name} needs a value. Write for example --{name} {usage.values[name]}.")


def _unknown(usage: Usage, word: str) -> str:
    known = [f"--{name}" for name in (*usage.flags, *usage.values)]
    if word.removeprefix("--") in usage.flags:
        return f"{word} takes no value. Write {word} alone."
    if not known:
        return f"nnrun {usage.verb} takes no options, but got {word}. Write: {usage}"
    if usage.settings:
        return f"nnrun {usage.verb} has no option {word}. Write: {usage}"
    return f"nnrun {usage.verb} has no option {word}. {nearest(word, known)}"


def _arguments(usage: Usage, words: list[str]) -> tuple[str, ...]:
    most = len(usage.needed) + (usage.optional is not None)
    if len(words) < len(usage.needed):
        missing = " and ".join(usage.needed[len(words) :])
        raise ConfigError(f"nnrun {usage.verb} needs {missing}, for example {usage.example}")
    if len(words) > most:
        name, is_setting, _ = words[most].partition("=")
        if usage.settings and is_setting:
            raise ConfigError(f"There is no {name}= for nnrun {usage.verb}. Choose from: {', '.join(usage.settings)}.")
        raise ConfigError(f"nnrun {usage.verb} takes nothing more, but got {words[most]}. Write: {usage}")
    return (*words, *[""] * (most - len(words)))
