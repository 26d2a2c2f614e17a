"""Windows over a series."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def count_windows(steps: int, window: int, horizon: int, stride: int) -> int:
    """Number of windows with their targets in a series of `steps` steps."""
    return max(0, (steps - window - horizon) // stride + 1)


def cut_windows(
    series: np.ndarray, window: int, horizon: int, stride: int, per_step: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of every window of `series` (time, variables), in order of time: views of float32 values.

    inputs (windows, window, variables): x[s : s + window] for s = 0, stride, 2 stride, ...
    targets (windows, horizon, variables): x[s + window : s + window + horizon]; with per_step
    (windows, window, horizon, variables): x[s + t + 1 : s + t + 1 + horizon] for t = 0, ..., window - 1.
    """
    values = np.ascontiguousarray(series, np.float32)
    if len(values) < window + horizon:
        return np.zeros((0, window, values.shape[1]), np.float32), np.zeros((0, horizon, values.shape[1]), np.float32)
    # Views: overlapping windows share the values. The axis of the window comes last and has to be the second.
    pieces = sliding_window_view(values, window + horizon, axis=0)[::stride].swapaxes(1, 2)
    inputs, targets = pieces[:, :window], pieces[:, window:]
    if per_step:
        targets = sliding_window_view(pieces[:, 1:], horizon, axis=1).swapaxes(2, 3)
    return inputs, targets


def season_before(values: np.ndarray, last: np.ndarray, horizon: int, period: int | None) -> np.ndarray | None:
    """(windows, horizon, variables) x_{t+h-km} with the smallest k that lies in the past, m = period.

    values (time, variables); last (windows,): the row t of each window's last step. None without a period, or where
    the series does not reach back so far.
    """
    if period is None or not len(last) or last.min() + 1 < period:
        return None
    return values[last[:, None] + 1 - period + np.arange(horizon) % period]


def places(times: np.ndarray | None, rows: int, period: int) -> np.ndarray:
    """(rows,) the place of every row in its season, by its time in usual steps, so that missing rows move none."""
    if times is None or rows < 2:
        return np.arange(rows) % period
    passed = (times - times[0]).astype(np.float64)
    return np.round(passed / np.median(np.diff(passed))).astype(np.int64) % period
