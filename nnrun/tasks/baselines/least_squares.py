"""Linear regression on the training part: what a network for a table has to beat."""

import numpy as np

from nnrun.datasets.base import Data
from nnrun.tasks.baselines.scores import scaled

BLOCK_ROWS = 8192
"""Rows of the training part that are decomposed at a time."""


def least_squares(data: Data) -> np.ndarray:
    """(n, values) prediction for the test part of w₀ + Wx fitted to the training part, all in scaled units.

    Rows are reduced block by block to the triangle of a QR decomposition, which has the same solution: a wide table of
    a million rows takes seconds and little memory.
    """
    count, columns = len(data.train["inputs"]), data.spec.inputs[-1] + 1
    reduced: list[np.ndarray] = []
    size = max(BLOCK_ROWS, 4 * columns)
    for start in range(0, count, size):
        x, y = scaled(data, "train", slice(start, start + size))
        block = np.concatenate([_with_ones(x), y.reshape(len(y), -1)], axis=1)
        reduced = [np.asarray(np.linalg.qr(np.concatenate([*reduced, block]), mode="r"))]
    # What lstsq would take for the whole table; its own default is for the triangle's few rows.
    tolerance = np.finfo(np.float64).eps * max(count, columns)
    weights = np.linalg.lstsq(reduced[0][:, :columns], reduced[0][:, columns:], rcond=tolerance)[0]
    return _with_ones(scaled(data, "test")[0]) @ weights


def _with_ones(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.reshape(len(x), -1), np.ones((len(x), 1))], axis=1)
