"""Examples that are marked as anomalous: tested, never trained on."""

from collections.abc import Mapping

import numpy as np

from nnrun.datasets.parts.split import share
from nnrun.errors import RunError

MOST_SHOWN = 8


def within(limit: int | None, normal: int, anomalous: int) -> tuple[int | None, int]:
    """What `dataset.limit` leaves for the normal examples, and how many of the anomalous ones are kept."""
    if limit is None:
        return None, anomalous
    # However many are anomalous, half of the limit is for the normal ones.
    kept = min(share((normal, anomalous), limit)[1], limit // 2)
    return limit - kept, kept


def marks(values: np.ndarray, where: str) -> np.ndarray:
    """(n,) int32 of an array that must hold 0 for normal and 1 for anomalous examples. Raises RunError."""
    found, counts = np.unique(values, return_counts=True)
    if not np.isin(found, (0, 1)).all():
        held = counted(dict(zip(map(str, found.tolist()), counts.tolist(), strict=True)))
        raise RunError(f"{where} must be 0 for normal and 1 for anomalous examples, but holds {held}. Save it so.")
    return values.astype(np.int32)


def counted(counts: Mapping[str, int]) -> str:
    """`ok (310), worn (12) and 3 more`, the most frequent first."""
    most = sorted(counts, key=lambda word: (-counts[word], word))
    more = f" and {len(most) - MOST_SHOWN} more" if len(most) > MOST_SHOWN else ""
    return ", ".join(f"{word} ({counts[word]})" for word in most[:MOST_SHOWN]) + more


def sentence(marked: str, anomalous: int, tested: int, normal: int, reasons: Mapping[str, bool]) -> str:
    """What becomes of the anomalous examples: `tested` of them, beside so many `normal` ones.

    marked: the beginning, which says what marks how many. reasons: why others may be left out, and whether that holds.
    """
    said = f"{marked}. "
    if tested:
        said += f"{tested} of them are in the test part, beside {normal} normal ones, none in training or validation."
    else:
        said += "The test part has none to find, so there is no auroc. A file that has some: nnrun evaluate RUN FILE."
    if tested < anomalous:
        holding = " or ".join(reason for reason, holds in reasons.items() if holds)
        said += f" {anomalous - tested} are left out, because {holding}."
    return said
