"""An isolation forest on the training part: how easily random cuts part an example from all others."""

import numpy as np

from nnrun.datasets.base import Data


def isolation_forest(data: Data) -> np.ndarray:
    """(n,) scores of the test examples, larger where fewer cuts are needed.

    scikit-learn's IsolationForest with its defaults, seed 0, on one thread. It only compares values of one input with
    each other, so that no scaling matters. Source: Liu, Ting & Zhou, Isolation Forest (2008).
    """
    # Only here, because scikit-learn takes a second to be imported.
    from sklearn.ensemble import IsolationForest

    train, test = (part["inputs"].reshape(len(part["inputs"]), -1) for part in (data.train, data.test))
    return -IsolationForest(random_state=0).fit(train).score_samples(test)
