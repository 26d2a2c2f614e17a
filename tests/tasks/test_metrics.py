"""Metrics by hand, and against scikit-learn."""

import itertools
import math

import numpy as np
import pytest

from nnrun.tasks import metrics


def sums(true, predicted):
    """What the tasks hand to the metrics: (targets,) each."""
    residual = predicted - true
    return {
        "squares": (residual**2).sum(0),
        "absolute": np.abs(residual).sum(0),
        "target": true.sum(0),
        "target_squares": (true**2).sum(0),
        "count": np.full(true.shape[1:], len(true)),
    }


def r2(s):
    return metrics.r2(s["squares"], s["target"], s["target_squares"], s["count"])


def test_errors_by_hand():
    s = sums(np.array([[1.0], [2.0], [6.0]]), np.array([[1.0], [4.0], [5.0]]))
    assert metrics.mse(s["squares"], s["count"]) == pytest.approx(5 / 3)
    assert metrics.rmse(s["squares"], s["count"]) == pytest.approx(math.sqrt(5 / 3))
    assert metrics.mae(s["absolute"], s["count"]) == pytest.approx(1.0)
    assert r2(s) == pytest.approx(1 - 5 / 14)


def test_errors_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(50, 3)) * [1, 2, 3] + 0.5, rng.normal(size=(50, 3))
    s = sums(true, predicted)
    assert metrics.mse(s["squares"], s["count"]) == pytest.approx(reference.mean_squared_error(true, predicted))
    assert metrics.mae(s["absolute"], s["count"]) == pytest.approx(reference.mean_absolute_error(true, predicted))
    assert r2(s) == pytest.approx(reference.r2_score(true, predicted))


def test_r2_leaves_constant_targets_out():
    true = np.array([[1.0, 0.5], [2.0, 0.5], [6.0, 0.5]], np.float32)
    s = sums(true, true * [1, 2])
    assert r2(s) == pytest.approx(1.0)
    assert math.isnan(r2(sums(true[:, 1:], true[:, 1:])))
    assert math.isnan(metrics.r2(1.0, 2.0, 4.0, 1))


def test_mase_by_hand():
    assert metrics.mase(np.array([1.0, 3.0]), np.array([2.0, 2.0])) == pytest.approx(1.0)
    assert metrics.mase(np.array([1.0, 3.0]), np.array([2.0, 0.0])) == pytest.approx(0.5)
    assert math.isnan(metrics.mase(np.array([1.0]), np.array([0.0])))


CONFUSION = np.array([[5, 1, 0, 0], [2, 3, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_confusion_metrics_by_hand():
    assert metrics.accuracy(CONFUSION) == pytest.approx(8 / 12)
    assert metrics.macro_f1(CONFUSION) == pytest.approx((10 / 13 + 6 / 10 + 0) / 3)


def test_confusion_metrics_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    true, predicted = np.nonzero(np.ones_like(CONFUSION))
    true, predicted = np.repeat(true, CONFUSION.ravel()), np.repeat(predicted, CONFUSION.ravel())
    assert metrics.accuracy(CONFUSION) == pytest.approx(reference.accuracy_score(true, predicted))
    expected = reference.f1_score(true, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(CONFUSION) == pytest.approx(expected)


def test_metrics_of_a_class_are_those_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    true, predicted = np.nonzero(np.ones_like(CONFUSION))
    true, predicted = np.repeat(true, CONFUSION.ravel()), np.repeat(predicted, CONFUSION.ravel())
    expected = reference.precision_recall_fscore_support(true, predicted, labels=range(3), zero_division=np.nan)
    found = metrics.by_class(CONFUSION)
    assert list(found) == ["precision", "recall", "f1", "support"]
    for values, reference_values in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(values[:3], reference_values)
    assert np.isnan(found["precision"][2]), "a class that is never predicted"
    assert np.isnan([found[name][3] for name in ("precision", "recall", "f1")]).all(), "and that does not occur"
    assert found["support"].tolist() == [6, 5, 1, 0]


def macro_auroc(labels, scores):
    (found,) = metrics.macro_aurocs(labels, scores[None])
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, metrics.BLOCK])
def test_aurocs_of_many_networks_are_those_of_each(monkeypatch, dtype, block):
    monkeypatch.setattr(metrics, "BLOCK", block)
    rng = np.random.default_rng(4)
    labels, scores = rng.integers(0, 3, 40), rng.normal(size=(5, 40, 3)).astype(dtype)
    scores[1] = scores[1].round(1)  # equal ones, -0 among them
    scores[2, 7, 1] = np.nan
    scores[3, 4] = -np.inf
    pairs = list(itertools.product(range(40), repeat=2))
    expected = np.empty((5, 3))
    for network, column in itertools.product(range(5), range(3)):
        values = [(scores[network, i, column], scores[network, j, column]) for i, j in pairs
                  if (labels[i] == column) and (labels[j] != column)]  # fmt: skip
        expected[network, column] = np.mean([(p > n) + (p == n) / 2 for p, n in values])
    expected[2, 1] = np.nan
    np.testing.assert_allclose(metrics.macro_aurocs(labels, scores), expected.mean(1), rtol=1e-12)
    np.testing.assert_allclose(metrics.aurocs(labels == 1, scores[..., 1]), expected[:, 1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auroc_is_the_share_of_pairs_in_order(dtype):
    rng = np.random.default_rng(1)
    for _ in range(20):
        positive, scores = rng.random(15) < 0.4, rng.integers(-3, 3, 15).astype(dtype)
        pairs = list(itertools.product(scores[positive], scores[~positive]))
        expected = np.mean([(p > n) + (p == n) / 2 for p, n in pairs]) if pairs else math.nan
        np.testing.assert_allclose(metrics.auroc(positive, scores), expected, rtol=1e-12)


def test_auroc_at_the_edges():
    assert metrics.auroc(np.array([1, 1, 0, 0]), np.array([4.0, 3.0, 2.0, -np.inf])) == 1.0
    assert metrics.auroc(np.array([True, False]), np.array([0.1, 0.2])) == 0.0
    assert metrics.auroc(np.array([True, False, False]), np.zeros(3)) == 0.5
    assert math.isnan(metrics.auroc(np.ones(3, bool), np.arange(3.0)))
    assert math.isnan(metrics.auroc(np.array([True, False]), np.array([np.nan, 1.0])))
    assert isinstance(metrics.auroc(np.array([True, False]), np.float32([0.1, 0.2])), float)


def test_auroc_is_that_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200).round(2) + 1e-9
    probabilities /= probabilities.sum(1, keepdims=True)
    expected = reference.roc_auc_score(labels, probabilities, multi_class="ovr")
    assert macro_auroc(labels, probabilities) == pytest.approx(expected)
    assert metrics.auroc(labels == 1, probabilities[:, 1]) == pytest.approx(
        reference.roc_auc_score(labels == 1, probabilities[:, 1])
    )


def test_macro_auroc_means_over_the_classes_that_occur():
    labels, scores = np.array([0, 0, 2]), np.array([[3.0, 9.0, 0.0], [1.0, 9.0, 2.0], [2.0, 9.0, 1.0]])
    assert macro_auroc(labels, scores) == pytest.approx((0.5 + 0.5) / 2)
    assert math.isnan(macro_auroc(np.zeros(3, int), scores))


def test_macro_auroc_is_undefined_where_a_class_that_occurs_has_a_score_that_is_none():
    labels, scores = np.array([0, 0, 2]), np.array([[3.0, np.nan, 0.0], [1.0, 9.0, -np.inf], [2.0, 9.0, 1.0]])
    assert macro_auroc(labels, scores) == pytest.approx((0.5 + 1) / 2)
    assert math.isnan(macro_auroc(np.array([0, 1, 2]), scores))


def test_auroc_of_a_hundred_thousand_scores():
    """Their pairs would take 10 GB."""
    reference, rng = pytest.importorskip("sklearn.metrics"), np.random.default_rng(3)
    positive, scores = rng.random(100_000) < 0.5, rng.random(100_000).round(4)
    assert metrics.auroc(positive, scores) == pytest.approx(reference.roc_auc_score(positive, scores))


def test_log_loss_by_hand():
    assert metrics.log_loss(np.float32(3.0), np.int64(4)) == pytest.approx(0.75)


def test_every_direction_is_known():
    assert set(metrics.DIRECTIONS.values()) == {"minimize", "maximize"}
    assert [n for n, d in metrics.DIRECTIONS.items() if d == "maximize"] == [
        *("r2", "accuracy", "macro_f1", "auroc", "average_precision"),
        *("precision", "recall", "f1"),
    ]


def test_average_precision_is_that_of_scikit_learn():
    reference = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    positive = rng.random(60) < 0.2
    for scores in (rng.normal(size=60), rng.integers(0, 4, 60).astype(float), np.zeros(60)):
        expected = reference.average_precision_score(positive, scores)
        assert metrics.average_precision(positive, scores) == pytest.approx(expected)
    assert math.isnan(metrics.average_precision(np.zeros(3), np.arange(3.0)))
    assert math.isnan(metrics.average_precision(np.ones(2), np.array([1.0, math.nan])))


def test_what_shifted_flags_find_by_chance_against_a_loop():
    rng = np.random.default_rng(2)
    marked = np.zeros(50, bool)
    marked[3:9] = marked[30:42] = True
    for share in (0.02, 0.1, 0.5):
        flagged = rng.random(50) < share
        own = metrics.stretches_found(marked, flagged)
        shifted = [metrics.stretches_found(marked, np.roll(flagged, shift)) for shift in range(50)]
        assert metrics.found_by_chance(marked, flagged) == np.mean(np.array(shifted) >= own)
    assert metrics.found_by_chance(marked, np.ones(50, bool)) == 1.0
    lucky = np.arange(50) == 5
    assert metrics.found_by_chance(marked, lucky) == pytest.approx(18 / 50)
