"""What a verb takes, read off its docstring, and the words of a command sorted by it.

A docstring begins with the verb as it is typed, `nnrun VERB RUN [INPUT] [name=16] [--flag] [--option VALUE]`: arguments
that are needed, one that is not, settings, flags, and options with an example of a value. Its example is a whole
command, in backticks too.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nnrun.errors import ConfigError
from nnrun.schema import nearest

Verb = Callable[[list[str]], int]
OPTIONAL = re.compile(r"\[([^]]+)\]")


@dataclass(frozen=True)
class Words:
    """The arguments in order, "" for an optional one that was left out; flags that were set; values by name.

    `values` has settings too.
    """

    arguments: tuple[str, ...]
    flags: frozenset[str]
    values: dict[str, str]


class Usage:
    """The form of a verb: what is typed, what of it may be left out, and an example."""

    def __init__(self, verb: Verb) -> None:
        documented = inspect.getdoc(verb) or ""
        typed, *others = re.findall(r"`(nnrun [^`]+)`", documented)
        self.text, self.example = " ".join(typed.split()), others[0] if others else typed
        optional = [found.split() for found in OPTIONAL.findall(self.text)]
        _, self.verb, *self.needed = OPTIONAL.sub("", self.text).split()
        options = [words for words in optional if words[0].startswith("--")]
        self.flags = {words[0][2:] for words in options if len(words) == 1}
        self.values = {words[0][2:]: words[1] for words in options if len(words) > 1}
        others = [words[0] for words in optional if not words[0].startswith("--")]
        self.settings = dict(word.split("=") for word in others if word.partition("=")[0].islower() and "." not in word)
        self.most = len(self.needed) + len(others) - len(self.settings)

    def parse(self, words: Sequence[str]) -> Words:
        """Sorts the words of a command. Raises ConfigError for whatever the verb does not take."""
        arguments: list[str] = []
        flags: set[str] = set()
        values: dict[str, str] = {}
        left = iter(words)
        for word in left:
            name, has_value, value = word.removeprefix("--").partition("=")
            if name in self.settings and has_value and not word.startswith("-"):
                values[name] = value
            elif not word.startswith("-") or word == "-":
                arguments.append(word)
            elif word == "--":
                arguments += left
            elif name in self.values and word.startswith("--"):
                values[name] = value if has_value else next(left, "")
                if not values[name] or values[name].startswith("--"):
                    raise ConfigError(f"--{name} needs a value. Write for example --{name} {self.values[name]}.")
            elif name in self.flags and word.startswith("--") and not has_value:
                flags.add(name)
            else:
                raise ConfigError(self._unknown(word.partition("=")[0]))
        return Words(self._arguments(arguments), frozenset(flags), values)

    def _unknown(self, word: str) -> str:
        options = [f"--{name}" for name in (*self.flags, *self.values)]
        if word.removeprefix("--") in self.flags:
            return f"{word} takes no value. Write {word} alone."
        if not options:
            return f"nnrun {self.verb} takes no options, but got {word}. Write: {self.text}"
        move = f"Write: {self.text}" if self.settings else nearest(word, options)
        return f"nnrun {self.verb} has no option {word}. {move}"

    def _arguments(self, words: list[str]) -> tuple[str, ...]:
        if len(words) < len(self.needed):
            missing = " and ".join(self.needed[len(words) :])
            raise ConfigError(f"nnrun {self.verb} needs {missing}, for example {self.example}")
        if len(words) > self.most:
            name, is_setting, _ = words[self.most].partition("=")
            if self.settings and is_setting:
                choices = ", ".join(self.settings)
                raise ConfigError(f"There is no {name}= for nnrun {self.verb}. Choose from: {choices}.")
            raise ConfigError(f"nnrun {self.verb} takes nothing more, but got {words[self.most]}. Write: {self.text}")
        return (*words, *[""] * (self.most - len(words)))


def parse(verb: Verb, words: Sequence[str]) -> Words:
    """Sorts the words of a command by the docstring of its verb. Raises ConfigError for what it does not take."""
    return Usage(verb).parse(words)


def whole(name: str, text: str, least: int, example: str = "") -> int:
    """A whole number that was typed for an option, a setting or behind a verb. Raises ConfigError for anything else."""
    if not text.isdecimal() or int(text) < least:
        example = example or (f"{name} {max(least, 5)}" if name.startswith("--") else f"{name}=16")
        raise ConfigError(f"{name} must be an integer >= {least}, but got {text}. Set for example {example}.")
    return int(text)
