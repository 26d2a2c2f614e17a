"""The networks that a setting is judged by: its folds, and the repeats of each with seeds of their own."""

import dataclasses
from typing import Any

import numpy as np

from nnrun.config.run_config import RunConfig, as_arrays


def numbers(config: RunConfig) -> list[dict[str, Any]]:
    """The traced numbers of every member of a setting, in the order of `training.fit`: all repeats of a fold together.

    `fold` counts from 0, where there are folds.
    """
    training, found = config.training, []
    for fold in range(training.folds):
        for repeat in range(training.repeats):
            traced = as_arrays(dataclasses.replace(config, seed=config.seed + repeat).split()[1])
            found.append(traced | ({"fold": np.int32(fold)} if training.folds > 1 else {}))
    return found
