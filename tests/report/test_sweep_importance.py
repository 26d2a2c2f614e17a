import numpy as np
import pytest

from nnrun.report.sweep.importance import importance
from nnrun.report.sweep.page import page
from nnrun.report.sweep.pictures import figures
from nnrun.search.trial import Trial
from tests.report.sweep_records import drawn, record, trials_of


def unit_square(count, objective):
    """Places of points on three axes, the last of three cells, and their objectives."""
    rng = np.random.default_rng(1)
    points = [{"a": rng.uniform(), "b": rng.uniform(), "c": (rng.integers(3) + 0.5) / 3} for _ in range(count)]
    places = {key: np.array([point[key] for point in points]) for key in "abc"}
    return places, [objective(point, rng) for point in points]


def drawn_note(trials):
    """The note over the bars of the picture, however it is broken into lines."""
    return " ".join(figures(record(trials))["importance"].axes[0].get_title(loc="left").split())


def test_importance_finds_what_matters():
    found = importance(*unit_square(200, lambda p, rng: (3 * p["b"] - 1.5) ** 2 + 0.05 * rng.normal()))
    assert next(iter(found.shares)) == "b"
    assert found.shares["b"] > 0.8
    assert found.explained > 0.7


def test_importance_of_noise_is_doubted():
    found = importance(*unit_square(100, lambda p, rng: rng.normal()))
    assert found.explained < 0.3
    noisy = [
        Trial(i, "completed", drawn(i, np.random.default_rng(i)), float(np.random.default_rng(i + 1000).uniform()))
        for i in range(60)
    ]
    assert "do not trust the bars" in page(record(noisy))
    assert drawn_note(noisy).endswith("That is little: do not trust the bars.")
    assert drawn_note(trials_of(40)).endswith("% of the variance among trials it has not seen.")


def test_shares_of_a_sum_are_those_of_its_variances():
    """Var(3 u) : Var(v) = 9 : 1 for uniform u and v, without interactions; of ranks, nearly so."""
    found = importance(*unit_square(1000, lambda p, rng: 3 * p["a"] + p["b"]))
    assert found.shares["a"] == pytest.approx(0.9, abs=0.04)
    assert found.shares["b"] == pytest.approx(0.1, abs=0.04)
    assert found.shares["c"] < 0.005


def test_an_exclusive_or_is_due_to_several_together():
    found = importance(*unit_square(600, lambda p, rng: float((p["a"] > 0.5) != (p["b"] > 0.5))))
    assert sum(found.shares.values()) < 0.3


def test_a_key_that_does_not_apply_takes_nothing_from_the_choice_it_hangs_on():
    rng = np.random.default_rng(0)
    points = [drawn(i, rng) for i in range(100)]
    objectives = [float(point["model"] == "rnn") + 0.01 * rng.normal() for point in points]
    trials = [Trial(i, "completed", *one) for i, one in enumerate(zip(points, objectives, strict=True))]
    found = record(trials).importance
    assert found.shares["model"] > 0.7
    assert found.shares["model.gates"] < 0.05


def test_importance_is_the_same_each_time_and_needs_trials():
    square = unit_square(50, lambda p, rng: p["a"])
    assert importance(*square) == importance(*square)
    places, objectives = square
    assert importance({key: found[:9] for key, found in places.items()}, objectives[:9]) is None
    assert importance({}, objectives) is None
