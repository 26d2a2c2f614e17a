"""Labelled stretches of a series: which rows they mark, where they may not lie, and how they are left out."""

import numpy as np
import pytest

from nnrun.datasets.series.stretches import clear, inside
from nnrun.errors import ConfigError
from nnrun.tasks.forecasting import Forecasting, ForecastingConfig
from tests.datasets.series import columns, make, write

HOURS = np.datetime64("2024-03-01", "us") + np.arange(72) * np.timedelta64(1, "h")


@pytest.fixture
def path(tmp_path):
    """60 days from 2024-01-01 on: 42 to train, 9 for validation, 9 for the test."""
    return write(tmp_path, columns())


@pytest.mark.parametrize(
    ("stretch", "marked"),
    [
        ("2024-03-01 05:00/2024-03-01 07:00", range(5, 8)),
        ("2024-03-01 05:30/2024-03-01 06:59", [6]),
        ("2024-03-02/2024-03-02", range(24, 48)),
        ("2024-03-02/2024-03", range(24, 72)),
        ("2024-03-02T10/2024-03-02T11", [34, 35]),
        ("2024-03-01T05:00Z/2024-03-01T09:00+02:00", [5, 6, 7]),
    ],
)
def test_an_end_is_as_long_as_it_is_written(stretch, marked):
    assert np.flatnonzero(inside(HOURS, (stretch,))).tolist() == list(marked)


def test_times_that_are_numbers_are_compared_as_they_are():
    assert np.flatnonzero(inside(np.arange(6) / 2, ("0.5/1.5", "2.5/9"))).tolist() == [1, 2, 3, 5]


@pytest.mark.parametrize("starts", [np.arange(6), np.array([0, 3])])
def test_stretches_of_rows_without_a_mark_are_found(starts):
    marked = np.array([0, 0, 1, 0, 0, 0, 0, 1])
    expected = [not marked[start : start + 3].any() for start in starts]
    assert clear(marked, starts, 3).tolist() == expected


@pytest.mark.parametrize(
    ("stretches", "text"),
    [
        (
            ["2024-02-20/2024-02-22", "2023-01-05/2023-01-09"],
            "dataset.anomalies has 2023-01-05/2023-01-09, but {path} has no row in it: it goes from 2024-01-01 to "
            "2024-02-29. Correct the stretch, or leave it out.",
        ),
        (
            ["2024-02-22/2024-02-20"],
            "dataset.anomalies has 2024-02-22/2024-02-20, which ends before it starts. Turn the two around.",
        ),
    ],
)
def test_stretches_without_a_row_are_refused(stretches, text, path):
    with pytest.raises(ConfigError) as caught:
        make(path, window=4, horizon=0, anomalies=stretches).load()
    assert str(caught.value) == text.format(path=path)


def test_labelled_rows_of_training_and_validation_are_counted(path):
    keys = {"window": 4, "horizon": 0}
    plain = make(path, **keys).load()
    data = make(path, **keys, anomalies=["2024-01-10/2024-01-12", "2024-02-12/2024-02-13"]).load()
    np.testing.assert_array_equal(data.train["inputs"], plain.train["inputs"])
    assert data.notes == (
        "dataset.anomalies marks 3 of 42 training rows and 2 of 9 validation rows: the network and its threshold take "
        "them for usual. To leave out the windows that see or forecast one, set dataset.train_anomalies=drop.",
    )
    assert make(path, **keys, anomalies=["2024-02-21/2024-02-29"]).load().notes == plain.notes == ()


@pytest.mark.parametrize("horizon", [0, 2])
def test_windows_with_labelled_rows_may_be_left_out(horizon, path):
    keys = {"window": 4, "horizon": horizon, "period": 7}
    plain = make(path, **keys).load()
    stretches = ["2024-01-10/2024-01-12", "2024-02-12/2024-02-13", "2024-02-25/2024-02-26"]
    data = make(path, **keys, anomalies=stretches, train_anomalies="drop").load()
    marked = inside(np.datetime64("2024-01-01", "us") + np.arange(60) * np.timedelta64(1, "D"), stretches)
    back = 4 - (horizon == 0)
    for part, first in (("train", 0), ("val", 42 - back)):
        whole = getattr(plain, part)["inputs"]
        kept = [i for i in range(len(whole)) if not marked[first + i : first + i + 4 + horizon].any()]
        assert 2 <= len(kept) < len(whole)
        np.testing.assert_array_equal(getattr(data, part)["inputs"], whole[kept])
        assert not getattr(data, part)["anomaly"].any()
    np.testing.assert_array_equal(data.test["inputs"], plain.test["inputs"])
    # Test windows go on to 2 days before the end where they forecast.
    assert data.test["anomaly"].sum() == 2
    values = np.stack([columns()[name] for name in "ab"], 1)[:42][marked[:42] == 0]
    np.testing.assert_allclose(data.input_scaling.offset, values.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(data.series.naive_error, plain.series.naive_error)
    assert data.notes == (
        "dataset.anomalies marks 3 of 42 training rows and 2 of 9 validation rows: windows that see or forecast one "
        "are left out.",
    )
    if horizon == 0:
        assert [len(places) for places in data.places] == [len(data.train["inputs"]), len(data.test["inputs"])]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "dataset.train_anomalies=drop needs dataset.anomalies, the stretches that are left out."),
        (
            {"anomalies": ["2024-02-12/2024-02-20"]},
            "dataset.train_anomalies=drop leaves 0 of 9 validation windows, but at least 2 are needed. Set a smaller "
            "dataset.window, or other parts of the series.",
        ),
    ],
)
def test_too_little_to_leave_out_or_too_much(keys, text, path):
    with pytest.raises(ConfigError) as caught:
        make(path, window=4, horizon=0, train_anomalies="drop", **keys).load()
    assert str(caught.value) == text


def test_a_forecast_says_that_labels_play_no_part(path):
    for stretches, notes in ((["2024-02-25/2024-02-26"], 1), ([], 0)):
        data = make(path, window=4, anomalies=stretches).load()
        said = Forecasting(ForecastingConfig(), data.spec).remarks({}, {}, data)
        assert sum("whatever dataset.anomalies marks" in one for one in said) == notes
