"""Data sets that are one long series: cut by time, then into windows with the values that follow."""

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnrun.datasets.base import Data, DatasetConfig, DataSpec, Series
from nnrun.datasets.part import Part
from nnrun.datasets.parts.scaling import fit
from nnrun.datasets.parts.split import Divided, chronological, part_sizes, share, streams
from nnrun.datasets.series.windows import count_windows, cut_windows, season_before
from nnrun.errors import ConfigError
from nnrun.schema import setting, size


@dataclass(frozen=True)
class WindowConfig(DatasetConfig):
    """Keys of every data set of windows over one series."""

    window: int = size(64, "steps the model sees")
    horizon: int = size(1, "steps to forecast", changes="question")
    stride: int = size(1, "steps from one window to the next", changes="examples")
    per_step: bool = setting(
        False, "forecast after every step of the window, not only after the last", changes="question"
    )


@dataclass(frozen=True)
class SeriesConfig(WindowConfig):
    """Keys of every data set that is one generated series."""

    length: int = size(3000, "steps of the whole series", least=20, changes="examples")
    noise: float = setting(0.0, "standard deviation of Gaussian noise on every value", least=0.0, changes="examples")


class Windowed(Divided):
    """Base of series: the parts are pieces of time (training, validation, test), and a window lies inside one piece.

    So no value that a training window sees or forecasts occurs in a validation or test window. `dataset.limit` caps
    the number of windows: each part keeps its first ones, in proportion; the scaling and the naive error still come
    from the whole training piece. Inputs (window, variables), targets (horizon, variables), with per_step
    (window, horizon, variables).
    """

    config: SeriesConfig
    auto_epochs = 20
    names: ClassVar[tuple[str, ...]] = ("value",)

    def __init__(self, config: SeriesConfig) -> None:
        super().__init__(config)
        c = config
        train, val, test = part_sizes(c.length, c.val_fraction, c.test_fraction)
        season = self.period() or 1
        if min(train, val, test) < c.window + c.horizon:
            raise ConfigError(
                f"dataset.length={c.length} gives parts of {train}, {val} and {test} steps (train, val, test), "
                f"but each must be >= dataset.window + dataset.horizon = {c.window + c.horizon}. "
                "Set a larger dataset.length or a smaller dataset.window."
            )
        if train <= season:
            raise ConfigError(
                f"dataset.length={c.length} gives a training part of {train} steps, but it must be > the period of "
                f"{season} steps. Set a larger dataset.length or shorter dataset.periods."
            )

    @abc.abstractmethod
    def values(self, rng: np.random.Generator) -> np.ndarray:
        """The series (length, variables), without the noise."""

    def period(self) -> int | None:
        """Steps of a season, None where there is none."""
        return None

    def spec(self) -> DataSpec:
        """Shapes and kind from the config alone."""
        c, variables = self.config, len(self.names)
        return DataSpec("series", (c.window, variables), (c.horizon, variables), "forecasting", per_step=c.per_step)

    def load(self) -> Data:
        """Generates the series, cuts it into parts and windows, and fits the scaling on the training piece."""
        c, (rng, _) = self.config, streams(self.config.seed)
        values = self.values(rng)
        values = values + c.noise * rng.standard_normal(values.shape)
        pieces = chronological(values, c.val_fraction, c.test_fraction)
        counts = tuple(count_windows(len(piece), c.window, c.horizon, c.stride) for piece in pieces)
        parts: list[Part] = []
        for piece, kept in zip(pieces, share(counts, c.limit), strict=True):
            inputs, targets = cut_windows(piece, c.window, c.horizon, c.stride, c.per_step)
            parts.append({"inputs": inputs[:kept], "targets": targets[:kept]})
        train, val, test = parts
        scaling = fit(pieces[0].astype(np.float32), c.scaling)
        series = Series(self.period(), naive_error(pieces[0], self.period()), tuple(range(len(self.names))))
        first = len(values) - len(pieces[2]) + c.window - 1
        last = first + c.stride * np.arange(len(test["inputs"]))
        season = None if (self.period() or 1) <= c.window else season_before(values, last, c.horizon, self.period())
        names = self.names
        return Data(self.spec(), train, val, test, scaling, scaling, names, names, series=series, season_before=season)


def naive_error(series: np.ndarray, period: int | None) -> np.ndarray:
    """(variables,) mean of |x_t - x_{t-m}|, m = period or 1, over `series` (time, variables): the denominator of MASE.

    Source: Hyndman & Koehler, Another look at measures of forecast accuracy, Int. J. Forecasting 22 (2006).
    """
    lag = period or 1
    return np.abs(series[lag:] - series[:-lag]).mean(axis=0)
