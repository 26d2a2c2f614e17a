"""What becomes of a missing value: a mark in an input of its own, where the training part had some."""

import numpy as np

SHARE = 0.1
"""How many of the made-up values are missing."""


def inputs(name: str, indicator: bool) -> dict[str, bool]:
    """The input that marks the missing values of a column, where it has one: its name, and that it has no unit."""
    return {f"{name}_missing": False} if indicator else {}


def with_some(random: np.random.Generator, values: np.ndarray, gap: float) -> np.ndarray:
    """Made-up values (n,) of which some are missing, written as `gap`."""
    return np.where(random.random(values.shape) < SHARE, gap, values)
