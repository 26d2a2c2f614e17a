"""A made-up series, and its data set."""

import numpy as np
import polars

from nnrun.datasets.timeseries import Timeseries
from nnrun.schema import build, config_class

TARGET = "nnrun.datasets.timeseries.Timeseries"
DAYS = np.datetime64("2024-01-01") + np.arange(60)


def write(folder, columns, name="s.csv"):
    polars.DataFrame(columns).write_csv(folder / name)
    return folder / name


def make(path, **values):
    return Timeseries(build("dataset", {"path": str(path), **values}, config_class(TARGET)))


def columns():
    """60 days of two variables."""
    rng = np.random.default_rng(0)
    return {"day": DAYS.astype(str), "a": rng.normal(5, 2, 60).round(6), "b": rng.normal(-3, 1, 60).round(6)}
