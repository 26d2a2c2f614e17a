"""How long to train where training.epochs=auto, and when validation examples are too few to choose an epoch."""

import math

STEPS = 3000
"""Steps that are enough for data of ordinary difficulty."""
FEWEST, MOST = 20, 1000
"""Bounds of the number of epochs."""
FEW_EXAMPLES = 20
"""Validation examples below which the smallest mean loss is mostly chance."""


def automatic(examples: int, batch_size: int) -> int:
    """The epochs of so many training examples: 3,000 steps, but at least 20 epochs and at most 1,000."""
    return min(MOST, max(FEWEST, math.ceil(STEPS / math.ceil(examples / batch_size))))
