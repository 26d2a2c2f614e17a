"""Classes that the training part does not have: no network can tell them."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from nnrun.datasets.base import Data
from nnrun.datasets.part import Part
from nnrun.errors import ConfigError

MOST_SHOWN = 20
"""How many classes an error lists."""


def strange(where: str | Path, counts: Mapping[str, int], known: Sequence[str], what: str = "examples") -> ConfigError:
    """The error for `counts` examples by class that `where` has, none of which is among the classes of the training.

    Where a class is written like a known one but for case, spaces and signs, that is named as the likely cause.
    """
    total, alone = sum(counts.values()), next(iter(counts)) if len(counts) == 1 else None
    most = sorted(counts, key=lambda label: (-counts[label], label))[:MOST_SHOWN]
    listed = alone or f"{', '.join(f'{label} ({counts[label]})' for label in most)}{_more(counts)}"
    twins = {label: twin for label in most if (twin := _alike(label, known)) is not None}
    if twins:
        pairs = ", ".join(f"{label!r} for {twin!r}" for label, twin in twins.items())
        move = f"Only case, spaces or signs differ ({pairs}): write the classes alike in all data."
    elif alone and (close := difflib.get_close_matches(alone, known, 1)):
        move = f"Did you mean {close[0]}?"
    else:
        move = f"Its classes are {', '.join(known[:MOST_SHOWN])}{_more(known)}."
    some = what.removesuffix("s") if total == 1 else what
    whose = "a class" if alone else f"{len(counts)} classes"
    return ConfigError(f"{where} has {total} {some} of {whose} that the training part does not have: {listed}. {move}")


def _more(labels: Collection[str]) -> str:
    return f" and {len(labels) - MOST_SHOWN} more" if len(labels) > MOST_SHOWN else ""


def _alike(label: str, known: Sequence[str]) -> str | None:
    """The class that is written like this one but for case, spaces and signs."""
    same = [one for one in known if _letters(one) == _letters(label)]
    return next(iter(difflib.get_close_matches(label, same, 1, 0.0)), None)


def _letters(label: str) -> str:
    return re.sub(r"[\W_]+", "", label.casefold())


def check(data: Data) -> None:
    """Raises ConfigError where the validation or the test part has a class that the training part has not.

    Anomalies are what the training part never shows.
    """
    if data.spec.classes is None or data.spec.anomalies or "targets" not in data.train:
        return
    known = np.bincount(_labels(data.train), minlength=data.spec.classes) > 0
    if known.all():
        return
    names = data.class_names or tuple(map(str, range(data.spec.classes)))
    for part, name in ((data.val, "validation"), (data.test, "test")):
        counts = np.bincount(_labels(part), minlength=data.spec.classes)
        lost = np.flatnonzero((counts > 0) & ~known).tolist()
        if lost:
            has = tuple(names[i] for i in np.flatnonzero(known).tolist())
            raise strange(f"The {name} part", {names[i]: int(counts[i]) for i in lost}, has)


def _labels(part: Part) -> np.ndarray:
    return np.asarray(part["targets"]).reshape(-1)
