"""What a task may say about itself beside its loss and metrics, shown by small tasks that do."""

import pytest

from nnrun.config.run_config import ObjectiveConfig
from nnrun.tasks.classification import Classification
from nnrun.training.objective import Objective, check_objective


class Detecting(Classification):
    """A task whose metrics no other task has."""

    directions = {"overlap": "maximize", "distance": "minimize"}

    def metric_names(self):
        return ("overlap", "distance", "accuracy", "unheard_of")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("overlap", "maximize"), ("distance", "minimize"), ("accuracy", "maximize"), ("unheard_of", "minimize")],
)
def test_a_task_says_which_way_its_own_metrics_get_better(make_config, metric, direction):
    task = Detecting(make_config(dataset="iris").task.config, make_config(dataset="iris").dataset.create().spec())
    assert check_objective(ObjectiveConfig(f"val/{metric}", "auto"), task) == direction
    rows = [{f"val/{metric}": value, "epoch": value} for value in (1.0, 3.0, 2.0)]
    best = Objective(f"val/{metric}", direction).best(rows)
    assert best["epoch"] == (3.0 if direction == "maximize" else 1.0)
