"""The adding problem: remember two marked numbers of a long sequence."""

from dataclasses import dataclass

import numpy as np

from nnrun.datasets.base import DatasetConfig, DataSpec, ScalingKind
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.schema import setting, size


@dataclass(frozen=True)
class AddingConfig(DatasetConfig):
    """Keys of dataset=adding."""

    scaling: ScalingKind = setting("none", "fitted on the training part alone")
    length: int = size(100, "steps of every sequence", least=2, changes="examples")
    examples: int = size(10000, "sequences in total", least=20, changes="examples")


class Adding(Examples):
    """Inputs (length, 2): values u_t ~ U[0, 1] and marks m_t, 1 at one step of each half; target (1,): y = Σ_t m_t u_t.

    Always answering 1 has a mean squared error of Var(u_i + u_j) = 1/6.
    Source: Hochreiter & Schmidhuber, Long short-term memory (1997), section 5.4, with values from [0, 1] and marks in
    both halves as in Arjovsky, Shah & Bengio, Unitary evolution recurrent neural networks (2016).
    """

    config: AddingConfig
    auto_epochs = 20
    input_names = ("value", "mark")
    target_names = ("sum",)

    def spec(self) -> DataSpec:
        """One sequence in, one number out."""
        return DataSpec("series", (self.config.length, 2), (1,), "regression")

    def examples(self, rng: np.random.Generator) -> Part:
        """Draws the values, then the two marks."""
        n, length = self.config.examples, self.config.length
        values = rng.random((n, length), np.float32)
        first, second = rng.integers(0, length // 2, n), rng.integers(length // 2, length, n)
        rows, marks = np.arange(n), np.zeros((n, length), np.float32)
        marks[rows, first] = marks[rows, second] = 1
        targets = values[rows, first] + values[rows, second]
        return {"inputs": np.stack([values, marks], axis=2), "targets": targets[:, None]}
