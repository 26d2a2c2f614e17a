"""Inputs that are constant in the training part: the network learns nothing of them, so it must not see them move."""

from collections.abc import Iterator, Sequence

import numpy as np

from nnrun.datasets.base import LEFT_OUT, ROWS_AT_ONCE, Data

MOST_SHOWN = 8


def notes(data: Data) -> Iterator[str]:
    """A sentence about the inputs that are left out of the scaling, and those among them that move in other parts."""
    scale = np.broadcast_to(data.input_scaling.scale, data.spec.inputs[-1:])
    columns = np.flatnonzero(scale >= LEFT_OUT)
    if not len(columns):
        return
    names = [data.input_names[i] if data.input_names else str(i + 1) for i in columns]
    moved, others = _moved(data, columns), sum(len(part["inputs"]) for part in (data.val, data.test))
    yield f"Left out, because constant in the training part: {_listed(names)}."
    moving = [f"{name} in {int(n)}" for name, n in zip(names, moved, strict=True) if n]
    if moving:
        yield (
            f"What is left out differs elsewhere ({_listed(moving)} of {others} validation and test examples), and the "
            "network cannot know what that means. Give it training examples that differ, too."
        )


def _moved(data: Data, columns: np.ndarray) -> np.ndarray:
    """(columns,) in how many validation and test examples an input has another value than in training."""
    usual = data.train["inputs"].reshape(-1, data.spec.inputs[-1])[0, columns]
    found = np.zeros(len(columns), int)
    for part in (data.val, data.test):
        for start in range(0, len(part["inputs"]), ROWS_AT_ONCE):
            block = part["inputs"][start : start + ROWS_AT_ONCE][..., columns]
            differs = block != usual
            if (lengths := part.get("lengths")) is not None:
                valid = np.arange(block.shape[1]) < lengths[start : start + ROWS_AT_ONCE, None]
                differs &= valid[..., None]
            found += differs.reshape(len(block), -1, len(columns)).any(1).sum(0)
    return found


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_SHOWN} more" if len(words) > MOST_SHOWN else ""
    return f"{', '.join(words[:MOST_SHOWN])}{more}"
