"""How far an example lies from what is usual in the training part: scores of anomalies that need no network."""

import numpy as np

from nnrun.datasets.base import Data


def distances(data: Data) -> dict[str, np.ndarray]:
    """{baseline: (n,)} mean squared distances in scaled units of the test examples, of windows their newest step.

    median_distance: from the median of the training part; season_distance, where the places of the windows in a season
    are known: from the training mean of the same place.
    """
    train, test = (_newest(getattr(data, part)["inputs"], data) for part in ("train", "test"))
    found = {"median_distance": _distance(test, np.median(train, 0))}
    if data.places is not None and len(data.places[0]) == len(train):
        places, asked = data.places
        count = 1 + max(places.max(), asked.max())
        examples = np.bincount(places, minlength=count)
        # A place that training never shows is compared with the mean of all.
        means = np.tile(train.mean(0), (count, 1))
        for place in np.flatnonzero(examples):
            means[place] = train[places == place].mean(0)
        found["season_distance"] = _distance(test, means[asked])
    return found


def _newest(inputs: np.ndarray, data: Data) -> np.ndarray:
    """(n, values) in scaled units, in float64."""
    scaled = np.asarray(data.input_scaling.apply(inputs), np.float64)
    return scaled[:, -1] if data.spec.kind == "series" else scaled.reshape(len(scaled), -1)


def _distance(rows: np.ndarray, usual: np.ndarray) -> np.ndarray:
    return ((rows - usual) ** 2).mean(-1)
