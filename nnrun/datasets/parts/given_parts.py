"""Data sets that may come with a validation or a test part of their own; what is missing is cut from the rest."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnrun.datasets.base import DatasetConfig
from nnrun.datasets.parts.split import FEWEST, share, stratified_order, streams
from nnrun.errors import ConfigError


class Parts(NamedTuple):
    """Indices of the examples of each part."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """All of them: the training part first, at random, then the others in the order they came."""
        return np.concatenate(self)

    def cut(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values in that order as three views."""
        train, val = len(self.train), len(self.train) + len(self.val)
        return values[:train], values[train:val], values[val:]


def divide(
    counts: Sequence[int], labels: np.ndarray | None, config: DatasetConfig, source: str | Path | None = None
) -> Parts:
    """Indices into the examples of the given training, validation and test part, one after the other.

    counts: how many were given of each, 0 for a part that is cut from the training part, by `dataset.seed`.
    labels: (sum of counts,) classes, which every part then has in equal proportions; None: numbers.
    Raises ConfigError when too few are left for training, and names the `source`.
    """
    _, rng = streams(config.seed)
    starts = np.cumsum([0, *counts[:2]])
    kept = share(tuple(counts), config.limit)
    orders = []
    for start, count, keep in zip(starts, counts, kept, strict=True):
        own = None if labels is None else labels[start : start + count]
        order = rng.permutation(count) if own is None else stratified_order(own, rng)
        orders.append(start + order[:keep])
    val, test = (
        0 if given else max(round(kept[0] * fraction), FEWEST)
        for given, fraction in ((counts[1], config.val_fraction), (counts[2], config.test_fraction))
    )
    if kept[0] - val - test < FEWEST:
        raise ConfigError(
            f"{f'{source}: every' if source else 'Every'} part needs at least {FEWEST} examples, but {kept[0]} are too "
            f"few to keep {val} for validation and {test} for the test. Add examples, or set smaller "
            "dataset.val_fraction and dataset.test_fraction."
        )
    cut_val, cut_test, train = np.split(orders[0], [val, val + test])
    # The training part stays shuffled; the others are in the order of their file, as predictions of them will be.
    return Parts(train, np.sort(orders[1] if counts[1] else cut_val), np.sort(orders[2] if counts[2] else cut_test))
