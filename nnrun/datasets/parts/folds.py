"""The folds of independent examples: at random, classes in equal proportions, groups whole."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nnrun.datasets.base import NO_EXAMPLE, Data, Folds, Scaling, ScalingKind
from nnrun.datasets.part import Part, count, is_mapped, take
from nnrun.datasets.parts.scaling import fit, fit_inputs
from nnrun.datasets.parts.split import FEWEST, stratified_order
from nnrun.errors import ConfigError

Refit = Callable[[Data], Data]
"""Data as they are once everything that is fitted on the training part was fitted on theirs."""


def divide(
    data: Data,
    folds: int,
    seed: int,
    refit: Refit,
    groups: np.ndarray | None = None,
    strata: np.ndarray | None = None,
) -> Folds:
    """The training and validation part as a pool in so many folds.

    Labels, or `strata` (n,) of the pool, training part first, are in every fold in equal proportions; `groups` (n,) are
    kept whole. Raises ConfigError where there are too few examples, labels or groups, or too many examples for memory.
    """
    if any(map(is_mapped, (data.train, data.val))):
        raise ConfigError(
            f"training.folds={folds} needs the examples in memory, but these data are read from files as they are "
            "trained on. Set training.folds=1, or a dataset.limit."
        )
    pool = {name: np.concatenate([data.train[name], data.val[name]]) for name in data.train}
    rng, labels = np.random.default_rng((seed, folds)), _labels(data, pool) if strata is None else None
    if groups is not None:
        held_out = _of_groups(groups, folds, rng)
    else:
        _check(folds, count(pool), labels)
        alike = labels if strata is None else strata
        order = rng.permutation(count(pool)) if alike is None else stratified_order(alike, rng)
        held_out = [np.sort(part) for part in np.array_split(order, folds)]
    everyone = np.arange(count(pool))
    train = [np.setdiff1d(everyone, mine, assume_unique=True) for mine in held_out]
    parts = zip(train, held_out, strict=True)
    divisions = tuple(refit(replace(data, train=take(pool, mine), val=take(pool, out))) for mine, out in parts)
    return Folds(pool, _padded(train), _padded(held_out), divisions)


def apart(divisions: Sequence[Data]) -> Folds:
    """Folds that have examples of their own, because they see them in another way."""
    parts = [part for division in divisions for part in (division.train, division.val)]
    ends = np.cumsum([count(part) for part in parts])
    places = [np.arange(end - count(part), end) for end, part in zip(ends, parts, strict=True)]
    pool = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Folds(pool, _padded(places[::2]), _padded(places[1::2]), tuple(divisions))


def refitted(data: Data, kind: ScalingKind) -> Data:
    """The data with the scalings of their training part, as data sets of examples fit them."""
    inputs = data.input_scaling if not data.spec.example["inputs"].scaled else fit_inputs(data.train, kind)
    targets = data.target_scaling and fit(data.train["targets"], kind)
    return replace(
        data,
        input_scaling=inputs,
        target_scaling=targets,
        scalings={name: fit(data.train[name], kind) for name in data.scalings},
    )


def checked_refit(data: Data, kind: ScalingKind) -> Refit:
    """`refitted`, for data whose own scalings are those that it fits. Raises ConfigError for others."""
    again = refitted(data, kind)
    pairs = [(data.input_scaling, again.input_scaling), (data.target_scaling, again.target_scaling)]
    pairs += [(data.scalings[name], again.scalings[name]) for name in data.scalings]
    if not all(_same(*pair) for pair in pairs):
        raise ConfigError(
            "training.folds fits anew on every fold what is fitted on the training part, but this data set fits more "
            "than a scaling and has no folds of its own, see Dataset.folds. Set training.folds=1."
        )
    return lambda division: refitted(division, kind)


def _same(before: Scaling | None, again: Scaling | None) -> bool:
    if before is None or again is None:
        return before is again
    return bool(np.all(before.offset == again.offset) and np.all(before.scale == again.scale))


def _labels(data: Data, pool: Part) -> np.ndarray | None:
    """The labels (n,) of the pool, where an example has one."""
    targets = pool.get("targets")
    return targets if data.spec.classes is not None and targets is not None and targets.ndim == 1 else None


def _check(folds: int, examples: int, labels: np.ndarray | None) -> None:
    most, what = examples // FEWEST, f"{examples} examples outside the test part, of which each fold needs {FEWEST}"
    if labels is not None:
        fewest = int(np.unique(labels, return_counts=True)[1].min())
        if fewest < most:
            most, what = fewest, f"a class of {fewest} examples outside the test part, one for each fold"
    if folds > most:
        move = f"Set training.folds={most}." if most > 1 else "Set training.folds=1, or add examples."
        raise ConfigError(f"training.folds={folds} is too many for {what}. {move}")


def _of_groups(groups: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The examples of each fold; a group goes where the fewest examples are, the largest ones first."""
    _, first, member, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if folds > len(first):
        move = f"Set training.folds={len(first)}." if len(first) > 1 else "Set training.folds=1."
        raise ConfigError(f"training.folds={folds} is too many for {len(first)} groups outside the test part. {move}")
    # Numbered by their first row, since the values are hashes; those of one size are dealt out at random.
    order = np.argsort(first, kind="stable")[rng.permutation(len(first))]
    order = order[np.argsort(-sizes[order], kind="stable")]
    load, fold_of = np.zeros(folds, int), np.empty(len(first), int)
    for group in order:
        fold_of[group] = load.argmin()
        load[fold_of[group]] += sizes[group]
    return [np.flatnonzero(fold_of[member] == fold) for fold in range(folds)]


def _padded(places: list[np.ndarray]) -> np.ndarray:
    """Places of unequal numbers as one array (folds, most)."""
    found = np.full((len(places), max(map(len, places))), NO_EXAMPLE, np.int32)
    for row, mine in zip(found, places, strict=True):
        row[: len(mine)] = mine
    return found
