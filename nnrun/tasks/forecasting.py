"""Forecasting."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnrun.datasets.base import Data, Series
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs, OutputSpec
from nnrun.schema import Change
from nnrun.tasks import metrics
from nnrun.tasks.baselines.scores import score
from nnrun.tasks.regression import Regression, RegressionConfig, target_unit


@dataclass(frozen=True)
class ForecastingConfig(RegressionConfig):
    """Keys of task=forecasting."""


class Forecasting(Regression):
    """Predicts the next values of a series: (horizon, variables) after a window, or after every step of it.

    Beside regression's metrics scaled_mse and scaled_mae, in the units that the network is trained in (those of the
    published tables), and mase: the mean absolute error in units of the naive forecast's on the training part.
    Baselines: `mean` of the training part; `persistence`, x̂_{t+h} = x_t; `seasonal_naive`, x̂_{t+h} = x_{t+h-km} with
    the smallest k that lies in the past, where the series has a period m that fits into the window (not for forecasts
    after every step: the first ones have no such past).
    Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice (2021), section 5.2.
    """

    config: ForecastingConfig
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "forecast", "predicted_vs_true")

    def output_spec(self) -> OutputSpec:
        """One unit per step ahead and variable. Raises ConfigError when the targets are not what follows a window."""
        targets = self.data.targets
        if self.data.kind != "series" or self.data.classes is not None or targets is None or len(targets) != 2:
            raise ConfigError(
                "task=forecasting needs a series whose targets are (horizon, variables), but the data set is of kind "
                f"{self.data.kind} with {'no targets' if targets is None else f'targets of shape {targets}'}. "
                "Set task=auto, or for example dataset=sine."
            )
        return OutputSpec(targets, self.data.per_step)

    def metric_names(self) -> tuple[str, ...]:
        """rmse, mse, mae, r2, mase, scaled_mse, scaled_mae."""
        return (*super().metric_names(), "mase", "scaled_mse", "scaled_mae")

    def comparable(self, change: Change) -> tuple[str, ...]:
        """Those of a regression, and mase, which has no unit; in scaled units only while these are the same."""
        scaled = ("scaled_mse", "scaled_mae") if change == "loss" else ()
        return (*super().comparable(change), "mase", *scaled)

    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """rmse, mse, mae and r2 in original units; mase over all steps ahead, per variable, then averaged."""
        absolute, count = np.asarray(sums["absolute"] * target_unit(data)), np.asarray(sums["count"], np.float64)
        steps = tuple(range(absolute.ndim - 1))
        mae = absolute.sum(steps) / count.sum(steps)
        own = {
            "mase": metrics.mase(mae, _series(data).naive_error),
            # Sums beside the usual ones exist only where logarithms are scaled, see Regression.statistics.
            "scaled_mse": metrics.mse(sums.get("scaled_squares", sums["squares"]).sum(), count.sum()),
            "scaled_mae": metrics.mae(sums.get("scaled_absolute", sums["absolute"]).sum(), count.sum()),
        }
        return super().finish(sums, rows, data) | own

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Columns `<variable>_t+1`, `<variable>_t+1_predicted`, `..._t+2`, ... in original units.

        Forecasts after every step: arrays `targets` and `predictions` (n, time, horizon, variables).
        """
        arrays = super().decode(outputs, data)
        if self.data.per_step:
            return arrays
        names = data.target_names or tuple(f"target_{i}" for i in range(arrays["predictions"].shape[2]))
        columns = {}
        for step in range(arrays["predictions"].shape[1]):
            for i, name in enumerate(names):
                if "targets" in arrays:
                    columns[f"{name}_t+{step + 1}"] = arrays["targets"][:, step, i]
                columns[f"{name}_t+{step + 1}_predicted"] = arrays["predictions"][:, step, i]
        return columns

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """`mean`, `persistence` and, where it can be told, `seasonal_naive`."""
        series, window, horizon = _series(data), self.data.inputs[0], data.test["targets"].shape[-2]
        past = data.test["inputs"][:, :, list(series.target_columns)].astype(np.float64)  # (n, time, variables)
        newest = past[:, :, None] if self.data.per_step else past[:, -1:]
        found = super().baselines(outputs, data) | {"persistence": self._naive(newest, data)}
        if series.period is not None and series.period <= window and not self.data.per_step:
            # Within the last period that is known, so that a horizon beyond one period repeats it.
            steps = window - series.period + np.arange(horizon) % series.period
            found["seasonal_naive"] = self._naive(past[:, steps], data)
        return found

    def _naive(self, raw: np.ndarray, data: Data) -> dict[str, float]:
        forecast = np.broadcast_to(raw, data.test["targets"].shape)
        return score(self, forecast if data.target_scaling is None else data.target_scaling.apply(forecast), data)


def _series(data: Data) -> Series:
    if data.series is None:
        raise ValueError("a data set for task=forecasting must set Data.series")
    return data.series
