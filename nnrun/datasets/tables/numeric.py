"""A column of numbers: what is fitted on the training rows, and the inputs that it gives to a network."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from nnrun.datasets.tables import gaps
from nnrun.datasets.tables.range import Range
from nnrun.datasets.tables.values import Cells, Given


@dataclass(frozen=True)
class Numeric:
    """Numbers. A missing value becomes the training mean `fill`; where the training part had some, a second input is 1.

    missing: texts that stand for a missing value here, beside the usual ones.
    """

    given: ClassVar = Given("numbers", "float32", (), "NaN where missing")
    name: str
    missing: tuple[str, ...]
    decimal: str
    fill: float
    indicator: bool

    def inputs(self) -> dict[str, bool]:
        """The names of the inputs, and whether each is measured in a unit, so that scaling it makes sense."""
        return {self.name: True} | gaps.inputs(self.name, self.indicator)

    def encode(self, cells: Cells) -> list[np.ndarray]:
        """An array (n,) for every input. Raises RunError for a text that is no number."""
        return self.traced(np, cells.checked_numbers().to_numpy())

    def traced(self, xp: Any, numbers: Any) -> list[Any]:
        """The inputs of numbers (n,), NaN where missing; `xp` is the module of their arrays, numpy or jax.numpy."""
        gap = xp.isnan(numbers)
        # A list times False is empty: without an indicator there is one input.
        return [xp.where(gap, self.fill, numbers), *[gap] * self.indicator]

    def made_up(self, random: np.random.Generator, inputs: np.ndarray) -> np.ndarray:
        """Numbers out of made-up inputs (n, inputs of the column) in its unit; some are missing."""
        return gaps.with_some(random, inputs[:, 0], np.nan)


@dataclass
class NumericFit:
    """Fits a Numeric, block by block."""

    name: str
    missing: tuple[str, ...]
    decimal: str
    range: Range = field(default_factory=Range)

    def update(self, cells: Cells) -> None:
        """Adds training rows. Raises RunError for a text that is no number and for infinities."""
        self.range.update(cells.checked_numbers().to_numpy())

    def finish(self) -> Numeric | None:
        """The fitted column, or None where the training part tells nothing by it."""
        values = self.range
        return Numeric(self.name, self.missing, self.decimal, values.mean, values.gaps > 0) if values.tells else None
