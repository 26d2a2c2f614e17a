"""Metrics on the host, in float64, from sums over examples, from counts, or from scores."""

import math
from typing import Literal

import numpy as np

BLOCK = 2**18
"""Scores that are ordered at once: with more their working memory leaves the cache."""

Sums = np.ndarray | np.floating | float

Direction = Literal["minimize", "maximize"]

DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("loss", "rmse", "mse", "mae", "mase", "scaled_mse", "scaled_mae", "log_loss", "kl"), "minimize"),
    **dict.fromkeys(
        ("r2", "accuracy", "macro_f1", "auroc", "average_precision", "precision", "recall", "f1"), "maximize"
    ),
}
"""Which way every known metric, named without its prefix, gets better; a task says it of its own, see Task."""


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


def by_class(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """precision, recall, f1 and support of every class, each (classes,); confusion as for `accuracy`.

    nan where there is nothing to divide by: the precision of a class that is never predicted, the recall of one that
    does not occur.
    """
    right, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):
        shares = {"precision": right / predicted, "recall": right / true, "f1": 2 * right / (true + predicted)}
    return {**shares, "support": true}


def log_loss(nll: Sums, count: Sums) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    return float(nll) / float(count)


def auroc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative) + P(equal) / 2; both arguments (n,).

    Exact, from average ranks: (Σ rank_positive - P(P + 1)/2) / (P N); nan when one class is missing or a score is nan.
    Source: Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve (1982).
    """
    return aurocs(positive, np.asarray(scores)[None])[0]


def aurocs(positive: np.ndarray, scores: np.ndarray) -> list[float]:
    """`auroc` of several networks; positive (n,), scores (networks, n)."""
    return _areas(np.asarray(positive, bool)[None], scores[:, None])[:, 0].tolist()


def average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """Σ (R_k - R_{k-1}) P_k over the distinct scores from the highest on, with precision P and recall R; both (n,).

    nan without positives or where a score is nan. Chance gives the share of positives.
    Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval (2008), section 8.4.
    """
    positive = np.asarray(positive, bool)
    if not positive.any() or np.isnan(scores).any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    hits, ordered = np.cumsum(positive[order]), scores[order]
    # Equal scores are one threshold: only the last of them counts.
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return float(np.sum(np.diff(hits[last], prepend=0) / hits[-1] * hits[last] / (last + 1)))


def macro_aurocs(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    """Mean over the classes that occur of one-vs-rest AUROC, of several networks; nan with one class.

    labels (n,), scores (networks, n, classes).
    """
    occurring = np.flatnonzero(np.bincount(labels))
    positive = labels == occurring[:, None]
    return _areas(positive, scores[..., occurring].swapaxes(1, 2)).mean(-1).tolist()


def stretches(marked: np.ndarray) -> np.ndarray:
    """(stretches, 2) start and end of the runs of neighbouring marks (n,); the end is the first step after."""
    return np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]]))).reshape(-1, 2)


def stretches_found(marked: np.ndarray, flagged: np.ndarray) -> float:
    """Share of the runs of neighbouring marks, both (n,) in order of time, that hold at least one flag."""
    return float(np.mean([flagged[start:end].any() for start, end in stretches(marked)]))


def found_by_chance(marked: np.ndarray, flagged: np.ndarray) -> float:
    """Share of all circular shifts of the flags that find at least as many marked stretches as the flags do; both (n,).

    Shifted flags have as many and as long episodes, and know nothing of the marks.
    """
    count = len(flagged)
    # flags[:k] and flags once more behind, so that a window may run over the end.
    before = np.concatenate([[0], np.cumsum(np.tile(flagged, 2))])
    shifts = np.arange(count)
    found = np.zeros(count, int)
    for start, end in stretches(marked):
        first = (start - shifts) % count
        found += before[first + end - start] > before[first]
    return float(np.mean(found >= found[0]))


def _areas(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(networks, classes) areas; positive (classes, n), scores (networks, classes, n)."""
    some = max(BLOCK // max(positive.size, 1), 1)
    blocks = [scores[start : start + some] for start in range(0, len(scores), some)]
    return np.concatenate([_areas_of_block(positive, np.ascontiguousarray(block)) for block in blocks])


def _areas_of_block(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUROC from one sort of all scores, each with a last bit that marks positives."""
    marked = _whole_numbers(scores).astype(np.int64) << 1 | positive
    marked.sort(-1)
    ranks = (marked & 1).astype(np.float64) @ np.arange(1.0, marked.shape[-1] + 1)
    hits = positive.sum(-1)
    with np.errstate(invalid="ignore"):
        areas = (ranks - hits * (hits + 1) / 2) / (hits * (positive.shape[-1] - hits))
    # Equal scores of a positive and a negative lie side by side and differ in the last bit alone.
    shared = ((marked[..., 1:] ^ marked[..., :-1]) == 1).any(-1)
    for row in zip(*np.nonzero(shared), strict=True):
        areas[row] = _area_with_ties(scores[row][positive[row[-1]]], np.sort(scores[row]))
    areas[np.isnan(scores).any(-1)] = math.nan
    return areas


def _whole_numbers(scores: np.ndarray) -> np.ndarray:
    """Integers in the order of the scores, equal where those are."""
    if scores.dtype != np.float32:
        return np.unique(scores, return_inverse=True)[1].reshape(scores.shape)
    bits = (scores + np.float32(0)).view(np.int32)  # of -0 those of 0
    # The bits of floats order as whole numbers do, but negative ones backwards: all but the sign are turned over.
    return bits ^ (bits >> 31 & np.int32(0x7FFFFFFF))


def _area_with_ties(hits: np.ndarray, ordered: np.ndarray) -> float:
    """AUROC from the scores of the positives and all scores in order."""
    count, misses = len(hits), len(ordered) - len(hits)
    rank = (np.searchsorted(ordered, hits, "left") + np.searchsorted(ordered, hits, "right") + 1) / 2
    return float((rank.sum() - count * (count + 1) / 2) / (count * misses))
