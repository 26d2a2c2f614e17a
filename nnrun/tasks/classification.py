"""Classification."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import Data, DataSpec
from nnrun.datasets.part import Part
from nnrun.errors import ConfigError
from nnrun.models.base import Batch, Outputs, OutputSpec
from nnrun.schema import Change, number, setting
from nnrun.tasks import losses, metrics
from nnrun.tasks.base import MOST_DETAILS, ArrayScaling, Statistics, Summed, Task
from nnrun.tasks.baselines.gradient_boosting import gradient_boosting
from nnrun.tasks.baselines.scores import score

MOST_RANKED_CLASSES = 100
"""Most classes for which the scores of every example are kept; with more, AUROC is left out."""


@dataclass(frozen=True)
class ClassificationConfig:
    """Keys of task=classification."""

    loss: Literal["cross_entropy", "binary_cross_entropy"] = setting(
        "cross_entropy", "binary_cross_entropy: two classes told apart by one logit", changes="loss"
    )
    label_smoothing: float = number(
        0.0, "share of the label spread over all classes", off=0.0, least=0, below=1, changes="loss"
    )
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = setting(
        "none",
        "factor on the loss by class; balanced: examples / (classes * examples of the class)",
        least=0,
        changes="loss",
    )
    baselines: Literal["all"] | tuple[Literal["majority", "gradient_boosting"], ...] = setting(
        "all", "naive predictors beside the test metrics; gradient_boosting for tables alone"
    )


class Classification(Task):
    """Tells one of several classes per example, or per valid time step of an example.

    Two classes and binary_cross_entropy: one logit z, p = σ(z), which is the softmax of (0, z); every formula below
    runs on that pair. Loss: losses.cross_entropy, the same in training and evaluation; log_loss has neither smoothing
    nor weights. AUROC is one-vs-rest, the mean over the classes that occur.
    Baselines: `majority`, the class frequencies of the training part as probabilities; for tables also
    `gradient_boosting`, from 100 training examples on.
    """

    config: ClassificationConfig
    figures: ClassVar[tuple[str, ...]] = (
        *("learning_curves", "confusion_matrix"),
        *("ranking_curves", "calibration", "worst_examples"),
    )

    @classmethod
    def prepare(cls, config: ClassificationConfig, data: Data) -> ClassificationConfig:
        """Turns balanced class weights into numbers: n / (C n_c) over the C classes of the training part."""
        if config.class_weights != "balanced":
            return config
        counts = class_counts(data.train, data.spec)
        # A class that does not occur has weight 0; without the maximum it would be divided by 0.
        weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)) * (counts > 0)
        return dataclasses.replace(config, class_weights=tuple(weights.tolist()))

    # Of -log p a single example that is wrong and sure makes up most of the mean.
    overconfident = True

    @classmethod
    def without_training(cls, config: ClassificationConfig) -> ClassificationConfig:
        """The config without balanced class weights: the loss weighs every class the same."""
        return dataclasses.replace(config, class_weights="none") if config.class_weights == "balanced" else config

    @property
    def classes(self) -> int:
        """Number of classes. Raises ConfigError when the data set has no labels."""
        if self.data.classes is None:
            got = "no targets" if self.data.targets is None else "numbers as targets"
            move = "Set task=auto, or, where the numbers of a csv are classes, dataset.types={NAME: categorical}."
            raise ConfigError(f"task=classification needs class labels, but the data set has {got}. {move}")
        if self.data.anomalies:
            raise ConfigError(
                "task=classification cannot learn a class that dataset.anomaly holds back from the training part. "
                "Set model=autoencoder, or dataset.anomaly=null."
            )
        if self.data.classes < 2:
            raise ConfigError(
                "task=classification needs at least two classes, but the data set has one. Add examples of another, or "
                "set model=autoencoder to learn what the one class looks like."
            )
        return self.data.classes

    def output_spec(self) -> OutputSpec:
        """One unit per class, or one for two. Raises ConfigError when labels, loss or weights do not fit."""
        config, classes = self.config, self.classes
        if isinstance(config.class_weights, tuple) and len(config.class_weights) != classes:
            raise ConfigError(
                f"task.class_weights must be {classes} numbers, one per class, but got {len(config.class_weights)}. "
                "Set for example task.class_weights=balanced."
            )
        if config.loss == "cross_entropy":
            return OutputSpec((classes,), self.data.per_step)
        if classes != 2:
            raise ConfigError(
                f"task.loss=binary_cross_entropy needs exactly 2 classes, but the data set has {classes}. "
                "Set task.loss=cross_entropy."
            )
        return OutputSpec((1,), self.data.per_step)

    def metric_names(self) -> tuple[str, ...]:
        """accuracy, macro_f1, auroc (up to 100 classes), log_loss."""
        return ("accuracy", "macro_f1", *(("auroc",) if self._ranked else ()), "log_loss")

    def comparable(self, change: Change) -> tuple[str, ...]:
        """log_loss, which has neither smoothing nor weights, and the others; shares alone for classes that differ."""
        shares = tuple(name for name in ("auroc", "macro_f1", "accuracy") if name in self.metric_names())
        own = {"units": ("loss",), "loss": ()}
        return shares if change == "question" else (*own.get(change, ()), "log_loss", *shares)

    def loss(self, outputs: Outputs, batch: Batch) -> jax.Array:
        """(batch,) weighted, smoothed cross-entropy, the mean over valid steps."""
        given = self.config.class_weights
        if given == "balanced":
            raise ValueError("class_weights=balanced has no numbers yet: Classification.prepare gives them")
        weights = jnp.asarray(given) if isinstance(given, tuple) else None
        logits, labels = self._logits(outputs.prediction), batch["targets"]
        elements = losses.cross_entropy(logits, labels, self.config.label_smoothing, weights)
        return losses.per_example(elements, self._valid(batch))

    def statistics(self, outputs: Outputs, batch: Batch, targets: ArrayScaling | None) -> Statistics:
        """Confusion counts (classes, classes), true by predicted, and -Σ log p of the true classes.

        Rows: labels, scores that rank like the probabilities, and for time steps which of them are valid.
        """
        logits, labels = self._logits(outputs.prediction), batch["targets"]
        real = batch["mask"].reshape(-1, *(1,) * (labels.ndim - 1)) > 0
        valid = jnp.broadcast_to(real & self._valid(batch), labels.shape)
        confusion = jnp.zeros((self.classes, self.classes), jnp.int32)
        nll = jnp.where(valid, losses.cross_entropy(logits, labels), 0)
        sums = {"confusion": confusion.at[labels, logits.argmax(-1)].add(valid.astype(jnp.int32)), "nll": nll.sum()}
        if not self._ranked:
            return Statistics(sums, {})
        # Log-odds and log-probabilities rank like p, and do not tie where p rounds to 1.
        log_odds = logits[..., 1] - logits[..., 0] if self.classes == 2 else jax.nn.log_softmax(losses.wide(logits))
        rows = {"labels": labels, "scores": log_odds} | ({"valid": valid} if self.data.per_step else {})
        return Statistics(sums, rows)

    def finish(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """accuracy, macro_f1, auroc, log_loss."""
        return self.finish_all([(sums, rows)], data)[0]

    def finish_all(self, found: Sequence[Summed], data: Data) -> list[dict[str, float]]:
        """The metrics of several networks, whose AUROCs are one computation."""
        ranked: list[dict[str, float]] = [{}] * len(found)
        if self._ranked:
            first = found[0][1]
            keep = first["valid"] if self.data.per_step else slice(None)
            scores = np.stack([rows["scores"][keep] for _, rows in found])
            rank = metrics.aurocs if self.classes == 2 else metrics.macro_aurocs
            ranked = [{"auroc": area} for area in rank(first["labels"][keep], scores)]
        finished = []
        for (sums, _), area in zip(found, ranked, strict=True):
            confusion = sums["confusion"]
            own = {"accuracy": metrics.accuracy(confusion), "macro_f1": metrics.macro_f1(confusion)}
            finished.append({**own, **area, "log_loss": metrics.log_loss(sums["nll"], confusion.sum())})
        return finished

    def details(self, sums: dict[str, np.ndarray], rows: dict[str, np.ndarray], data: Data) -> dict[str, float]:
        """precision, recall and f1 of every class, nan where there is nothing to divide by; support, its examples."""
        if "confusion" not in sums or self.classes > MOST_DETAILS:
            return {}
        found = metrics.by_class(sums["confusion"])
        return {
            f"{metric}/{name}": float(values[number])
            for number, name in enumerate(self.names(data))
            for metric, values in found.items()
        }

    def names(self, data: Data) -> tuple[str, ...]:
        """Names of the classes."""
        return data.class_names or tuple(map(str, range(self.classes)))

    def decode(self, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
        """Columns target, predicted (class names) and probability_<class>; for time steps three arrays.

        The true classes are left out where the data has none.
        """
        probability = np.asarray(jax.nn.softmax(self._logits(jnp.asarray(outputs.prediction))))
        names = np.array(self.names(data))
        found = {"predicted": names[probability.argmax(-1)]}
        if "targets" in data.test:
            found = {"target": names[data.test["targets"]], **found}
        if self.data.per_step:
            return {**found, "probabilities": probability}
        return found | {f"probability_{name}": probability[:, c] for c, name in enumerate(names)}

    def answer(
        self, outputs: Outputs, batch: Batch, inputs: ArrayScaling, targets: ArrayScaling | None
    ) -> dict[str, jax.Array]:
        """probabilities (batch, [time,] classes), and the number of the largest as `predicted`."""
        probabilities = jax.nn.softmax(self._logits(outputs.prediction))
        return {"predicted": probabilities.argmax(-1).astype(jnp.int32), "probabilities": probabilities}

    def baselines(self, outputs: Outputs, data: Data) -> dict[str, dict[str, float]]:
        """`majority`: its class for accuracy and macro_f1, its class frequencies for log_loss; auroc 0.5."""
        if not self.wants("majority"):
            return {}
        counts = class_counts(data.train, data.spec)
        # A class that does not occur keeps a finite logarithm.
        return {"majority": self._scored(np.log(np.maximum(counts / counts.sum(), 1e-7)), data)}

    def slow_baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """For tables `gradient_boosting`."""
        if data.spec.kind != "table" or not self.wants("gradient_boosting"):
            return {}
        logits = gradient_boosting(data, self.wants("gradient_boosting", by_name=True))
        return {} if logits is None else {"gradient_boosting": self._scored(logits, data)}

    def _scored(self, logits: np.ndarray, data: Data) -> dict[str, float]:
        """The metrics of logits (..., classes) that spread over the test part."""
        # One logit is the log-odds of the second class.
        head = logits if self.config.loss == "cross_entropy" else logits[..., 1:] - logits[..., :1]
        shape = (*data.test["targets"].shape, head.shape[-1])
        return score(self, np.broadcast_to(np.float32(head), shape), data)

    @property
    def _ranked(self) -> bool:
        return self.classes <= MOST_RANKED_CLASSES

    def _valid(self, batch: Batch) -> jax.Array:
        return losses.valid_steps(batch["targets"], self.data.valid_steps("targets", batch))

    def _logits(self, prediction: jax.Array) -> jax.Array:
        """(..., classes); one logit becomes the pair (0, z)."""
        if self.config.loss == "cross_entropy":
            return prediction
        return jnp.concatenate([jnp.zeros_like(prediction), prediction], -1)


def class_counts(part: Part, spec: DataSpec) -> np.ndarray:
    """(classes,) how often each label occurs in a part, valid steps alone."""
    labels = part["targets"]
    valid = np.broadcast_to(losses.valid_steps(labels, spec.valid_steps("targets", part)), labels.shape)
    return np.bincount(labels[valid], minlength=spec.classes or 0)
