"""Large numbers that vary so little that single precision, in which networks compute, cannot tell them apart."""

import math
from pathlib import Path

from nnrun.datasets.tables.fitting import Range
from nnrun.datasets.tables.precision import is_coarse

LOST = "but single precision keeps about 7 digits, so much of what it tells"


def is_lost(values: Range) -> bool:
    """Whether single precision is too coarse at the largest of the values."""
    return values.varies and bool(is_coarse(max(abs(values.low), abs(values.high)), values.std))


def note(source: Path, name: str, typed: str, values: Range) -> str:
    """For a column of the inputs; `typed` is how its name is written in a command."""
    return (
        f"{source}: column {name} {_varies(values)}, {LOST} is lost: subtract a constant from it, for example "
        f"{_constant(values)}, or leave it out, dataset.drop=[{typed}]."
    )


def refusal(source: Path, name: str, values: Range) -> str:
    """For a target."""
    return (
        f"{source}: the target {name} {_varies(values)}, {LOST} would be lost: subtract a constant from it, for "
        f"example {_constant(values)}, or name another column, dataset.target=NAME."
    )


def _varies(values: Range) -> str:
    return f"varies by {values.std:.3g} around {values.mean:.10g}"


def _constant(values: Range) -> str:
    """A round number below all values, not further from them than they are from each other."""
    step = 10.0 ** math.floor(math.log10(values.high - values.low))
    return f"{math.floor(values.low / step) * step:.15g}"
