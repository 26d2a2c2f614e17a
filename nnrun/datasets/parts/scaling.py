"""Scaling fitted on training data: scaled = (raw - offset) / scale."""

import numpy as np

from nnrun.datasets.base import LEFT_OUT, Scaling, ScalingKind
from nnrun.datasets.part import Part

CHUNK = 2**20


def fit(values: np.ndarray, kind: ScalingKind, constant: float = 1.0) -> Scaling:
    """Scaling per feature, variable or channel (the last axis) of `values` (examples, ..., features).

    standard: offset = mean, scale = standard deviation; minmax: offset = min, scale = max - min; none: offset = 0 and
    scale = 1, or 255 for bytes (uint8). A constant feature gets the scale `constant`, except from `none`. Both arrays
    are float32 (features,).
    """
    features = values.shape[-1]
    if kind == "none":
        offset, scale = np.zeros(features), np.full(features, 255.0 if values.dtype == np.uint8 else 1.0)
    elif values.dtype == np.uint8:
        offset, scale = _of_bytes(values.reshape(-1, features), kind, constant)
    else:
        rows = values.reshape(-1, features)
        low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
        offset, scale = (low, high - low) if kind == "minmax" else moments(rows)
        # Its bounds tell a constant feature: the deviation of equal values may be a tiny number instead of 0.
        scale = np.where(low == high, constant, scale)
    return Scaling(offset.astype(np.float32), scale.astype(np.float32))


def fit_inputs(part: Part, kind: ScalingKind) -> Scaling:
    """The scaling of a part's inputs, constant ones left out; of padded sequences the valid steps alone count."""
    inputs, lengths = part["inputs"], part.get("lengths")
    return fit(inputs if lengths is None else inputs[np.arange(inputs.shape[1]) < lengths[:, None]], kind, LEFT_OUT)


def _of_bytes(rows: np.ndarray, kind: ScalingKind, constant: float) -> tuple[np.ndarray, np.ndarray]:
    """Offset and scale of bytes, from how often each of the 256 occurs: exact, and one pass over what may be mapped."""
    counts, size = np.zeros((rows.shape[1], 256)), max(1, CHUNK // rows.shape[1])
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        counts += [np.bincount(column, minlength=256) for column in block.T]
    value, share = np.arange(256.0), counts / len(rows)
    low, high = ((counts > 0).argmax(1), 255 - (counts[:, ::-1] > 0).argmax(1))
    mean = share @ value
    deviation = np.sqrt((share * (value - mean[:, None]) ** 2).sum(1))
    offset, scale = (low, high - low) if kind == "minmax" else (mean, deviation)
    return offset, np.where(low == high, constant, scale)


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (features,) in float64, without a float64 copy of all `rows`."""
    mean = rows.mean(axis=0, dtype=np.float64)
    size = max(1, CHUNK // rows.shape[1])
    squares = sum(((rows[i : i + size] - mean) ** 2).sum(axis=0) for i in range(0, len(rows), size))
    return mean, np.sqrt(squares / len(rows))
