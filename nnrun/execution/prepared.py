"""What a config needs before it can be built: its data, and a task that has seen them."""

import dataclasses
from dataclasses import dataclass

from nnrun.config.run_config import RunConfig
from nnrun.datasets.base import Data
from nnrun.execution import devices
from nnrun.tasks.base import Task
from nnrun.training import batches
from nnrun.training.objective import Objective, check_objective


@dataclass(frozen=True)
class Loaded:
    """A config completed by what only the data tell, with the data, the task and the objective."""

    config: RunConfig
    data: Data
    task: Task
    objective: Objective


def load(config: RunConfig, data: Data | None = None) -> Loaded:
    """Loads the data set, unless `data` is given. Raises RunError when files are missing or damaged."""
    if data is None:
        data = config.dataset.create().load()
    kind = config.task.cls
    prepared = dataclasses.replace(config.task, config=kind.prepare(config.task.config, data))
    batch_size = devices.useful_batch(config.training, batches.count(data.train))
    training = dataclasses.replace(config.training, batch_size=batch_size)
    config = dataclasses.replace(config, task=prepared, training=training)
    task = kind(prepared.config, data.spec)
    direction = check_objective(config.objective, task, config.model.cls.terms)
    return Loaded(config, data, task, Objective(config.objective.metric, direction))
