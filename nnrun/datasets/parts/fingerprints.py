"""Which examples are equal in what a network is shown: across the parts of a data set, and later in other files."""

from collections.abc import Iterator

import numpy as np

from nnrun.datasets.base import Data, DataSpec
from nnrun.datasets.part import Part, count, is_mapped

MOST_BYTES = 2**30
"""Bytes of examples that are looked through; more would take a second and longer."""
WORDS_AT_ONCE = 2**21
FEWEST, SHARE = 2, 0.01
"""How many validation and test examples must be equal to training ones to be told, at least, and which share."""


def of(spec: DataSpec, part: Part) -> np.ndarray | None:
    """(n,) uint64, equal for examples whose inputs are equal; None for a part that is mapped or very large.

    Source: Carter & Wegman, Universal classes of hash functions (1979), with the sums of products of 32-bit words.
    """
    shown = spec.shown(part)
    if is_mapped(shown) or sum(values.size * values.itemsize for values in shown.values()) > MOST_BYTES:
        return None
    found = np.zeros(count(part), np.uint64)
    for i, name in enumerate(sorted(shown)):
        found = found * np.uint64(0x9E3779B97F4A7C15) + _of_rows(shown[name], i)
    return found


def _of_rows(values: np.ndarray, seed: int) -> np.ndarray:
    if values.dtype != np.uint8:
        values = values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
    width = values[:1].nbytes
    words = -(-width // 4)
    keys, found = _keys(words, seed), np.zeros(len(values), np.uint64)
    size = max(1, WORDS_AT_ONCE // max(words, 1))
    for start in range(0, len(values), size):
        block = np.ascontiguousarray(values[start : start + size])
        if block.dtype.kind == "f":
            # Zero and minus zero are equal, and so must be their bytes.
            block = block + np.float32(0)
        rows = np.zeros((len(block), 4 * words), np.uint8)
        rows[:, :width] = block.reshape(len(block), -1).view(np.uint8)
        found[start : start + size] = (rows.view(np.uint32).astype(np.uint64) * keys).sum(1, dtype=np.uint64)
    return found


def _keys(words: int, seed: int) -> np.ndarray:
    """(words,) uint64 numbers that look random and never change; Steele, Lea & Flood, SplitMix (2014)."""
    found = (np.arange(1, words + 1, dtype=np.uint64) + np.uint64(seed << 40)) * np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31)) | np.uint64(1)


def notes(data: Data) -> Iterator[str]:
    """A sentence where validation and test examples are equal to training ones; windows of a series overlap anyway."""
    if data.series is not None or data.spec.inputs == (0,):
        return
    found = [of(data.spec, part) for part in (data.train, data.val, data.test)]
    train, *others = found
    if train is None or any(one is None for one in others):
        return
    everything = np.concatenate([one for one in others if one is not None])
    equal = int(np.isin(everything, train).sum())
    if equal < max(FEWEST, SHARE * len(everything)):
        return
    yield (
        f"{equal} of {len(everything)} validation and test examples have the same inputs as a training example, so "
        "their metrics may show what the network remembers. Where these are the same case, keep each case in one part "
        "(dataset.group=COLUMN of a csv), or leave repeated examples out."
    )
