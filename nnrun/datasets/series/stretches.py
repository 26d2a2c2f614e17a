"""Stretches of time that are labelled as anomalous."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from nnrun.datasets.series.times import time_labels
from nnrun.errors import ConfigError


def inside(found: np.ndarray, stretches: Iterable[str]) -> np.ndarray:
    """(n,) int32, 1 for times in one of the stretches `start/end`, both ends included. Raises ConfigError.

    An end is as long as it is written: a day goes on until midnight.
    """
    marks = np.zeros(len(found), np.int32)
    for stretch in stretches:
        ends = stretch.split("/")
        if len(ends) != 2:
            raise ConfigError(
                f"dataset.anomalies must be stretches START/END, but got {stretch}. Set for example "
                "dataset.anomalies=['2024-03-01/2024-03-05 12:00']."
            )
        (start, _), (_, end) = (_moment(text.strip(), stretch, found.dtype) for text in ends)
        if end < start:
            raise ConfigError(f"dataset.anomalies has {stretch}, which ends before it starts. Turn the two around.")
        marks |= (found >= start) & (found <= end)
    return marks


def check(found: np.ndarray, stretches: Sequence[str], source: str | Path) -> None:
    """Raises ConfigError for a stretch in which no time of the series lies."""
    for stretch in stretches:
        if not inside(found, (stretch,)).any():
            first, last = time_labels(found[[0, -1]])
            raise ConfigError(
                f"dataset.anomalies has {stretch}, but {source} has no row in it: it goes from {first} to {last}. "
                "Correct the stretch, or leave it out."
            )


def clear(marked: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Which stretches of `length` rows from each of the starts (n,) on hold none of the marked (rows,)."""
    before = np.concatenate([[0], np.cumsum(marked)])
    return before[starts + length] == before[starts]


def notes(train: np.ndarray, val: np.ndarray, kept: Literal["keep", "drop"]) -> tuple[str, ...]:
    """A sentence where some of the training and validation rows, (rows,) each, are labelled."""
    counts = f"{train.sum()} of {len(train)} training rows and {val.sum()} of {len(val)} validation rows"
    if not train.any() and not val.any():
        return ()
    if kept == "drop":
        return (f"dataset.anomalies marks {counts}: windows that see or forecast one are left out.",)
    return (
        f"dataset.anomalies marks {counts}: the network and its threshold take them for usual. To leave out the "
        "windows that see or forecast one, set dataset.train_anomalies=drop.",
    )


def _moment(text: str, stretch: str, kind: np.dtype) -> tuple[np.datetime64 | float, np.datetime64 | float]:
    """The first and the last moment of a time as it is written."""
    try:
        if kind.kind != "M":
            return float(text), float(text)
        with warnings.catch_warnings():
            # A zone is turned to UTC, as those of the series are; NumPy warns that it then forgets it.
            warnings.simplefilter("ignore", UserWarning)
            time = np.datetime64(text)
        after = time + np.int64(1).astype(f"timedelta64[{np.datetime_data(time.dtype)[0]}]")
        return time.astype("datetime64[us]"), after.astype("datetime64[us]") - np.timedelta64(1, "us")
    except ValueError:
        raise ConfigError(
            f"dataset.anomalies has {stretch}, of which {text} is no time like those of the series. Write for example "
            "2024-03-01 12:00."
        ) from None
