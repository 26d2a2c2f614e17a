"""Times of a series: how they may be written, and what is said of those that are none."""

import numpy as np
import polars
import pytest

from nnrun.datasets.series_times import is_time, times
from nnrun.datasets.table_values import Place
from nnrun.errors import RunError

PLACE = Place("t.csv", np.array([0, 3]))


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
    np.testing.assert_array_equal(times(column, PLACE), np.array(iso, "datetime64[us]"))


def test_times_that_a_parquet_knows_and_times_that_are_numbers():
    column = polars.Series("t", ["2024-03-01"]).str.to_date()
    assert is_time(column)
    assert times(column, PLACE).tolist() == times(column.cast(polars.Datetime("ms", "UTC")), PLACE).tolist()
    assert (
        times(polars.Series([0, 2]), PLACE).tolist() == times(polars.Series(["0", "2.0"]), PLACE).tolist() == [0.0, 2.0]
    )
    assert not is_time(polars.Series(["1", "2"]))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["soon"], "row 1, column t is 'soon', which is no time. Write for example 2024-03-01 13:30"),
        (["2024-03-01", "2024-02-30"], "row 4, column t is '2024-02-30', which is no time like the others."),
        (["2024-03-01", None], "row 4, column t has no time. Fill it in or take the row out."),
    ],
)
def test_what_is_no_time_is_said_with_its_row_and_column(texts, said):
    with pytest.raises(RunError) as caught:
        times(polars.Series("t", texts), PLACE)
    assert str(caught.value).startswith(f"t.csv, {said}")
