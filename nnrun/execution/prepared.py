"""What a config needs before it can be built: its data, and a task that has seen them."""

import dataclasses
from dataclasses import dataclass

import jax
import numpy as np

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data, Folds
from nnrun.datasets.parts import classes, constant, fingerprints
from nnrun.datasets.parts.folds import checked_refit, divide
from nnrun.errors import ConfigError
from nnrun.execution import devices
from nnrun.tasks.base import Task
from nnrun.training import batches, epochs
from nnrun.training.objective import Objective, check_objective
from nnrun.training.state import Fitted


@dataclass(frozen=True)
class Prepared:
    """A config completed by what only the data tell, with the data, the task and the objective.

    notes are sentences for the user on what was settled here.
    """

    config: RunConfig
    data: Data
    task: Task
    objective: Objective
    notes: tuple[str, ...] = ()

    def remarks(self) -> tuple[str, ...]:
        """The notes of the data and of what was settled for them; looks through all examples."""
        data = self.data
        return (*data.notes, *constant.notes(data), *fingerprints.notes(data), *self.notes)


def prepare(config: RunConfig, data: Data | None = None) -> Prepared:
    """Loads the data set, unless `data` is given. Raises RunError when files are missing or damaged.

    Raises ConfigError where the training part lacks a class that another part has.
    """
    if data is None:
        data = config.dataset.create().load()
        # A limit may leave a class out of the training part that it has.
        if getattr(config.dataset.config, "limit", None) is None:
            classes.check(data)
        if config.training.folds > 1:
            data = dataclasses.replace(data, folds=_folds(config, data))
    kind = config.task.cls
    prepared = dataclasses.replace(config.task, config=kind.prepare(config.task.config, data))
    examples, held_out = (batches.count(part) for part in (data.train, data.val))
    if data.folds is not None:
        # Every example of the pool is held out once.
        examples, held_out = data.folds.train.shape[1], batches.count(data.folds.pool)
    asked = config.training.epochs
    batch_size = devices.useful_batch(config.training, examples)
    known = config.dataset.cls.auto_epochs or epochs.automatic(examples, batch_size) if asked == "auto" else asked
    training = dataclasses.replace(config.training, batch_size=batch_size, epochs=known)
    config = dataclasses.replace(config, task=prepared, training=training)
    task = kind(prepared.config, data.spec)
    direction = check_objective(config.objective, task, config.model.cls.terms)
    objective = Objective(config.objective.metric, direction)
    # The default alone: whoever names another metric wants its best epoch. Generated data can be had in any number.
    few = held_out < epochs.FEW_EXAMPLES and config.dataset.cls.auto_epochs is None
    if not few or not kind.overconfident or objective.metric != "val/loss":
        return Prepared(config, data, task, objective)
    note = (
        f"The validation part has {held_out} examples, too few for their val/loss to choose the best epoch: the last "
        "one is kept. To choose by a metric all the same, set objective.metric, for example to val/accuracy."
    )
    return Prepared(config, data, task, dataclasses.replace(objective, last=True), (note,))


def _folds(config: RunConfig, data: Data) -> Folds:
    """The folds that training.folds asks for. Raises ConfigError where the data or the task have none."""
    dataset, count = config.dataset.create(), config.training.folds
    if getattr(config.task.config, "class_weights", None) == "balanced":
        raise ConfigError(
            f"task.class_weights=balanced counts the classes of one training part, but training.folds={count} has one "
            "in every fold. Give the weights as numbers, task.class_weights=[1,2], or set training.folds=1."
        )
    if config.model.cls.streams(config.model.config, data.spec):
        raise ConfigError(
            f"training.folds={count} leaves gaps in what model.stateful=true reads in its order. Set "
            "model.stateful=false, or training.folds=1."
        )
    if found := dataset.folds(data, count):
        return found
    if data.spec.task == "forecasting":
        raise ConfigError(
            f"training.folds={count} would let a forecast learn from what comes later: windows of one series are no "
            "independent examples. Set training.folds=1, and training.repeats to see the spread over seeds."
        )
    refit = checked_refit(data, config.dataset.config.scaling)
    return divide(data, count, config.dataset.config.seed, refit)


def counts(data: Data) -> list[int]:
    """Numbers of examples in the training, validation and test part."""
    return [batches.count(part) for part in (data.train, data.val, data.test)]


def changed_data(before: Fitted, examples: list[int], fitted: Fitted, now: list[int], stacked: bool = False) -> str:
    """How data differ, by what was fitted on them and by the `counts` of their parts; empty where they do not.

    stacked: both have a leading axis of trials, which share their data.
    """
    if stacked:
        before, fitted = jax.tree.map(lambda of_trials: of_trials[0], (before, fitted))
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(fitted), strict=True)
    same = all(np.array_equal(old, new, equal_nan=True) for old, new in pairs)
    if same and examples == now:
        return ""
    values = "" if same else ", and other values in the training part"
    return f"it had {' + '.join(map(str, examples))} examples, now {' + '.join(map(str, now))} examples{values}"
