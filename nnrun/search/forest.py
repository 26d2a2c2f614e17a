"""Random forests and extremely randomized trees as models of the cost."""

import numpy as np
from skopt.learning import ExtraTreesRegressor, RandomForestRegressor

TREES = 30
FLOOR = 1e-3
"""The least deviation, of standardised costs."""


class Forest:
    """The mean and the deviation over trees and leaves, from scikit-optimize's regressors.

    Source: Hutter, Hoos and Leyton-Brown, "Algorithm runtime prediction", Artificial Intelligence 206 (2014), 4.3.2.
    """

    smooth = False
    regressor, least_in_leaf = RandomForestRegressor, 3

    def __init__(self, features: np.ndarray, costs: np.ndarray) -> None:
        """Nothing is fitted ahead: trees have no hyperparameters here."""

    def observe(self, features: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Grows the trees on these costs; returns their mean there, (n,)."""
        self.trees = self.regressor(n_estimators=TREES, min_samples_leaf=self.least_in_leaf, random_state=0, n_jobs=1)
        return self.trees.fit(features, costs).predict(features)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation at features (n, d); each (n,)."""
        mean, deviation = self.trees.predict(features, return_std=True)
        return mean, np.maximum(deviation, FLOOR)


class ExtraTrees(Forest):
    """A forest whose trees split at random places."""

    regressor, least_in_leaf = ExtraTreesRegressor, 1
