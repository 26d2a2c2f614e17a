"""A part of the data as padded, masked chunks for evaluation: every example counts once."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnrun.datasets.base import Data
from nnrun.datasets.part import Part, count

EVALUATION_BATCH = 256
CHUNK_ROWS = 8192


def chunk_shape(data: Data, most: int | None = None) -> tuple[int, int]:
    """Batches per chunk and rows per batch, the same for every part, so that one program serves them all.

    most: rows of a batch at most; by default EVALUATION_BATCH.
    """
    val = count(data.val) if data.folds is None else data.folds.val.shape[1]
    largest = max(val, count(data.test))
    rows = min(most or EVALUATION_BATCH, largest + largest % 2)
    return max(1, min(-(-largest // rows), CHUNK_ROWS // rows)), rows


def chunks(part: Part, shape: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The part in order as dicts of arrays (batches, rows, ...) with `mask` and `index`; padding is its first row."""
    total, size = count(part), shape[0] * shape[1]
    for start in range(0, total, size):
        index = np.arange(start, start + size)
        mask, taken = (index < total).astype(np.float32), np.where(index < total, index, 0)
        chunk = {name: values[taken].reshape(*shape, *values.shape[1:]) for name, values in part.items()}
        chunk["mask"], chunk["index"] = mask.reshape(shape), taken.astype(np.int32).reshape(shape)
        yield chunk


def folds(places: np.ndarray, shape: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places (folds, most) in order as arrays (folds, batches, rows), with their `index`; padding is below 0."""
    size = shape[0] * shape[1]
    for start in range(0, places.shape[1], size):
        mine = np.full((len(places), size), -1, np.int32)
        found = places[:, start : start + size]
        mine[:, : found.shape[1]] = found
        index = np.arange(start, start + size, dtype=np.int32)
        yield mine.reshape(-1, *shape), np.where(index < places.shape[1], index, 0).reshape(shape)
