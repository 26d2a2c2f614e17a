"""Metrics on the host, in float64, from sums over examples, from counts, or from scores."""

import math

import numpy as np

Sums = np.ndarray | np.floating | float

DIRECTIONS = {
    "loss": "minimize",
    "rmse": "minimize",
    "mse": "minimize",
    "mae": "minimize",
    "mase": "minimize",
    "scaled_mse": "minimize",
    "scaled_mae": "minimize",
    "log_loss": "minimize",
    "kl": "minimize",
    "r2": "maximize",
    "accuracy": "maximize",
    "macro_f1": "maximize",
    "auroc": "maximize",
}
"""Which way every known metric, named without its prefix, gets better."""


def mse(squares: Sums, count: Sums) -> float:
    """Mean squared error Σ(ŷ - y)² / n, averaged over targets; sums (targets,), counts (targets,)."""
    return float(np.mean(np.float64(squares) / count))


def rmse(squares: Sums, count: Sums) -> float:
    """Root of the mean squared error over all targets, √mse."""
    return math.sqrt(mse(squares, count))


def mae(absolute: Sums, count: Sums) -> float:
    """Mean absolute error Σ|ŷ - y| / n, averaged over targets; sums (targets,), counts (targets,)."""
    return float(np.mean(np.float64(absolute) / count))


def r2(squares: Sums, target: Sums, target_squares: Sums, count: Sums) -> float:
    """1 - Σ(ŷ - y)² / (Σy² - (Σy)²/n), averaged over the targets that vary; nan when none does. All (targets,).

    Σy and Σy² are about any fixed point near the mean, in the units of `squares`. A target whose spread is below a
    thousandth of its distance from that point counts as constant: single-precision sums cannot tell it.
    """
    total = np.atleast_1d(np.float64(target_squares))
    spread = total - np.atleast_1d(np.float64(target) ** 2 / count)
    varies = spread > 1e-6 * total
    unexplained = np.atleast_1d(np.float64(squares))[varies] / spread[varies]
    return float(np.mean(1 - unexplained)) if varies.any() else math.nan


def mase(absolute: np.ndarray, naive_error: np.ndarray) -> float:
    """Mean absolute scaled error: mean over variables of mae_v / naive_error_v, both (variables,), original units.

    Variables that the naive forecast gets without error are left out; nan when none is left.
    Source: Hyndman & Koehler, Another look at measures of forecast accuracy (2006).
    """
    known = np.asarray(naive_error) > 0
    ratios = np.asarray(absolute, np.float64)[known] / np.asarray(naive_error)[known]
    return float(np.mean(ratios)) if known.any() else math.nan


def accuracy(confusion: np.ndarray) -> float:
    """Share of examples on the diagonal; confusion (classes, classes), rows true, columns predicted."""
    return float(np.trace(confusion) / np.sum(confusion))


def macro_f1(confusion: np.ndarray) -> float:
    """Mean over classes of F1_c = 2 TP_c / (true_c + predicted_c); classes neither true nor predicted are left out."""
    marks = confusion.sum(0) + confusion.sum(1)
    return float(np.mean(2 * np.diag(confusion)[marks > 0] / marks[marks > 0]))


def log_loss(nll: Sums, count: Sums) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    return float(nll) / float(count)


def auroc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative) + P(equal) / 2; both arguments (n,).

    Exact, from average ranks: (Σ rank_positive - P(P + 1)/2) / (P N); nan when one class is missing or a score is nan.
    Source: Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve (1982).
    """
    return _auroc(scores[np.asarray(positive, bool)], np.sort(scores))


def macro_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean over the classes that occur of one-vs-rest AUROC; labels (n,), scores (n, classes); nan with one class."""
    columns = np.ascontiguousarray(np.asarray(scores).T)
    ordered = np.sort(columns, axis=1)
    found = [_auroc(columns[label][labels == label], ordered[label]) for label in np.flatnonzero(np.bincount(labels))]
    return float(np.mean(found))


def stretches_found(marked: np.ndarray, flagged: np.ndarray) -> float:
    """Share of the runs of neighbouring marks, both (n,) in order of time, that hold at least one flag."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return float(np.mean([flagged[start:end].any() for start, end in edges.reshape(-1, 2)]))


def _auroc(hits: np.ndarray, ordered: np.ndarray) -> float:
    """From the scores of the positives and all scores in order; a nan is last in order."""
    count, misses = len(hits), len(ordered) - len(hits)
    if not count or not misses or np.isnan(ordered[-1]):
        return math.nan
    rank = (np.searchsorted(ordered, hits, "left") + np.searchsorted(ordered, hits, "right") + 1) / 2
    return float((rank.sum() - count * (count + 1) / 2) / (count * misses))
