"""Which column of a table is what: names and positions of the config, checked against the table's columns."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from nnrun.datasets.tables.dialect import SEPARATORS
from nnrun.datasets.tables.values import NOTHING
from nnrun.errors import ConfigError
from nnrun.schema import nearest

PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w.%/+-]*(?: [\w.%/+-]+)*", re.ASCII | re.IGNORECASE)
"""Names that Hydra's grammar takes as keys of a dict."""
CATEGORIES = ("categorical", "one_hot", "embedding")
Column = str | int
Columns = Column | tuple[Column, ...] | None


@dataclass(frozen=True)
class Roles:
    """Columns by what they are for; `inputs` may still lose those that tell nothing.

    missing: texts that stand for a missing value, by column. types: what was stated, by column. typed: how each column
    is written on the command line.
    """

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    group: str | None
    time: str | None
    stratify: str | None
    anomaly: str | None
    missing: dict[str, tuple[str, ...]]
    types: dict[str, str]
    typed: dict[str, str]

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is looked at, once."""
        others = [name for name in (self.group, self.time, self.stratify, self.anomaly) if name is not None]
        return tuple(dict.fromkeys([*self.inputs, *self.targets, *others]))


def assign(config: Any, columns: Sequence[str], source: Path) -> Roles:
    """The roles that the keys of dataset=csv give to the columns. Raises ConfigError for a column that is not there."""
    found = _Finder(columns, source)
    chosen = {key: found.all(key, getattr(config, key)) for key in ("target", "features", "drop", "anomaly")}
    group, time = (found.one(key, getattr(config, key)) for key in ("group", "time"))
    stratify = None if config.stratify == "auto" else found.one("stratify", config.stratify)
    for (other, others), (key, names) in combinations(chosen.items(), 2):
        if twice := [name for name in others if name in names]:
            raise ConfigError(f"dataset.{key} and dataset.{other} both name {twice[0]}. Leave it out of one of them.")
    targets, named, dropped, marks = chosen.values()
    out = {*targets, *dropped, *marks, group, time}
    inputs = named or tuple(name for name in columns if name not in out)
    types = {found.one("types", key) or "": kind for key, kind in (config.types or {}).items()}
    typed = {name: name if PLAIN.fullmatch(name) else str(i + 1) for i, name in enumerate(columns)}
    missing = _missing(found, config.missing, types)
    anomaly = marks[0] if marks else None
    if anomaly is not None and not missing[anomaly]:
        # That there is nothing wrong may well be written as none.
        missing[anomaly] = NOTHING
    return Roles(inputs, targets, group, time, stratify, anomaly, missing, types, typed)


def hint(key: str, typed: str, value: str) -> str:
    """A key of dataset=csv that says something of one column, as it is typed in a shell."""
    return shlex.quote(f"dataset.{key}={{{typed}: {value}}}")


def _missing(found: "_Finder", given: Any, types: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The texts that stand for a missing value, by column, as they are given for all columns or by column.

    Where a list is empty, or a column is stated to hold categories, every text is a value.
    """
    by_column = {found.one("missing", key): value for key, value in given.items()} if isinstance(given, dict) else {}
    texts = {}
    for name in found.columns:
        value = by_column.get(name, None if isinstance(given, dict) else given)
        if value is None and types.get(name) in CATEGORIES:
            value = ()
        values = [] if value is None else value if isinstance(value, list | tuple) else [value]
        # YAML makes a boolean of the text true, which Python would write True.
        marks = tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
        texts[name] = marks if marks or value is None else NOTHING
    return texts


class _Finder:
    """Columns of a table by name, or by position from 1, or from -1 at the end; a number may be a name, too."""

    def __init__(self, columns: Sequence[str], source: Path) -> None:
        self.columns, self._source = columns, source

    def one(self, key: str, given: Column | None) -> str | None:
        """The name of a column. Raises ConfigError for one that is not there."""
        if given is None:
            return None
        count = len(self.columns)
        if str(given) in self.columns:
            return str(given)
        if isinstance(given, int) and 1 <= abs(given) <= count:
            return self.columns[given - 1 if given > 0 else given]
        if isinstance(given, int):
            raise ConfigError(
                f"dataset.{key}={given} is no column of {self._source}, which has {count}: they count from 1, or "
                "from -1 at the end. Set for example -1 for the last one."
            )
        near = nearest(given, self.columns)
        if count == 1:
            near = f"Its only column is {self.columns[0]}."
            if self._source.suffix.lower() != ".parquet":
                near += (
                    " Where that is several names, set the mark between them, dataset.separator, to one of "
                    f"{', '.join(SEPARATORS)}, or write the file with one of these."
                )
        raise ConfigError(f"dataset.{key} names the column {given}, which {self._source} does not have. {near}")

    def all(self, key: str, given: Columns) -> tuple[str, ...]:
        """The names of several columns. Raises ConfigError for one that is named twice."""
        found = [self.one(key, one) for one in (given if isinstance(given, tuple) else (given,))]
        names = [name for name in found if name is not None]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ConfigError(f"dataset.{key} names the column {twice[0]} twice. Name it once.")
        return tuple(names)
