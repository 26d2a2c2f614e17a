"""What a task may say about itself beside its loss and metrics, shown by small tasks that do."""

import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.config.run_config import ObjectiveConfig
from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.tasks.baselines.scores import score
from nnrun.tasks.classification import Classification
from nnrun.tasks.regression import Regression, RegressionConfig
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


class Weighed(Regression):
    """A task for which the second example counts three times, the last not at all."""

    def weights(self, batch):
        return batch["mask"] * jnp.array([1.0, 3.0, 0.0])


def test_a_baselines_loss_is_weighed_like_the_networks():
    spec = DataSpec("table", (1,), (1,), "regression")
    part = {"inputs": np.zeros((3, 1), np.float32), "targets": np.array([[1.0], [2.0], [9.0]], np.float32)}
    data = Data(spec, part, part, part, Scaling(np.zeros(1), np.ones(1)))
    prediction = np.zeros((3, 1), np.float32)
    assert score(Weighed(RegressionConfig(), spec), prediction, data)["loss"] == (1 * 1 + 3 * 4) / 4
    assert score(Regression(RegressionConfig(), spec), prediction, data)["loss"] == pytest.approx((1 + 4 + 81) / 3)
