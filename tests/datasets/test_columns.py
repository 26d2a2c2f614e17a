import datetime

import numpy as np
import polars
import pytest

from nnrun.datasets.columns import is_time, numbers, times
from nnrun.errors import RunError


def test_numbers_and_what_stands_for_a_missing_one():
    found = numbers(polars.Series("a", ["1", " -2.5e1 ", "NA", None, "", "nan", "?"]), "t.csv")
    np.testing.assert_array_equal(found, [1, -25, *[np.nan] * 5])
    np.testing.assert_array_equal(numbers(polars.Series([True, None]), "t.csv"), [1, np.nan])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("x", "'x', but the column must hold numbers"),
        ("1,5", "'1,5', but the column must hold numbers"),
        ("-inf", "-inf, but numbers must be finite"),
    ],
)
def test_what_is_no_number_is_said_with_its_row_and_column(value, said):
    with pytest.raises(RunError) as caught:
        numbers(polars.Series("a", ["1", value]), "t.csv")
    assert str(caught.value).startswith(f"t.csv, row 2, column a is {said}. Correct it, or leave it empty")


@pytest.mark.parametrize(
    ("texts", "iso"),
    [
        (["1949-01", "1949-12"], ["1949-01-01", "1949-12-01"]),
        (["2024-03-01", "2024-03-02"], ["2024-03-01", "2024-03-02"]),
        (["2024-03-01 13:30", "2024-03-01 13:45"], ["2024-03-01T13:30", "2024-03-01T13:45"]),
        (["2024-03-01T13:30:01.5Z"], ["2024-03-01T13:30:01.5"]),
        (["31.12.2023", " 1.1.2024"], ["2023-12-31", "2024-01-01"]),
        (["12/31/2023", "1/2/2024"], ["2023-12-31", "2024-01-02"]),
        (["31/12/2023", "1/2/2024"], ["2023-12-31", "2024-02-01"]),
        (["2024/03/01 00:00:00"], ["2024-03-01"]),
    ],
)
def test_times_as_people_write_them(texts, iso):
    column = polars.Series("t", texts)
    assert is_time(column)
    np.testing.assert_array_equal(times(column, "t.csv"), np.array(iso, "datetime64[us]"))


def test_times_that_a_parquet_knows_and_times_that_are_numbers():
    column = polars.Series("t", ["2024-03-01"]).str.to_date()
    assert is_time(column)
    assert times(column, "t").tolist() == times(column.cast(polars.Datetime("ms", "UTC")), "t").tolist()
    assert times(polars.Series([0, 2]), "t").tolist() == times(polars.Series(["0", "2.0"]), "t").tolist() == [0.0, 2.0]
    assert not is_time(polars.Series(["1", "2"]))


def test_times_without_a_date_and_what_is_neither_are_refused_as_moments():
    for column in (polars.Series("t", [datetime.time(1)]), polars.Series("t", [True])):
        assert not is_time(column)
        with pytest.raises(RunError) as caught:
            times(column, "t.parquet")
        assert str(caught.value) == (
            f"t.parquet, column t holds {column.dtype}, which are no dates. Name another dataset.time."
        )


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["soon"], "row 1, column t is 'soon', which is no time. Write for example 2024-03-01 13:30"),
        (["2024-03-01", "2024-02-30"], "row 2, column t is '2024-02-30', which is no time like the others."),
        (["2024-03-01", None], "row 2, column t is missing, which is no time like the others."),
    ],
)
def test_what_is_no_time_is_said_with_its_row_and_column(texts, said):
    with pytest.raises(RunError) as caught:
        times(polars.Series("t", texts), "t.csv")
    assert said in str(caught.value)
