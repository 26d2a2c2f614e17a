"""Gradient boosted trees on the training part: what a network for a table is most often beaten by."""

import logging

import numpy as np

from nnrun.datasets.base import Data
from nnrun.tasks.baselines.scores import scaled

FEWEST_EXAMPLES = 100
"""Training examples below which trees, whose leaves hold twenty, tell next to nothing."""
MOST_WORK = 4 * 10**9
"""Trees times columns times rows, about half a minute on one core; above that only where it is asked for by name."""
ROWS_OF_A_TREE = 12_500
"""A tree costs as much as going once over so many rows, however few there are."""
LEAST_PROBABILITY = 1e-7
"""Of a class: one that training lacks keeps a finite logarithm."""


def gradient_boosting(data: Data, named: bool) -> np.ndarray | None:
    """(n, values) predictions for the test part in scaled units, or (n, classes) logarithms of probabilities.

    scikit-learn's HistGradientBoosting with its defaults, seed 0, on one thread. None where it would tell nothing, or
    take long and is not `named` by the user.
    """
    classes, (inputs, targets) = data.spec.classes, _examples(data, "train")
    labels = targets.reshape(len(targets), -1)
    trees = 100 * (labels.shape[1] if classes is None else 1 if classes == 2 else classes)
    if len(inputs) < FEWEST_EXAMPLES or (classes is not None and len(np.unique(labels)) < 2):
        return None
    if not named and trees * inputs.shape[1] * (len(inputs) + ROWS_OF_A_TREE) > MOST_WORK:
        logging.getLogger(__name__).info(
            "Note: there is no gradient boosting baseline, because %d trees for %d examples of %d columns take longer "
            "than half a minute. Name it to have it: task.baselines=[gradient_boosting].",
            trees,
            len(inputs),
            inputs.shape[1],
        )
        return None
    return _predicted(data, inputs, labels)


def _predicted(data: Data, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    # Only here, because scikit-learn takes a second to be imported.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    asked, classes = _examples(data, "test")[0], data.spec.classes
    # Numbers that stand for a category follow the inputs; the trees tell up to 255 of them apart.
    first = inputs.shape[1] - len(data.spec.categories)
    marked = [first + column for column, count in enumerate(data.spec.categories) if count <= 255]
    options = {"random_state": 0, "categorical_features": marked or None}
    with threadpool_limits(1, "openmp"):
        if classes is None:
            found = [HistGradientBoostingRegressor(**options).fit(inputs, y).predict(asked) for y in labels.T]
            return np.stack(found, axis=1)
        model = HistGradientBoostingClassifier(**options).fit(inputs, labels[:, 0])
        probabilities = np.full((len(asked), classes), 0.0)
        probabilities[:, model.classes_] = model.predict_proba(asked)
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY))


def _examples(data: Data, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(n, columns) inputs and categories, and targets."""
    inputs, targets = scaled(data, part)
    flat = inputs.reshape(len(inputs), -1)
    if data.spec.categories:
        flat = np.concatenate([flat, getattr(data, part)["categories"]], axis=1)
    return flat, targets
