"""What a folder that somebody else may have made must not hold: the one check of run and sweep folders alike.

Whoever opens a folder hands over what it recorded. Nothing of it is executed, nothing is written through its links, and
nothing that it says is offered for pasting unless it is made of plain keys and values.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nnrun.config import choices
from nnrun.errors import ConfigError

MOST_ENTRIES = 256
"""The longest list that makes a layer of each entry: nothing else bounds how long building the network takes."""
OWN = "If the folder is your own, run again with --trust where ./conf and the code lie."
NOT_RUN = "Its folder is not run."
IN_PLACE = ("run.log", ".lock", "sweep.db")
"""Files that are added to where they lie, so that another name of theirs would be written through as well."""
REFERENCE = re.compile(r"\$\{[\w.\[\]]+\}")
"""`${model.dropout}`, the value of another key; what calls a resolver, `${oc.env:HOME}`, is none."""
WORD = re.compile(r"[+]{0,2}([\w./-]+)=.*|~([\w./-]+)(=.*)?", re.DOTALL)
SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal of SQLite's that names another file, which is deleted once the journal is rolled back."""
Config = Mapping[str, Any]


def check(folder: Path, path: Path, configs: Iterable[Config], trust: bool, references: bool = False) -> None:
    """Raises ConfigError for what no run or sweep writes into its folder; `configs` are those that `path` recorded.

    Unless `trust`, also for code outside nnrun, which would be executed, for links, through which a later file would be
    written elsewhere, and for values that are taken from the environment. references: a sweep keeps `${KEY}` as typed.
    """
    for config in configs:
        for group, content in config.items():
            check_value(path, str(group), content, references, trust)
        if not trust:
            refuse_foreign_code(folder, config)
    if not trust:
        check_files(folder)


def check_value(path: Path, key: str, value: Any, references: bool, trust: bool, top: bool = True) -> None:
    """Raises ConfigError for what Hydra would replace, and for members inside members."""
    if isinstance(value, dict):
        for name, item in value.items():
            if str(name).startswith("_") and not (top and name in ("_target_", "_task_")):
                raise ConfigError(f"{path} has a key that no run writes: {key}.{name}. {NOT_RUN}")
            check_value(path, f"{key}.{name}", item, references, trust, False)
    elif isinstance(value, list | tuple):
        if key.startswith("model.") and len(value) > MOST_ENTRIES:
            raise ConfigError(f"{path} must have at most {MOST_ENTRIES} entries in {key}, but has {len(value)}.")
        for item in value:
            check_value(path, key, item, references, trust, False)
    elif isinstance(value, str) and not (references and (trust or _is_literal(value))) and "${" in value:
        raise ConfigError(f"{path} must hold values alone, but {key} is {value[:80]}. {OWN if references else NOT_RUN}")


def _is_literal(text: str) -> bool:
    """Whether a text holds nothing that is computed, but for the values of other keys."""
    return "${" not in REFERENCE.sub("", text)


def check_files(folder: Path) -> None:
    """Raises ConfigError for a link, and for what is neither file nor folder, anywhere below a folder."""
    for found in _entries(folder):
        # A pipe, for one, which whoever opens it would wait at for ever.
        is_plain = found.is_file(follow_symlinks=False) or found.is_dir(follow_symlinks=False)
        if found.is_symlink():
            what = "is a link, which no run writes; files would be written through it"
        elif not is_plain:
            what = "is neither a file nor a folder"
        elif found.name in IN_PLACE and found.stat(follow_symlinks=False).st_nlink > 1:
            what = "has a second name elsewhere, which no run's file has; both would be written"
        elif found.name == "sweep.db-journal" and _names_another(Path(found.path)):
            what = "names a further file, which SQLite would delete"
        else:
            continue
        raise ConfigError(f"{found.path} {what}. {OWN}")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, without following links; what cannot be read is no place to write to either."""
    waiting = [str(folder)]
    while waiting:
        try:
            entries = sorted(os.scandir(waiting.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        yield from entries
        waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _names_another(journal: Path) -> bool:
    with journal.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(SUPER_JOURNAL)))
        return file.read() == SUPER_JOURNAL


def check_choices(folder: Path, picked: Mapping[str, str]) -> None:
    """Raises ConfigError for recorded choices from `./conf` that bring more than the values of their group."""
    for group, name in picked.items():
        path = choices.choices(group)[name]
        if path.parents[1] != choices.conf_folder():
            content = choices.load_choice(group, name)
            refuse_foreign_code(folder, {group: content})
            if "defaults" in content or "@package" in path.read_text(encoding="utf-8"):
                raise ConfigError(f"{folder} names {path}, which sets keys of others. {OWN}")


def check_space(path: Path, space: Iterable[str], groups: Iterable[str]) -> None:
    """Raises ConfigError for keys that no sweep searches: they are chosen groups, `seed`, or dotted.

    With them a trial changes single values of the checked configs, and never what is built of them.
    """
    known = {*groups, "seed"}
    for key in space:
        if key not in known and not ("." in key and all(part and part[0] != "_" for part in key.split("."))):
            raise ConfigError(f"{path} searches a key that no sweep searches: {key[:80]}. {NOT_RUN}")


def check_trials(path: Path, trials: Iterable[Config], space: Iterable[str], trust: bool) -> None:
    """Raises ConfigError for settings of trials beside the keys of the space, and for such as `check` refuses."""
    keys = set(space)
    for params in trials:
        for key, value in params.items():
            if key not in keys:
                raise ConfigError(f"{path} has a trial with {key[:80]}, which its sweep does not search. {NOT_RUN}")
            check_value(path, key, value, references=True, trust=trust, top=False)


def check_words(path: Path, words: Iterable[str], of_hydra: bool = False) -> None:
    """Raises ConfigError for overrides that are no plain keys and values: they are offered for pasting.

    of_hydra: keys of Hydra's own may be among them.
    """
    for word in words:
        found = WORD.fullmatch(word)
        is_plain = found and word.isprintable() and "_target_" not in word and _is_literal(word)
        is_hydras = found and re.match(r"hydra\b", found[1] or found[2]) and not of_hydra
        if not is_plain or is_hydras:
            raise ConfigError(f"{path} has words that no nnrun writes: {word[:80]}. {OWN}")


def check_command(path: Path, command: str, of_hydra: bool = False) -> None:
    """Raises ConfigError for a recorded command that is not nnrun's, word for word: pasting it could do anything."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:1] != ["nnrun"] or shlex.join(words) != command:
        raise ConfigError(f"{path} holds a command that no nnrun writes: {command[:80]}. {OWN}")
    check_words(path, (word for word in words[1:] if word not in ("-m", "--multirun")), of_hydra)


def continuing(folder: Path, *configs: dict[str, Any]) -> str:
    """The command that goes on in a folder of one's own, whose configs may name members of one's own."""
    trust = " --trust" if any(map(foreign, configs)) else ""
    return f"nnrun resume {shlex.quote(str(folder))}{trust}"


def refuse_foreign_code(folder: Path, plain: Config) -> None:
    """Raises ConfigError when a recorded config names anything but our members: a folder must not execute code."""
    for group, target in foreign(plain).items():
        named = f"{group}._target_={target[:80]}"
        raise ConfigError(f"{folder} names {named}, code outside nnrun, which is not run from a folder. {OWN}")


def foreign(plain: Config) -> dict[str, str]:
    """What groups of a config name outside nnrun: {group: target}."""
    targets = {group: content.get("_target_") for group, content in plain.items() if isinstance(content, dict)}
    return {
        group: str(target)
        for group, target in targets.items()
        if target is not None and not re.fullmatch(rf"nnrun\.{re.escape(group)}s?\.\w+\.\w+", str(target))
    }
