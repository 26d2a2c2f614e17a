"""How examples are divided into a training, a validation and a test part."""

from itertools import accumulate

import numpy as np

from nnrun.datasets.base import Dataset, DatasetConfig
from nnrun.errors import ConfigError

FEWEST = 2
"""Every part keeps at least this many examples."""


def streams(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    """Independent random streams for the generation and for the split of a data set."""
    # Two streams, so that a change of what is drawn for the examples does not divide them in another way.
    generation, split = np.random.default_rng(seed).spawn(2)
    return generation, split


class Divided(Dataset):
    """Base of data sets of which shares become the validation and the test part."""

    def __init__(self, config: DatasetConfig) -> None:
        total = config.val_fraction + config.test_fraction
        if total >= 1:
            raise ConfigError(
                f"dataset.val_fraction + dataset.test_fraction must be < 1, but got {total:g}. "
                "Set for example dataset.val_fraction=0.15 dataset.test_fraction=0.15."
            )
        self.config = config


def part_sizes(count: int, val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """Sizes of the training, validation and test part, which add up to `count` and are at least FEWEST each."""
    val = min(max(round(count * val_fraction), FEWEST), count - 2 * FEWEST)
    test = min(max(round(count * test_fraction), FEWEST), count - val - FEWEST)
    return count - val - test, val, test


def stratified_order(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(count,) a random order of which every run of neighbours has the classes in their overall proportions.

    Example r of the n of its class is placed at (r + 1/2) / n of the way, so a run of a share s of all examples has
    s n of them, give or take one.
    """
    order = rng.permutation(len(labels))
    shuffled = labels[order]
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled == label
        size = members.sum()
        place[members] = (np.arange(size) + 0.5) / size
    return order[np.argsort(place, kind="stable")]


def cut(order: np.ndarray, val_fraction: float, test_fraction: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training, validation and test part: disjoint, and all of `order` together."""
    _, val, test = part_sizes(len(order), val_fraction, test_fraction)
    return order[val + test :], order[:val], order[val : val + test]


def chronological(
    values: np.ndarray, val_fraction: float, test_fraction: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A series (time, ...) in three pieces, oldest first: training, validation, test."""
    train, val, _ = part_sizes(len(values), val_fraction, test_fraction)
    return values[:train], values[train : train + val], values[train + val :]


def share(counts: tuple[int, ...], limit: int | None) -> tuple[int, ...]:
    """`counts` scaled down to add up to `limit`, each at least FEWEST (or all it has) at the cost of the largest."""
    total = sum(counts)
    if limit is None or total <= limit:
        return counts
    # Differences of a rounded running total add up to the limit exactly, which rounded shares need not.
    shares = np.diff([count * limit // total for count in accumulate(counts, initial=0)])
    shares = np.maximum(shares, np.minimum(counts, FEWEST))
    shares[np.argmax(shares)] -= shares.sum() - limit
    return tuple(shares.tolist())
