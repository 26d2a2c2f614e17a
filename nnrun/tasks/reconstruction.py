"""Rebuilding the inputs, and telling what is new by how badly that goes."""

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import LEFT_OUT, Data
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Model, Outputs, OutputSpec, in_one_program
from nnrun.schema import Change, setting
from nnrun.tasks import code_units, compression, losses, metrics
from nnrun.tasks.base import ArrayScaling, Statistics, Task
from nnrun.tasks.baselines.distances import distances
from nnrun.tasks.baselines.isolation_forest import isolation_forest
from nnrun.tasks.baselines.pca import fit_pca

OFTEN = 0.05
"""Chance above which what chance finds as well is no evidence."""


@dataclass(frozen=True)
class ReconstructionConfig:
    """Keys of task=reconstruction."""

    loss: Literal["mse", "mae", "binary_cross_entropy"] = setting(
        "mse", "mean over the elements of an example; binary_cross_entropy for inputs scaled to 0..1", changes="loss"
    )
    threshold_quantile: float = setting(
        0.995, "an example is flagged when its error is above this quantile of the validation errors", above=0, below=1
    )
    compression: bool = setting(False, "compression.csv: bytes against error of the code, PCA and, of images, JPEG")
    baselines: (
        Literal["all"]
        | tuple[Literal["noisy_input", "pca", "median_distance", "season_distance", "isolation_forest"], ...]
    ) = setting("all", "naive predictors beside the test metrics; distances and forest where anomalies are marked")


class Reconstruction(Task):
    """Targets are the clean inputs in scaled units, which is also the unit of mse and mae.

    An example's anomaly score is its error, the mean squared difference over its elements. It is flagged as an anomaly
    above a threshold that validation errors fix after training, without labels (`Data.error_threshold`). Baselines are
    PCA of the code's size, fitted on the training part, where that is smaller than the inputs, and for a denoiser the
    noisy inputs as they are. Where anomalies are marked, there are also scores that need no network: that of an
    `isolation_forest`; `median_distance`, the mean squared distance of an example, of a window its newest step, from
    the median of the training part in scaled units; and in series with a period `season_distance`, that from the
    training mean of the same place in the season.
    """

    config: ReconstructionConfig
    figures: ClassVar[tuple[str, ...]] = (
        "learning_curves",
        "reconstructions",
        "latent_map",
        "anomaly_scores",
        "flagged_series",
        "compression",
    )

    @classmethod
    def prepare(cls, config: ReconstructionConfig, data: Data) -> ReconstructionConfig:
        """The config as it is. Raises ConfigError when its loss does not fit the training part."""
        if config.loss == "binary_cross_entropy":
            low, high = data.input_range
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

    def check_model(self, model: Any) -> None:
        """Raises ConfigError for a cross-entropy of linear predictions."""
        if self.config.compression and not hasattr(model, "latent_size"):
            raise ConfigError(
                "task.compression=true needs a network with a code. Set model=autoencoder or task.compression=false."
            )
        if self.config.loss == "binary_cross_entropy" and getattr(model, "output_activation", None) == "linear":
            raise _linear()

    def metric_names(self) -> tuple[str, ...]:
        """mse and mae, and auroc where anomalies are marked."""
        return ("mse", "mae", "auroc") if self.data.anomalies else ("mse", "mae")

    def comparable(self, change: Change) -> tuple[str, ...]:
        """mse and mae while the scaled units stay the same; auroc, which has no unit, where anomalies are marked."""
        return tuple(name for name in self.metric_names() if change == "loss" or name == "auroc")

    def loss(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) mean over an example's elements."""
        if self.config.loss != "binary_cross_entropy":
            measure = losses.mse if self.config.loss == "mse" else losses.mae
            return _per_example(measure(outputs.prediction, batch["inputs"]))
        if outputs.logits is None:
            raise _linear()
        return _per_example(losses.binary_cross_entropy(outputs.logits, batch["inputs"]))

    def statistics(self, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """Sums of the squared and absolute errors; per example the error, and the anomaly mark."""
        mask = batch["mask"]
        error = _per_example(losses.mse(outputs.prediction, batch["inputs"]))
        absolute = _per_example(losses.mae(outputs.prediction, batch["inputs"]))
        sums = {"squared": (error * mask).sum(), "absolute": (absolute * mask).sum(), "examples": mask.sum()}
        if outputs.latent is not None and "sparsity" in outputs.penalties:
            for name, measure in (("active_share", losses.active_share), ("sparseness", losses.hoyer)):
                sums[name] = (measure(outputs.latent) * mask).sum()
        return Statistics(sums, {"error": error} | ({"anomaly": batch["anomaly"]} if self.data.anomalies else {}))

    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """mse, mae; auroc of the error where both normal and anomalous examples occur; with a threshold, the flags'.

        Of a code that is penalised for its size: active_share of its entries, and Hoyer's sparseness.

        flagged is the share of all examples; with marks false_alarms that of the normal ones, recall that of the
        anomalous ones, precision the share of the flagged ones that are anomalous. For a series anomalies_found is the
        share of marked stretches of time with a flag in them, which alone says little: found_by_chance is the share of
        all circular shifts of the flags that find as many; episodes are the runs of neighbouring flags, false_episodes
        those of them without a mark.
        """
        count = sums["examples"]
        found = {"mse": metrics.mse(sums["squared"], count), "mae": metrics.mae(sums["absolute"], count)}
        found |= _ranked(rows.get("anomaly"), rows.get("error"), precision=data.error_threshold is not None)
        found |= {name: float(sums[name] / count) for name in ("active_share", "sparseness") if name in sums}
        if data.error_threshold is None:
            return found
        flagged = rows["error"] > data.error_threshold
        found["flagged"] = float(flagged.mean())
        if "anomaly" in rows:
            marked = rows["anomaly"] > 0
            for name, members in (("false_alarms", ~marked), ("recall", marked)):
                if members.any():
                    found[name] = float(flagged[members].mean())
            if marked.any() and flagged.any():
                found["precision"] = float(marked[flagged].mean())
            if self.data.kind == "series" and marked.any():
                episodes = metrics.stretches(flagged)
                found["anomalies_found"] = metrics.stretches_found(marked, flagged)
                found["found_by_chance"] = metrics.found_by_chance(marked, flagged)
                found["episodes"] = float(len(episodes))
                found["false_episodes"] = float(sum(not marked[start:end].any() for start, end in episodes))
        return found

    def tables(self, model: Model, data: Data) -> dict[str, dict[str, np.ndarray]]:
        """code_units of a sparse code, and compression where it is asked for; see the modules of these names."""
        found = {}
        if getattr(model, "sparsity", None) is not None:
            outputs = in_one_program(model, lambda net, x: net({"inputs": x})[0], scaled_inputs(data, "test"))
            found["code_units"] = code_units.table(model, outputs, data)
        if self.config.compression:
            found["compression"] = compression.table(model, data)
        return found

    def headline(self) -> str:
        """auroc where anomalies are marked, else mse."""
        return "auroc" if self.data.anomalies else "mse"

    def remarks(self, baseline: dict[str, dict[str, float]], metrics: dict[str, float], data: Data) -> tuple[str, ...]:
        """That anomalies_found tells little, where chance often finds as many."""
        chance = metrics.get("test/found_by_chance", 0.0)
        if chance < OFTEN or not metrics["test/anomalies_found"]:
            return ()
        return (
            f"Note: flags as many and as long, shifted to any place, find as many of the labelled stretches in "
            f"{100 * chance:.0f} % of all cases, so anomalies_found tells little. Look at auroc and average_precision.",
        )

    def calibrate(self, outputs: Callable[[], Outputs], data: Data) -> Data:
        """Fixes the threshold: the quantile of the validation errors."""
        threshold = float(np.quantile(errors(outputs(), data, "val"), self.config.threshold_quantile))
        return dataclasses.replace(data, error_threshold=threshold)

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Inputs, what a denoiser saw, and reconstruction in original units; error (n,) in scaled units; the code.

        flagged (n,) tells the examples whose error is above the threshold.
        """
        error = errors(outputs, data)
        arrays = {
            "inputs": data.test["inputs"],
            "seen": _unscale(outputs.seen, data),
            "reconstruction": _unscale(outputs.prediction, data),
            "error": error,
            "flagged": None if data.error_threshold is None else error > data.error_threshold,
            "latent": outputs.latent,
            "anomaly": data.test.get("anomaly"),
        }
        return {name: np.asarray(array) for name, array in arrays.items() if array is not None}

    def answer(
        self, outputs: Outputs, batch: Batch, inputs: ArrayScaling, targets: ArrayScaling | None
    ) -> dict[str, jax.Array]:
        """reconstruction in original units; error (batch,) in scaled units; the code as `latent`."""
        # An input that is constant in training has no unit to be turned back to.
        known = jnp.where(inputs.scale < LEFT_OUT, outputs.prediction, 0)
        rebuilt = inputs.invert(known)
        error = _per_example(losses.mse(outputs.prediction, batch["inputs"]))
        found = {"reconstruction": jnp.exp(rebuilt) if self.data.log else rebuilt, "error": error}
        return found if outputs.latent is None else found | {"latent": outputs.latent}

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """pca with as many components as the code has units, applied to what the network saw; noisy_input; distances.

        With as many components as inputs PCA is exact and no comparison: it is left out, and the user told.
        """
        clean = scaled_inputs(data, "test")
        seen = clean if outputs.seen is None else np.asarray(outputs.seen)
        found = {}
        if outputs.seen is not None and self.wants("noisy_input"):
            found["noisy_input"] = _score(seen - clean, data)
        units, size = 0 if outputs.latent is None else outputs.latent.shape[-1], _rows(clean).shape[1]
        if units >= size and self.wants("pca"):
            logging.getLogger(__name__).info(
                "Note: there is no PCA baseline, because a code of %d units can hold the inputs as they are. "
                "For a comparison set model.latent_size below %d, the number of inputs.",
                units,
                size,
            )
        elif units and self.wants("pca"):
            pca = fit_pca(_rows(scaled_inputs(data, "train")), units)
            found["pca"] = _score(pca.reconstruct(_rows(seen)) - _rows(clean), data)
        marks = data.test.get("anomaly")
        if marks is None or len(np.unique(marks)) < 2:
            return found
        scores = {name: score for name, score in distances(data).items() if self.wants(name)}
        if self.wants("isolation_forest"):
            scores["isolation_forest"] = isolation_forest(data)
        return found | {name: _ranked(marks, score) for name, score in scores.items()}


def scaled_inputs(data: Data, part: Literal["train", "val", "test"]) -> np.ndarray:
    """(n, *inputs) of a part, as the network is given them."""
    return np.asarray(data.input_scaling.apply(getattr(data, part)["inputs"]), np.float32)


def errors(outputs: Outputs, data: Data, part: Literal["train", "val", "test"] = "test") -> np.ndarray:
    """(n,) mean squared difference per example of a part, in scaled units."""
    return (_rows(np.asarray(outputs.prediction) - scaled_inputs(data, part)) ** 2).mean(-1)


def _linear() -> ConfigError:
    return ConfigError(
        "task.loss=binary_cross_entropy needs predictions between 0 and 1, but the model's are linear. "
        "Set model.output_activation=sigmoid and a dataset.scaling to 0..1."
    )


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
    return found | _ranked(data.test.get("anomaly"), error)


def _ranked(anomaly: np.ndarray | None, error: np.ndarray | None, precision: bool = True) -> dict[str, float]:
    """auroc and average_precision of errors as scores; none where all examples are alike."""
    if anomaly is None or error is None or len(np.unique(anomaly)) < 2:
        return {}
    found = {"auroc": metrics.auroc(anomaly, error)}
    return found | ({"average_precision": metrics.average_precision(anomaly, error)} if precision else {})
