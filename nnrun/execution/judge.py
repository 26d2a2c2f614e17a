"""How a network is judged on a part: padded chunks go through its program one by one, and what comes back is joined."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from nnrun.models.base import Outputs

Arrays = dict[str, np.ndarray]
Program = Callable[[Any], Any]
"""What a compiled program says of a chunk."""


@dataclass(frozen=True)
class Evaluation:
    """What evaluation brings to the host: summed statistics, and rows joined over the part."""

    sums: Arrays
    rows: Arrays

    def of_first(self, count: int) -> "Evaluation":
        """With the rows of the first examples alone: those behind them are padding."""
        return Evaluation(self.sums, {name: rows[:count] for name, rows in self.rows.items()})

    @property
    def loss(self) -> float:
        """Mean loss per example."""
        return float(self.sums["nnrun/loss"] / self.sums["nnrun/count"])

    @property
    def terms(self) -> dict[str, float]:
        """Mean of each term that the model adds to the loss (a VAE's `kl`)."""
        prefix, total = "nnrun/term/", self.sums["nnrun/count"]
        return {k.removeprefix(prefix): float(v / total) for k, v in self.sums.items() if k.startswith(prefix)}


def evaluation(program: Program, chunks: Iterable[Any], count: int) -> Evaluation:
    """The Evaluation of the `count` examples of padded chunks, for each of which `program` gives Statistics."""

    def alone(chunk: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None], jax.device_get(program(chunk)))  # one slot

    return evaluations(alone, chunks, count)(0)


def evaluations(program: Program, chunks: Iterable[Any], count: int) -> Callable[[int], Evaluation]:
    """The Evaluation of a slot as a function of it, where the Statistics of `program` have a leading axis of slots."""
    found = _over(program, chunks)
    sums = {name: np.sum([f.sums[name] for f in found], 0) for name in found[0].sums}
    rows = {name: np.concatenate([f.rows[name] for f in found], 1)[:, :count] for name in found[0].rows}
    return lambda slot: Evaluation(*({name: values[slot] for name, values in kept.items()} for kept in (sums, rows)))


def outputs(program: Program, chunks: Iterable[Any], count: int) -> Outputs:
    """The Outputs of the `count` examples of padded chunks as NumPy arrays (n, ...)."""
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *_over(program, chunks))


def _over(program: Program, chunks: Iterable[Any]) -> list[Any]:
    """What a program says of the chunks, on the host.

    It is fetched at the end, which lets the devices work ahead. Where a part may be larger than their memory, the
    program itself fetches what it says of a chunk before the next one is placed.
    """
    return jax.device_get([program(chunk) for chunk in chunks])
