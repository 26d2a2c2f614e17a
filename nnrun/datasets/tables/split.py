"""Which rows of a table are for training, for validation and for the test; honest for groups and for time."""

from typing import NamedTuple

import numpy as np

from nnrun.datasets.parts.split import FEWEST, stratified_order
from nnrun.errors import ConfigError

TRAIN, VAL, TEST, UNUSED = range(4)
MANY_ROWS = 2**22
"""Most rows that are shuffled; more of them are divided by `by_draws`, unless there is a limit."""
BINS = 10
MANY_NUMBERS = 20
"""A number of more different values is stratified by its deciles."""


class Fractions(NamedTuple):
    """Shares of the rows for validation and for the test; 0 where that part has a file of its own."""

    val: float
    test: float

    def sizes(self, count: int) -> tuple[int, int]:
        """How many rows are for validation and for the test, at least FEWEST where there is a share."""
        val, test = (max(round(count * share), FEWEST) if share else 0 for share in self)
        val = min(val, count - (FEWEST if test else 0) - FEWEST)
        return val, min(test, count - val - FEWEST)


def by_draws(usable: np.ndarray, fractions: Fractions, rng: np.random.Generator) -> np.ndarray:
    """The part (rows,) uint8 of every row, each drawn on its own: for many rows the shares come out almost exactly.

    Needs no memory beyond what it returns. Rows that are not `usable` are UNUSED.
    """
    # In pieces: random numbers for all rows at once would take eight times the memory of the parts.
    found = np.empty(len(usable), np.uint8)
    for start in range(0, len(usable), MANY_ROWS):
        draws = rng.random(min(MANY_ROWS, len(usable) - start))
        parts = np.where(draws < fractions.val, VAL, np.where(draws < sum(fractions), TEST, TRAIN))
        found[start : start + len(draws)] = np.where(usable[start : start + len(draws)], parts, UNUSED)
    return found


def by_chance(
    usable: np.ndarray, strata: np.ndarray | None, fractions: Fractions, limit: int | None, rng: np.random.Generator
) -> np.ndarray:
    """The part (rows,) uint8 of every row: at random, or with the strata (rows,) in equal proportions in every part.

    Rows that are not `usable` and those over the limit are UNUSED.
    """
    rows = np.flatnonzero(usable)
    order = rng.permutation(len(rows)) if strata is None else stratified_order(strata[rows], rng)
    chosen = rows[order[:limit]]
    val, test = fractions.sizes(len(chosen))
    found = np.full(len(usable), UNUSED, np.uint8)
    found[chosen[:val]], found[chosen[val : val + test]], found[chosen[val + test :]] = VAL, TEST, TRAIN
    return found


def by_time(
    usable: np.ndarray, times: np.ndarray, fractions: Fractions, limit: int | None, rng: np.random.Generator
) -> np.ndarray:
    """The part (rows,) uint8 of every row: the oldest train, the newest test; rows of the same time stay together."""
    rows = _some(usable, limit, rng)
    rows = rows[np.argsort(times[rows], kind="stable")]
    ordered, (val, test) = times[rows], fractions.sizes(len(rows))
    second = _between(ordered, len(rows) - test) if test else len(rows)
    first = _between(ordered[:second], max(second - val, 0)) if val and second else second
    if first < FEWEST or (val and second - first < FEWEST) or (test and len(rows) - second < FEWEST):
        raise ConfigError(
            f"dataset.time has {len(np.unique(ordered))} different times in {len(rows)} rows, too few to cut the table "
            "between two of them. Leave dataset.time=null, or name another column."
        )
    found = np.full(len(usable), UNUSED, np.uint8)
    found[rows[:first]], found[rows[first:second]], found[rows[second:]] = TRAIN, VAL, TEST
    return found


def by_group(
    usable: np.ndarray, groups: np.ndarray, fractions: Fractions, limit: int | None, rng: np.random.Generator
) -> np.ndarray:
    """The part (rows,) uint8 of every row: all rows of a group are in one part.

    Groups come in random order. One goes where the largest share of the wanted rows is still lacking, unless it is more
    than twice what is lacking there: then where most rows are lacking.
    """
    rows = _some(usable, limit, rng)
    _, first, member, sizes = np.unique(groups[rows], return_index=True, return_inverse=True, return_counts=True)
    wanted = np.array([1 - fractions.val - fractions.test, *fractions])
    parts = np.flatnonzero(wanted)
    if len(first) < len(parts):
        raise ConfigError(
            f"dataset.group has {len(first)} different groups, but {len(parts)} parts need one each. Name another "
            "column, or leave dataset.group=null."
        )
    # Groups are numbered by their first row: their values are hashes, whose order may change with polars.
    part_of = _shared_out(sizes, np.argsort(first, kind="stable")[rng.permutation(len(first))], wanted * len(rows))
    found = np.full(len(usable), UNUSED, np.uint8)
    found[rows] = part_of[member]
    return found


def _shared_out(sizes: np.ndarray, order: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The part (groups,) uint8 of every group; none of the parts that rows are wanted for stays empty."""
    lacking, empty = wanted.astype(float), set(np.flatnonzero(wanted).tolist())
    found = np.empty(len(sizes), np.uint8)
    for position, group in enumerate(order):
        # Once only as many groups are left as parts are empty, each goes to one of these.
        among = np.array(sorted(empty)) if len(order) - position <= len(empty) else np.flatnonzero(wanted)
        share = np.where(2 * lacking[among] >= sizes[group], lacking[among] / wanted[among], -np.inf)
        part = among[np.argmax(share)] if np.isfinite(share).any() else among[np.argmax(lacking[among])]
        found[group] = part
        lacking[part] -= sizes[group]
        empty.discard(int(part))
    return found


def binned(values: np.ndarray) -> np.ndarray:
    """The strata (rows,) of numbers: each number its own, or the deciles of many; missing ones (nan) are together."""
    known = values[~np.isnan(values)]
    if len(np.unique(known)) <= MANY_NUMBERS:
        return np.unique(values, return_inverse=True)[1]
    edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.where(np.isnan(values), BINS, np.searchsorted(edges, values, side="right"))


def _some(usable: np.ndarray, limit: int | None, rng: np.random.Generator) -> np.ndarray:
    """The usable rows, or a random choice of `limit` of them, in their order."""
    rows = np.flatnonzero(usable)
    return rows if limit is None or limit >= len(rows) else np.sort(rng.permutation(rows)[:limit])


def _between(ordered: np.ndarray, place: int) -> int:
    """The nearest place to cut at which the time changes."""
    low, high = np.searchsorted(ordered, ordered[place], "left"), np.searchsorted(ordered, ordered[place], "right")
    return int(low if place - low <= high - place or high == len(ordered) else high)
