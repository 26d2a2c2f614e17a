"""Progression of diabetes."""

import numpy as np

from nnrun.datasets.base import DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.datasets.public.bundled import read_table


class Diabetes(Examples):
    """442 patients: 10 measurements in their own units, and how far the disease was a year later (25 to 346).

    Source: Efron, Hastie, Johnstone & Tibshirani, Least angle regression (2004); the file of scikit-learn.
    """

    input_names = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    target_names = ("progression",)

    def spec(self) -> DataSpec:
        """Ten numbers in, one out."""
        return DataSpec("table", (10,), (1,), "regression")

    def examples(self, rng: np.random.Generator) -> Part:
        """Reads the two files; nothing is random."""
        inputs = read_table("diabetes_data_raw.csv.gz", delimiter=None)
        targets = read_table("diabetes_target.csv.gz")
        return {"inputs": inputs.astype(np.float32), "targets": targets.astype(np.float32)}
