"""How much of the objective each hyperparameter explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST_TRIALS = 10
TREES = 64
MOST_SAMPLES = 1024
"""Trials that a tree is grown on, drawn with replacement."""
LEAST_EXPLAINED = 0.3
"""R² below which the shares are doubtful."""


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of the objective's ranks over the space.

    shares: key -> share that it explains alone, largest first; the rest to 1 is what several explain together only.
    explained: R² of the forest on trials left out of a tree's sample; at 0 or below the shares mean nothing.
    """

    shares: dict[str, float]
    explained: float


def importance(places: Mapping[str, np.ndarray], objectives: Sequence[float]) -> Importance | None:
    """Main effects of a functional analysis of variance on a random forest (Hutter, Hoos & Leyton-Brown 2014).

    places: key -> where every trial lies on its axis, from 0 to 1, (trials,), NaN where the key does not apply.
    Ranks stand for the objectives, so a few diverged trials do not decide. Every part of an axis weighs the same. A
    trial to which a key does not apply gets one drawn from the other trials' values, so the key says nothing about it.
    None with fewer than `LEAST_TRIALS` trials, or where all are equally good.
    """
    if len(objectives) < LEAST_TRIALS or np.ptp(objectives) == 0 or not places:
        return None
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor

    inputs = np.stack([_filled(column) for column in places.values()], axis=1)  # (trials, keys)
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=3, max_samples=min(len(objectives), MOST_SAMPLES), oob_score=True, random_state=0
    )
    forest.fit(inputs, rankdata(objectives) / len(objectives))
    effects = np.mean([_main_effects(tree.tree_, len(places)) for tree in forest.estimators_], axis=0)
    shares = dict(zip(places, map(float, effects), strict=True))
    return Importance(dict(sorted(shares.items(), key=lambda item: -item[1])), float(forest.oob_score_))


def _filled(places: np.ndarray) -> np.ndarray:
    """The places with a number drawn from the others for every NaN."""
    known = places[np.isfinite(places)]
    if not known.size:
        return np.zeros(len(places))
    return np.where(np.isnan(places), np.random.default_rng(0).choice(known, len(places)), places)


def _main_effects(tree: Any, axes: int) -> np.ndarray:
    """Share of a tree's variance due to each axis alone, (axes,); zeros for a tree of one leaf."""
    low, high, values = _leaves(tree, axes)
    # The unit cube's volume is 1, so that volumes are weights: means and variances are over the whole space.
    volume = (high - low).prod(axis=1)
    values = values - volume @ values
    variance = volume @ values**2
    if variance <= 0:
        return np.zeros(axes)
    return np.array([_effect(low, high, values, axis) for axis in range(axes)]) / variance


def _effect(low: np.ndarray, high: np.ndarray, values: np.ndarray, axis: int) -> float:
    """Variance of the mean over all other axes, as a function of this one, which the leaves' edges cut in cells."""
    edges = np.unique(np.concatenate([low[:, axis], high[:, axis]]))
    weighted = values * np.delete(high - low, axis, axis=1).prod(axis=1)
    # A leaf counts in the cells from its lower edge to its upper one: added at the first and taken off at the second,
    # the running sum is the mean in every cell, without a loop over leaves and cells.
    steps = np.zeros(len(edges))
    np.add.at(steps, np.searchsorted(edges, low[:, axis]), weighted)
    np.add.at(steps, np.searchsorted(edges, high[:, axis]), -weighted)
    return float(np.diff(edges) @ np.cumsum(steps)[:-1] ** 2)


def _leaves(tree: Any, axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Box in the unit cube and value of every leaf: low (leaves, axes), high (leaves, axes), values (leaves,)."""
    low, high = np.zeros((tree.node_count, axes)), np.ones((tree.node_count, axes))
    # scikit-learn numbers a node before its children; -1 stands for the children of a leaf.
    for node in range(tree.node_count):
        left, right, axis = tree.children_left[node], tree.children_right[node], tree.feature[node]
        if left >= 0:
            low[[left, right]], high[[left, right]] = low[node], high[node]
            high[left, axis] = low[right, axis] = tree.threshold[node]
    ends = tree.children_left < 0
    return low[ends], high[ends], tree.value[ends, 0, 0]
