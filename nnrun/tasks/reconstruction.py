"""Rebuilding the inputs, and telling what is new by how badly that goes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import numpy as np

from nnrun.datasets.base import Data
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Outputs, OutputSpec
from nnrun.schema import setting
from nnrun.tasks import losses, metrics
from nnrun.tasks.base import ArrayScaling, Statistics, Task
from nnrun.tasks.pca import fit_pca


@dataclass(frozen=True)
class ReconstructionConfig:
    """Keys of task=reconstruction."""

    loss: Literal["mse", "mae", "binary_cross_entropy"] = setting(
        "mse", "mean over the elements of an example; binary_cross_entropy for inputs scaled to 0..1"
    )


class Reconstruction(Task):
    """Targets are the clean inputs in scaled units, which is also the unit of mse and mae.

    An example's anomaly score is its error, the mean squared difference over its elements. Baselines are PCA of the
    code's size, fitted on the training part, and for a denoiser the noisy inputs as they are.
    """

    config: ReconstructionConfig
    figures: ClassVar[tuple[str, ...]] = ("learning_curves", "reconstructions", "latent_map", "anomaly_scores")

    @classmethod
    def prepare(cls, config: ReconstructionConfig, data: Data) -> ReconstructionConfig:
        """The config as it is. Raises ConfigError when its loss does not fit the training part."""
        if config.loss == "binary_cross_entropy":
            train = scaled_inputs(data, "train")
            low, high = float(train.min()), float(train.max())
            if low < -1e-6 or high > 1 + 1e-6:
                raise ConfigError(
                    "task.loss=binary_cross_entropy needs inputs between 0 and 1, but the scaled training inputs lie "
                    f"between {low:.3g} and {high:.3g}. Set dataset.scaling=minmax, or task.loss=mse."
                )
        return config

    def output_spec(self) -> OutputSpec:
        """One value per element of the inputs. Raises ConfigError for sequences of unequal length and for tokens."""
        if self.data.lengths or self.data.kind == "tokens":
            raise ConfigError(
                f"task=reconstruction needs numeric examples of equal length, but the data set has "
                f"{'tokens' if self.data.kind == 'tokens' else 'sequences of unequal length'}. Set task=auto."
            )
        return OutputSpec(self.data.inputs)

    def metric_names(self) -> tuple[str, ...]:
        """mse and mae, and auroc where anomalies are marked."""
        return ("mse", "mae", "auroc") if self.data.anomalies else ("mse", "mae")

    def loss(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) mean over an example's elements."""
        if self.config.loss != "binary_cross_entropy":
            measure = losses.mse if self.config.loss == "mse" else losses.mae
            return _per_example(measure(outputs.prediction, batch["inputs"]))
        if outputs.logits is None:
            raise ConfigError(
                "task.loss=binary_cross_entropy needs predictions between 0 and 1, but the model's are linear. "
                "Set model.output_activation=sigmoid and a dataset.scaling to 0..1."
            )
        return _per_example(losses.binary_cross_entropy(outputs.logits, batch["inputs"]))

    def statistics(self, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """Sums of the squared and absolute errors; per example the error, and the anomaly mark."""
        mask = batch["mask"]
        error = _per_example(losses.mse(outputs.prediction, batch["inputs"]))
        absolute = _per_example(losses.mae(outputs.prediction, batch["inputs"]))
        sums = {"squared": (error * mask).sum(), "absolute": (absolute * mask).sum(), "examples": mask.sum()}
        return Statistics(sums, {"error": error, "anomaly": batch["anomaly"]} if self.data.anomalies else {})

    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """mse, mae; auroc of the error where both normal and anomalous examples occur."""
        count = sums["examples"]
        found = {"mse": metrics.mse(sums["squared"], count), "mae": metrics.mae(sums["absolute"], count)}
        return found | _auroc(rows.get("anomaly"), rows.get("error"))

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Inputs, what a denoiser saw, and reconstruction in original units; error (n,) in scaled units; the code."""
        arrays = {
            "inputs": data.test["inputs"],
            "seen": _unscale(outputs.seen, data),
            "reconstruction": _unscale(outputs.prediction, data),
            "error": errors(outputs, data),
            "latent": outputs.latent,
            "anomaly": data.test.get("anomaly"),
        }
        return {name: np.asarray(array) for name, array in arrays.items() if array is not None}

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """pca with as many components as the code has units, applied to what the network saw; noisy_input."""
        clean = scaled_inputs(data, "test")
        seen = clean if outputs.seen is None else np.asarray(outputs.seen)
        found = {} if outputs.seen is None else {"noisy_input": _score(seen - clean, data)}
        if outputs.latent is not None:
            pca = fit_pca(_rows(scaled_inputs(data, "train")), outputs.latent.shape[-1])
            found["pca"] = _score(pca.reconstruct(_rows(seen)) - _rows(clean), data)
        return found


def scaled_inputs(data: Data, part: Literal["train", "val", "test"]) -> np.ndarray:
    """(n, *inputs) of a part, as the network is given them."""
    return np.asarray(data.input_scaling.apply(getattr(data, part)["inputs"]), np.float32)


def errors(outputs: Outputs, data: Data) -> np.ndarray:
    """(n,) mean squared difference per test example, in scaled units."""
    return (_rows(np.asarray(outputs.prediction) - scaled_inputs(data, "test")) ** 2).mean(-1)


def _per_example(values: jax.Array) -> jax.Array:
    return values.reshape(values.shape[0], -1).mean(-1)


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _unscale(scaled: jax.Array | np.ndarray | None, data: Data) -> np.ndarray | None:
    if scaled is None:
        return None
    return np.asarray(data.input_scaling.invert(np.asarray(scaled)), np.float32)


def _score(difference: np.ndarray, data: Data) -> dict[str, float]:
    difference = _rows(difference)
    error = (difference**2).mean(-1)
    found = {"mse": float(error.mean()), "mae": float(np.abs(difference).mean())}
    return found | _auroc(data.test.get("anomaly"), error)


def _auroc(anomaly: np.ndarray | None, error: np.ndarray | None) -> dict[str, float]:
    if anomaly is None or error is None or len(np.unique(anomaly)) < 2:
        return {}
    return {"auroc": float(metrics.auroc(anomaly, error))}
