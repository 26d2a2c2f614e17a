"""A part of the data, and columns of what is written: plain NumPy arrays by name."""

import numpy as np

Part = dict[str, np.ndarray]
"""Arrays (n, ...) of the same examples: a field of an example each."""
Columns = dict[str, np.ndarray]
"""Arrays (n, ...) with a row per example, as predictions are written."""


def count(part: Part) -> int:
    """Examples of a part: every array has a row for each."""
    return len(next(iter(part.values())))


def is_mapped(part: Part) -> bool:
    """Whether a part lies in files that are mapped, because it may be larger than memory."""
    # Views of a np.memmap have its _mmap; what is computed from one is a memmap, too, but has None there.
    return any(getattr(values, "_mmap", None) is not None for values in part.values())


def take(part: Part, index: np.ndarray | slice) -> Part:
    """Some examples of a part."""
    return {name: values[index] for name, values in part.items()}
