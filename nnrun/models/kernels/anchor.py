"""Forecasts of changes: what a network sees and predicts relative to where a forecast starts."""

import jax
import numpy as np

from nnrun.datasets.base import Anchor


def to_changes(anchor: Anchor | None, inputs: jax.Array) -> jax.Array:
    """(batch, time, variables): forecast variables as differences from their newest value, so that no level is seen.

    The same without an anchor, and for forecasts after every step, where the newest value is still to come.
    Source: Zeng, Chen, Zhang & Xu, Are Transformers Effective for Time Series Forecasting? (2023), NLinear.
    """
    if anchor is None or anchor.steps == (0,):
        return inputs
    # In NumPy, so that it is a constant of the program; columns that are not forecast keep their level.
    forecast = np.isin(np.arange(inputs.shape[-1]), anchor.columns)
    return inputs - inputs[:, -1:] * forecast.astype(inputs.dtype)


def from_changes(anchor: Anchor | None, change: jax.Array, inputs: jax.Array) -> jax.Array:
    """The forecast whose change from the anchor is `change` (batch, [time,] horizon, variables); inputs as given.

    Without an anchor the change is the forecast. Inputs and targets of a variable share their scaling.
    """
    if anchor is None:
        return change
    start = inputs[..., list(anchor.columns)]
    start = start[:, :, None] if change.ndim == 4 else start[:, list(anchor.steps)]
    return change + start
