"""Regression."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import Data
from nnrun.datasets.part import Part
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Outputs, OutputSpec
from nnrun.schema import Change, number, setting
from nnrun.tasks import losses, metrics
from nnrun.tasks.base import MOST_DETAILS, ArrayScaling, Statistics, Task
from nnrun.tasks.baselines.gradient_boosting import gradient_boosting
from nnrun.tasks.baselines.least_squares import least_squares
from nnrun.tasks.baselines.scores import score

POWERS = {"squares": 2, "absolute": 1, "target": 1, "target_squares": 2, "count": 0}
"""What each sum is measured in: powers of the target's unit."""


@dataclass(frozen=True)
class RegressionConfig:
    """Keys of task=regression."""

    loss: Literal["mse", "mae", "huber"] = setting(
        "mse", "mean over the targets of an example, in scaled units", changes="loss"
    )
    huber_delta: float = number(
        1.0,
        "where huber turns from square to straight, in scaled units",
        above=0,
        changes=lambda config: "loss" if config.loss == "huber" else None,
    )
    baselines: Literal["all"] | tuple[Literal["mean", "linear", "gradient_boosting"], ...] = setting(
        "all", "naive predictors beside the test metrics; the last two for tables alone"
    )


class Regression(Task):
    """Predicts numbers: one array of them per example, or per valid time step of an example.

    The metrics are in original units; mse, mae and r2 are means over the targets, rmse is √mse.
    Baselines: `mean` of the training part; for tables also `linear`, least squares on the scaled inputs, and
    `gradient_boosting`, from 100 training examples on.
    """

    config: RegressionConfig
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "predicted_vs_true", "residuals")
    axes: ClassVar[int] = 1
    """Axes of the targets that are measured one by one; the last one is that of the targets."""

    def output_spec(self) -> OutputSpec:
        """One unit per target. Raises ConfigError when the data set has no numbers as targets."""
        if self.data.targets is None or self.data.classes is not None:
            got = "no targets" if self.data.targets is None else f"labels of {self.data.classes} classes"
            raise ConfigError(
                f"task=regression needs targets that are numbers, but the data set has {got}. Set task=auto."
            )
        if self.data.anomalies:
            raise ConfigError(
                "task=regression trains on all examples, but dataset.anomaly holds some back from the training part. "
                "Set model=autoencoder, or dataset.anomaly=null."
            )
        return OutputSpec(self.data.targets, self.data.per_step)

    def metric_names(self) -> tuple[str, ...]:
        """rmse, mse, mae, r2."""
        return ("rmse", "mse", "mae", "r2")

    def comparable(self, change: Change) -> tuple[str, ...]:
        """rmse and its like, in original units; r2 for targets that differ."""
        return ("r2",) if change == "question" else ("rmse", "mae", "mse", "r2")

    def loss(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) mean over the targets of the valid steps."""
        prediction, target = outputs.prediction, batch["targets"]
        if self.config.loss == "huber":
            elements = losses.huber(prediction, target, self.config.huber_delta)
        else:
            elements = getattr(losses, self.config.loss)(prediction, target)
        return losses.per_example(elements, self._valid(batch))

    def statistics(self, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """Sums over the batch, each of the shape of one example's targets, in scaled units.

        Squares and sums of targets are about the scaling's offset, so that r2 loses little to cancellation. Where
        logarithms are scaled, the unit is e^offset, and the errors of the scaled values themselves are kept beside.
        """
        target = batch["targets"]
        real = batch["mask"].reshape(-1, *(1,) * (target.ndim - 1)) > 0
        valid = jnp.broadcast_to(real & self._valid(batch), target.shape)
        terms = _terms(outputs.prediction, target) | {"count": jnp.ones_like(target)}
        if self.data.log:
            own = _terms(*(jnp.expm1(values * _scale(targets)) for values in (outputs.prediction, target)))
            terms = {f"scaled_{name}": terms[name] for name in ("squares", "absolute")} | terms | own
        return Statistics({name: jnp.where(valid, term, 0).sum(0) for name, term in terms.items()}, {})

    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """rmse, mse, mae, r2 in original units."""
        return measured(self.totals(sums, data))

    def details(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """rmse, mae and r2 of every target, where there are several."""
        if not self.has_totals(sums) or np.shape(sums["count"])[-1] < 2:
            return {}
        total = self.totals(sums, data)
        found: dict[str, float] = {}
        for target, name in enumerate(self.names(data)):
            of_target = measured({key: values[..., target] for key, values in total.items()})
            found |= {f"{metric}/{name}": of_target[metric] for metric in ("rmse", "mae", "r2")}
        return found

    def has_totals(self, sums: dict[str, np.ndarray]) -> bool:
        """Whether the sums are those of this class, of targets that are few enough to be named."""
        size = self.data.targets[-1] if self.data.targets else 0
        return sums.keys() >= POWERS.keys() and len(self.data.targets or ()) == self.axes and size <= MOST_DETAILS

    def totals(self, sums: dict[str, np.ndarray], data: Data) -> dict[str, np.ndarray]:
        """The sums of `statistics` in original units, each of the shape of the targets of one step."""
        unit = target_unit(data)
        total = {name: np.asarray(sums[name], np.float64) * unit**power for name, power in POWERS.items()}
        return {name: values.sum(0) for name, values in total.items()} if self.data.per_step else total

    def names(self, data: Data) -> tuple[str, ...]:
        """Names of the targets, or of the variables that are forecast."""
        count = self.data.targets[-1] if self.data.targets else 1
        if len(data.target_names) == count:
            return data.target_names
        return ("target",) if count == 1 else tuple(f"target_{i}" for i in range(count))

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Columns `<target>` and `<target>_predicted`, or arrays `targets` and `predictions` where a target has axes.

        In original units; the columns of true targets are left out where the data has none.
        """
        predicted = np.asarray(outputs.prediction, np.float64)
        if data.target_scaling is not None:
            predicted = data.target_scaling.invert(predicted)
        true = data.test.get("targets")
        if predicted.ndim > 2:
            return {"predictions": predicted} if true is None else {"targets": true, "predictions": predicted}
        predicted = predicted.reshape(len(predicted), -1)
        columns = {}
        for i, name in enumerate(self.names(data)):
            if true is not None:
                columns[name] = true.reshape(len(true), -1)[:, i]
            columns[f"{name}_predicted"] = predicted[:, i]
        return columns

    def answer(
        self, outputs: Outputs, batch: Batch, inputs: ArrayScaling, targets: ArrayScaling | None
    ) -> dict[str, jax.Array]:
        """predictions (batch, [time,] *targets) in original units."""
        predicted = outputs.prediction if targets is None else targets.invert(outputs.prediction)
        return {"predictions": jnp.exp(predicted) if self.data.log else predicted}

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """`mean` and, for tables, `linear`."""
        found, shape = {}, data.test["targets"].shape
        if self.wants("mean"):
            found["mean"] = score(self, np.broadcast_to(self._mean(data), shape), data)
        if data.spec.kind == "table" and self.wants("linear"):
            found["linear"] = score(self, least_squares(data).reshape(shape), data)
        return found

    def slow_baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """For tables `gradient_boosting`."""
        if data.spec.kind != "table" or not self.wants("gradient_boosting"):
            return {}
        predicted = gradient_boosting(data, self.wants("gradient_boosting", by_name=True))
        if predicted is None:
            return {}
        return {
            "gradient_boosting": score(self, predicted.astype(np.float32).reshape(data.test["targets"].shape), data)
        }

    def headline(self) -> str:
        """rmse; r2, the mean over the targets, of several, whose units differ."""
        return "r2" if self.data.targets and self.data.targets[-1] > 1 else "rmse"

    def _mean(self, data: Data) -> np.ndarray:
        """The mean target of the training part, in scaled units."""
        targets = data.train["targets"]
        valid = np.broadcast_to(self._valid(data.train), targets.shape)
        mean = targets.mean((0, 1) if self.data.per_step else 0, np.float64, where=valid)
        return mean if data.target_scaling is None else data.target_scaling.apply(mean)

    def _valid(self, batch: Batch | Part) -> jax.Array:
        return losses.valid_steps(batch["targets"], self.data.valid_steps("targets", batch))


def target_unit(data: Data) -> np.ndarray | float:
    """What the sums of `Regression.statistics` are multiples of, in original units."""
    if data.target_scaling is None:
        return 1.0
    offset, scale = np.float64(data.target_scaling.offset), np.float64(data.target_scaling.scale)
    return np.exp(offset) if data.spec.log else scale


def measured(total: dict[str, np.ndarray]) -> dict[str, float]:
    """rmse, mse, mae, r2 of the targets whose `Regression.totals` are given."""
    squares, count = total["squares"], total["count"]
    return {
        "rmse": metrics.rmse(squares, count),
        "mse": metrics.mse(squares, count),
        "mae": metrics.mae(total["absolute"], count),
        "r2": metrics.r2(squares, total["target"], total["target_squares"], count),
    }


def _terms(prediction: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    errors = {"squares": losses.mse(prediction, target), "absolute": losses.mae(prediction, target)}
    return errors | {"target": target, "target_squares": jnp.square(target)}


def _scale(targets: ArrayScaling | None) -> Any:
    if targets is None:
        raise ValueError("sums of targets behind a logarithm need the targets' scaling")
    return targets.scale
