"""Forecasting."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nnrun.datasets.base import Data, Series
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs, OutputSpec
from nnrun.schema import Change, setting
from nnrun.tasks import metrics
from nnrun.tasks.base import MOST_DETAILS
from nnrun.tasks.baselines.scores import score
from nnrun.tasks.regression import Regression, RegressionConfig, measured, target_unit


@dataclass(frozen=True)
class ForecastingConfig(RegressionConfig):
    """Keys of task=forecasting."""

    baselines: Literal["all"] | tuple[Literal["mean", "persistence", "seasonal_naive"], ...] = setting(  # type: ignore[assignment]
        "all", "naive predictors beside the test metrics"
    )


class Forecasting(Regression):
    """Predicts the next values of a series: (horizon, variables) after a window, or after every step of it.

    Beside regression's metrics scaled_mse and scaled_mae, in the units that the network is trained in (those of the
    published tables), and mase: the mean absolute error in units of the naive forecast's on the training part.
    Baselines: `mean` of the training part; `persistence`, x̂_{t+h} = x_t; `seasonal_naive`, x̂_{t+h} = x_{t+h-km} with
    the smallest k that lies in the past, where the series has a period m (not for forecasts after every step: the first
    ones have no such past).
    Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice (2021), section 5.2.
    """

    config: ForecastingConfig
    axes = 2
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "forecast", "error_by_horizon", "predicted_vs_true")

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
            "scaled_mse": metrics.mse(self._scaled(sums, "squares").sum(), count.sum()),
            "scaled_mae": metrics.mae(self._scaled(sums, "absolute").sum(), count.sum()),
        }
        return super().finish(sums, rows, data) | own

    def details(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """Beside those of every variable its mase; of every step ahead, where there are several, `<metric>/t+<step>`.

        A step's are mase, and rmse and mae of a single variable, or scaled_mse and scaled_mae over several.
        """
        if not self.has_totals(sums):
            return {}
        total, naive = self.totals(sums, data), _series(data).naive_error
        mae = total["absolute"].sum(0) / total["count"].sum(0)
        found: dict[str, float] = {}
        for variable, name in enumerate(self.names(data) if len(naive) > 1 else ()):
            of_variable = measured({key: values[:, variable] for key, values in total.items()})
            found |= {f"{metric}/{name}": of_variable[metric] for metric in ("rmse", "mae", "r2")}
            found[f"mase/{name}"] = metrics.mase(mae[variable : variable + 1], naive[variable : variable + 1])
        steps = len(total["count"])
        return found | (self._by_step(sums, total, naive) if 1 < steps <= MOST_DETAILS else {})

    def _by_step(
        self, sums: dict[str, np.ndarray], total: dict[str, np.ndarray], naive: np.ndarray
    ) -> dict[str, float]:
        steps = len(total["count"])
        found: dict[str, float] = {}
        # Variables of different units can be pooled in those of the network alone.
        squares, absolute = (
            self._scaled(sums, name).reshape(-1, steps, len(naive)) for name in ("squares", "absolute")
        )
        for step, count in enumerate(total["count"]):
            if len(naive) == 1:
                of_step = measured({name: values[step] for name, values in total.items()})
                own = {metric: of_step[metric] for metric in ("rmse", "mae")}
            else:
                own = {"scaled_mse": metrics.mse(squares[:, step].sum(), count.sum())}
                own["scaled_mae"] = metrics.mae(absolute[:, step].sum(), count.sum())
            own["mase"] = metrics.mase(total["absolute"][step] / count, naive)
            found |= {f"{metric}/t+{step + 1}": value for metric, value in own.items()}
        return found

    def _scaled(self, sums: dict[str, np.ndarray], name: str) -> np.ndarray:
        """A sum of errors in scaled units, kept beside the usual one only where logarithms are scaled."""
        return np.asarray(sums.get(f"scaled_{name}", sums[name]), np.float64)

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Columns `<variable>_t+1`, `<variable>_t+1_predicted`, `..._t+2`, ... in original units.

        Forecasts after every step: arrays `targets` and `predictions` (n, time, horizon, variables).
        """
        arrays = super().decode(outputs, data)
        if self.data.per_step:
            return arrays
        columns = {}
        for step in range(arrays["predictions"].shape[1]):
            for i, name in enumerate(self.names(data)):
                if "targets" in arrays:
                    columns[f"{name}_t+{step + 1}"] = arrays["targets"][:, step, i]
                columns[f"{name}_t+{step + 1}_predicted"] = arrays["predictions"][:, step, i]
        return columns

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """`mean`, `persistence` and, where it can be told, `seasonal_naive`."""
        series = _series(data)
        past = data.test["inputs"][:, :, list(series.target_columns)].astype(np.float64)  # (n, time, variables)
        found = super().baselines(outputs, data)
        if self.wants("persistence"):
            found["persistence"] = self._naive(past[:, :, None] if self.data.per_step else past[:, -1:], data)
        if self.wants("seasonal_naive") and (seasonal := self._seasonal(past, data)) is not None:
            found["seasonal_naive"] = self._naive(seasonal, data)
        return found

    def headline(self) -> str:
        """rmse; mase, the mean over the variables, of several, whose units differ."""
        return "mase" if self.data.targets and self.data.targets[-1] > 1 else "rmse"

    def remarks(self, baseline: dict[str, dict[str, float]], metrics: dict[str, float], data: Data) -> tuple[str, ...]:
        """Which forecast mase compares with; what may help where persistence is better; that labels play no part."""
        lag = _series(data).period or 1
        ago = "the value before" if lag == 1 else f"the value {lag} steps before (dataset.period)"
        unit = f"mase is the mean error as a multiple of the naive forecast's on the training part, which is {ago}."
        name = f"test/{self.headline()}"
        persistence, own = baseline.get(name, {}).get("persistence"), metrics.get(name)
        is_worse = persistence is not None and own is not None and not own < persistence
        # Only series from a file can be forecast as changes.
        beyond = _beyond(self.names(data), data) if is_worse and data.reader and not self.data.anchor else ""
        unused = (
            "Note: a forecast is measured on all test windows, whatever dataset.anomalies marks. To find that, "
            "rebuild the windows: dataset.horizon=0 model=autoencoder."
        )
        return (unit, *([beyond] if beyond else []), *([unused] if self.data.anomalies else []))

    def _seasonal(self, past: np.ndarray, data: Data) -> np.ndarray | None:
        """(n, horizon, variables) the value a season before, None where it cannot be told."""
        period, (window, horizon) = _series(data).period, (past.shape[1], data.test["targets"].shape[-2])
        if period is None or self.data.per_step:
            return None
        if period > window:
            return data.season_before
        # Within the last period that is known, so that a horizon beyond one period repeats it.
        return past[:, window - period + np.arange(horizon) % period]

    def _naive(self, raw: np.ndarray, data: Data) -> dict[str, float]:
        forecast = np.broadcast_to(raw, data.test["targets"].shape)
        return score(self, forecast if data.target_scaling is None else data.target_scaling.apply(forecast), data)


def _series(data: Data) -> Series:
    if data.series is None:
        raise ValueError("a data set for task=forecasting must set Data.series")
    return data.series


def _beyond(names: tuple[str, ...], data: Data) -> str:
    """What to do where test targets lie outside the range of the training part's; empty where none does."""
    train, test = data.train["targets"], data.test["targets"]
    axes = tuple(range(train.ndim - 1))
    low, high = train.min(axes), train.max(axes)
    outside = ((test < low) | (test > high)).any(axes[1:])  # (n, variables)
    worst = int(outside.sum(0).argmax())
    if not (count := int(outside[:, worst].sum())):
        return ""
    return (
        f"Note: {count} of {len(test)} test windows are to forecast values of {names[worst]} outside "
        f"{low[worst]:.4g} to {high[worst]:.4g}, the range of the training part, and a network's forecasts flatten "
        "there. Set dataset.relative_to=last, and it forecasts the change from the newest value."
    )
