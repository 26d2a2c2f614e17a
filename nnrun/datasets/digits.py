"""Handwritten digits of 8x8 pixels."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec, ScalingKind
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples, Indices
from nnrun.datasets.public.bundled import read_table
from nnrun.schema import setting


@dataclass(frozen=True)
class DigitsConfig(DatasetConfig):
    """Keys of dataset=digits."""

    scaling: ScalingKind = setting("none", "fitted on the training part alone")
    anomaly: int | None = setting(
        None, "a digit that only the test part shows; null: none", least=0, most=9, changes="examples"
    )


class Digits(Examples):
    """1,797 grey images (8, 8, 1) of the digits 0 to 9; the values 0 to 16 of the file are stored as 0 to 1.

    With `anomaly` every image of that digit is in the test part, marked 1 in `anomaly`: a set for autoencoders.
    Source: Alpaydin & Kaynak, Optical recognition of handwritten digits (1998), UCI repository; the file of
    scikit-learn.
    """

    config: DigitsConfig
    auto_epochs = 20
    input_names = ("grey",)
    class_names = tuple(str(digit) for digit in range(10))

    def spec(self) -> DataSpec:
        """One grey image in, a class out, or an image again where a digit is held back."""
        anomalies = self.config.anomaly is not None
        task = "reconstruction" if anomalies else "classification"
        return DataSpec("image", (8, 8, 1), (), task, classes=10, anomalies=anomalies)

    def examples(self, rng: np.random.Generator) -> Part:
        """Reads the table; nothing is random."""
        table = read_table("digits.csv.gz")
        labels = table[:, -1].astype(np.int32)
        images = (table[:, :-1] / 16).astype(np.float32).reshape(-1, 8, 8, 1)
        marks = {} if self.config.anomaly is None else {"anomaly": (labels == self.config.anomaly).astype(np.int32)}
        return {"inputs": images, "targets": labels, **marks}

    def split(self, targets: np.ndarray, rng: np.random.Generator) -> Indices:
        """The stratified split, after which every image of the digit held back moves to the test part."""
        train, val, test = super().split(targets, rng)
        if self.config.anomaly is None:
            return train, val, test
        odd = targets == self.config.anomaly
        return train[~odd[train]], val[~odd[val]], np.concatenate([test, train[odd[train]], val[odd[val]]])
