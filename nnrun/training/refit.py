"""A second training on the training and the validation part together."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from nnrun.datasets.base import Data
from nnrun.datasets.part import is_mapped
from nnrun.errors import ConfigError, RunError
from nnrun.training.fit import Pace, Stretch, Trainer


def joined(data: Data) -> Data:
    """The data with the validation part in the training part, too; what was fitted stays. Raises ConfigError for data
    that are not held in memory."""
    if is_mapped(data.train) or is_mapped(data.val):
        raise ConfigError(
            "training.refit=true joins the training and the validation part in memory, but these data are read from "
            "files as they are trained on. Set training.refit=false, or a dataset.limit."
        )
    return replace(data, train={name: np.concatenate([data.train[name], data.val[name]]) for name in data.train})


def refit(trainer: Trainer, costs: Sequence[float]) -> Iterator[Stretch]:
    """Trains an epoch for each of the costs that the first training had, which a schedule may follow; the weights after
    the last one are kept as the best. Raises RunError when the loss is no longer finite."""
    pace = Pace()
    for epoch, cost in enumerate(costs, 1):
        done = 0
        while done < trainer.train_steps:
            count = pace.next(trainer.train_steps - done)
            (sums,), done = pace.timed(count, trainer.steps), done + count
            if not math.isfinite(sums.loss):
                raise RunError(
                    f"The loss became NaN or infinite in epoch {epoch} of the training on training and validation "
                    "part. Lower optimizer.learning_rate, or set training.refit=false."
                )
            yield Stretch(epoch, done, sums.loss / sums.examples)
        trainer.end_epoch([cost], [epoch == len(costs)])
