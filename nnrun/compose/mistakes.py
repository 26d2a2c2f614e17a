"""Hydra's messages as ours: rule, value, key, next move."""

import os
import re
import shlex
from typing import Any

from nnrun.config import choices as members
from nnrun.schema import nearest

ADDED_TWICE = re.compile(
    r"(?:Multiple values for |force-add of config groups is not supported: '\+\+)?(\w+)"
    r"(?: appears more than once in the final defaults list|\. To override a value use|=)"
)
CALL = re.compile(r"(\w+\()+|[\[{]")
"""How a list, a mapping or one of Hydra's functions begins."""
CLOSING = {"(": ")", "[": "]", "{": "}"}
MISSING_CHOICE = re.compile(r"Could not find '([^'\s]+)/([^'/]+)'")
OPTIONS = re.compile(r"^\t(\S+)$", re.MULTILINE)
"""Lines of Hydra's message that name the choices of a group; those of its own groups come from plugins too."""
REFERENCE = re.compile(r"Interpolation key '([^']+)' not found.*full_key: (\S+)", re.DOTALL)
SPACE = "search.space."
TWO_WORDS = re.compile(r"(\S+)\s+([+~]*[\w./@]+=.*)")
UNKNOWN_KEY = re.compile(r"Could not (?:override|find key|delete)[^']* '([^'\s]+)'")


def explain(error: Exception, config: dict[str, Any] | None, choices: dict[str, str]) -> str:
    """A sentence for an exception of Hydra's composition; `config` is what composes without the overrides."""
    text = " ".join(str(e) for e in (error, error.__cause__) if e)
    if found := MISSING_CHOICE.search(text):
        if words := TWO_WORDS.fullmatch(found[2]):
            return _two_words(found[1], words)
        choices_there = OPTIONS.findall(text) if found[1].startswith("hydra/") else members.choices(found[1])
        return f"There is no {found[1]}={found[2]}. {nearest(found[2], choices_there)}"
    if found := UNKNOWN_KEY.search(text):
        if f"{found[1]}.".startswith(SPACE):
            return swept_itself(found[1].removeprefix(SPACE) if found[1].startswith(SPACE) else "KEY")
        return unknown_key(found[1], config or {}, choices)
    if found := REFERENCE.search(text):
        key, other = found[2], found[1]
        return f"{key} is to be as {other} is, which is no key here. Set {key}=VALUE, or choose what has {other}."
    if found := ADDED_TWICE.match(text):
        return f"{found[1]} has its choice already, which another one replaces. Leave the + out: {found[1]}=NAME."
    return " ".join(text.split())


def swept_itself(key: str) -> str:
    """The advice for a key that was put under search.space on the command line."""
    return f"{SPACE}{key} belongs into a recipe. On the command line give the key itself its values: {key}=VALUE,VALUE."


def unknown_key(key: str, config: dict[str, Any], choices: dict[str, str]) -> str:
    """Names the first part of a dotted key that the config lacks, and the nearest that it has."""
    node: Any = config
    *parents, last = key.split(".")
    for depth, name in enumerate(parents):
        if not isinstance(node, dict) or name not in node:
            parents, last = parents[:depth], name
            break
        node = node[name]
    prefix = "".join(f"{name}." for name in parents)
    known = {prefix + name for name in node if not name.startswith("_")} if isinstance(node, dict) else set()
    known |= set() if parents else set(members.groups())
    if not parents and last in known:
        return f"{last} is given a choice's name. Write {last}={choices.get(last, 'NAME')}, or {last}.KEY=VALUE."
    if len(parents) == 1 and last in members.left_out(parents[0], choices.get(parents[0])):
        file = members.choices(parents[0])[choices[parents[0]]]
        return f"{file} leaves {last} out. Write +{key}=VALUE, or add a line to the file: {last}: VALUE"
    where = f" in {parents[0]}={choices[parents[0]]}" if parents and parents[0] in choices else ""
    return f"There is no key {prefix}{last}{where}. {nearest(prefix + last, known)}"


def needs_quotes(override: str) -> str:
    """The advice for an override that Hydra's grammar refuses: the quoted form that works."""
    key, equals, value = override.partition("=")
    if ".." in key:
        return f"{key} has an empty part. Write the key with single dots: {re.sub(r'[.]+', '.', key)}={value}."
    if not equals:
        known = nearest(override, members.groups())
        return f"{override} is neither a verb nor key=value. {known} Write for example model=lstm."
    if words := TWO_WORDS.fullmatch(value):
        return _two_words(key, words)
    if CALL.match(value) and (lacking := _lacking(value)) is not None:
        what = f"lacks {lacking} at its end" if lacking else "has a closing bracket that nothing opens"
        move = f"Write {shlex.quote(f'{key}={value}{lacking}')}" if lacking else "Leave it out"
        return f"{key} {what}: {value}. {move}."
    if value.endswith(",") and (listed := value.rstrip(", ")):
        return (
            f"{key} has no value after its last comma: {value} Write {key}={listed}, or go on without a space: "
            f"{key}={listed},VALUE."
        )
    # Hydra reads a backslash as itself except before a quote.
    plain = os.path.expanduser(value.strip("'\""))
    quoted = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ('\\"' if m[2] else ""), plain)
    suggestion = shlex.quote(f'{key}="{quoted}"')
    what = value or "nothing"
    return f"{key} has a value that needs quotes, or a bracket or comma is missing: {what}. Write {suggestion}."


def _two_words(key: str, words: re.Match[str]) -> str:
    """The advice for a value that goes on with another override: the quotes of the shell are around both."""
    return (
        f"{key} is given two words at once: {words[0]}. Write them apart, without quotes: {key}={words[1]} {words[2]}"
    )


def _lacking(value: str) -> str | None:
    """The brackets that would close those that are open, "" where one closes nothing, None where all is well."""
    waiting = ""
    for sign in value:
        if sign in CLOSING:
            waiting = CLOSING[sign] + waiting
        elif sign in CLOSING.values():
            if not waiting.startswith(sign):
                return ""
            waiting = waiting[1:]
    return waiting or None
