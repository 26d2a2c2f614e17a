"""Times of a series: how they may be written, and what is said of those that are none."""

import datetime

import numpy as np
import polars
import pytest

from nnrun.datasets.series.times import check_pattern, irregular, is_time, time_pattern, times
from nnrun.datasets.tables.values import Place
from nnrun.errors import ConfigError, NnrunError, RunError

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
        (["2024-10-27 02:00+02:00", "2024-10-27 02:00+01:00"], ["2024-10-27T00:00", "2024-10-27T01:00"]),
        (["2024-03-01T13:30:00-0330", "2024-03-01T18:30:00Z"], ["2024-03-01T17:00", "2024-03-01T18:30"]),
        (["2024-03-01 13:30:00.5+02", "2024-03-02 13:30:00 +00:00"], ["2024-03-01T11:30:00.5", "2024-03-02T13:30"]),
        (["01.03.2024 01:00 +01:00"], ["2024-03-01"]),
        (["2025-01-01T00", "2025-01-01T13"], ["2025-01-01", "2025-01-01T13:00"]),
        (["2025-01-01 09"], ["2025-01-01T09:00"]),
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
    zoned = polars.Series("t", ["2024-10-27T00:00", "2024-10-27T01:00"]).str.to_datetime().dt.replace_time_zone("UTC")
    local = zoned.dt.convert_time_zone("Europe/Berlin")
    assert times(local, PLACE).astype(str).tolist() == times(zoned, PLACE).astype(str).tolist()


def test_times_without_a_date_and_what_is_neither_are_refused_as_moments():
    for column in (polars.Series("t", [datetime.time(1)]), polars.Series("t", [True])):
        assert not is_time(column)
        with pytest.raises(RunError) as caught:
            times(column, PLACE)
        assert (
            str(caught.value) == f"t.csv, column t holds {column.dtype}, which are no dates. Name another dataset.time."
        )


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["soon"], "row 1, column t is 'soon', which is no time. Name another dataset.time, or state"),
        (["2024-03-01", "2024-02-30"], "row 4, column t is '2024-02-30', which is no time like the others."),
        (["2024-03-01 01:00Z", "2024-03-01 02:00"], "row 4, column t is '2024-03-01 02:00', which is no time like"),
        (["2024-03-01", None], "row 4, column t has no time. Fill it in or take the row out."),
    ],
)
def test_what_is_no_time_is_said_with_its_row_and_column(texts, said):
    with pytest.raises(NnrunError) as caught:
        times(polars.Series("t", texts), PLACE)
    assert str(caught.value).startswith(f"t.csv, {said}")


def column(found, pattern):
    """As a column of texts."""
    return polars.Series("t", found).cast(polars.Datetime("us")).dt.strftime(pattern)


def place(column):
    return Place("t.csv", np.arange(len(column)))


HOURS = np.datetime64("2020-01-01T00:00", "us") + np.timedelta64(1, "h") * np.arange(400)
MONTHS = (np.datetime64("2000-01") + np.arange(14)).astype("datetime64[D]")
DAYS = np.datetime64("2000-01-01") + np.arange(20)


@pytest.mark.parametrize("day", ["%d/%m/%Y", "%m/%d/%Y"])
@pytest.mark.parametrize(
    ("found", "hour"), [(HOURS, " %H:%M"), (MONTHS, " %H:%M"), (MONTHS, ""), (DAYS, ""), (DAYS[[0, 1, 15]], "")]
)
def test_all_rows_decide_whether_the_day_or_the_month_comes_first(day, found, hour):
    written = column(found, day + hour)
    assert time_pattern(written, place(written)) == day + hour
    np.testing.assert_array_equal(times(written, place(written)), found)


def test_dates_that_rise_as_evenly_either_way_must_be_stated():
    written = column(MONTHS[:12], "%d/%m/%Y")
    with pytest.raises(ConfigError) as caught:
        times(written, place(written))
    assert str(caught.value) == (
        "t.csv: the times of column t may begin with the day or with the month. State it, for example "
        "dataset.time_format=%d/%m/%Y."
    )
    for known, first in (("%d/%m/%Y", MONTHS[:12]), ("%m/%d/%Y", DAYS[:12])):
        np.testing.assert_array_equal(times(written, place(written), known), first)
    hourly = column(MONTHS[:12], "%d/%m/%Y %H:%M")
    with pytest.raises(ConfigError, match=r"for example 'dataset\.time_format=%d/%m/%Y %H:%M'\."):
        time_pattern(hourly, place(hourly))
    backwards = column(np.array(["2000-02-01", "2000-01-03"], "datetime64[D]"), "%d/%m/%Y")
    assert time_pattern(backwards, place(backwards)) == "%m/%d/%Y", "in no other way they rise"


@pytest.mark.parametrize("pattern", ["%d.%m.%y", "%b %Y", "%Y%m%d", "%d-%m-%Y %H:%M:%S"])
def test_a_stated_pattern_is_read_as_it_stands(pattern):
    written = column(MONTHS, pattern)
    check_pattern(written, place(written), pattern)
    assert is_time(written, pattern)
    np.testing.assert_array_equal(times(written, place(written), pattern), MONTHS)
    numbers = polars.Series("t", [20240301, 20240302])
    assert times(numbers, PLACE, "%Y%m%d").astype("datetime64[D]").astype(str).tolist() == ["2024-03-01", "2024-03-02"]


def test_a_stated_pattern_may_name_the_offset():
    written = polars.Series("t", ["1.3.24 01:00 +01:00", "1.3.24 02:00 +01:00"])
    for pattern in ("%d.%m.%y %H:%M %z", "%d.%m.%y %H:%M"):
        assert times(written, PLACE, pattern)[0] == np.datetime64("2024-03-01T00:00")


def test_what_is_not_as_stated_is_said_with_its_row():
    written = polars.Series("t", ["01/02/2000", "13/02/2000"])
    with pytest.raises(ConfigError) as caught:
        check_pattern(written, PLACE, "%m/%d/%Y")
    assert str(caught.value) == (
        "t.csv, row 4, column t is '13/02/2000', but dataset.time_format is %m/%d/%Y. Correct one of them; %d is a "
        "day, %m a month, %b its name, %Y a year, %H:%M:%S an hour, minute and second."
    )
    with pytest.raises(ConfigError, match=r"dataset\.time_format=%d/%m/%Y %I cannot be read: Invalid format string"):
        check_pattern(written, PLACE, "%d/%m/%Y %I")
    with pytest.raises(ConfigError, match="row 1, column t is '01/02/00', which is no time"):
        times(polars.Series("t", ["01/02/00"]), PLACE)


def steps(found):
    return irregular(np.asarray(found, "datetime64[us]"), Place("t.csv", np.arange(len(found))))


MONTH_ENDS = (np.datetime64("1990-02") + np.arange(240)).astype("datetime64[D]") - np.timedelta64(1, "D")
QUARTERS = MONTH_ENDS[2::3]
BUSINESS = np.array([day for day in np.datetime64("2024-01-01") + np.arange(300) if np.is_busday(day)])


@pytest.mark.parametrize(
    ("found", "unit"),
    [
        (MONTH_ENDS, "1 month"),
        (MONTH_ENDS + np.timedelta64(1, "D"), "1 month"),
        (QUARTERS, "3 months"),
        (MONTH_ENDS[11::12], "12 months"),
        (BUSINESS, "1 business day"),
    ],
)
def test_steps_of_the_calendar_are_equal_and_a_missing_one_is_told(found, unit):
    assert steps(found) is None
    longest = {"1 month": "2 months", "3 months": "6 months", "12 months": "24 months"}.get(unit, "2 business days")
    assert steps(np.delete(found, 8)) == (
        f"t.csv: 1 of {len(found) - 2} steps are not {unit} long, the first before row 9 ({found[9]}), the longest "
        f"{longest}; windows run across them."
    )


def test_days_with_a_weekend_among_them_are_no_business_days():
    days = np.datetime64("2024-01-01") + np.arange(60)
    assert "1 of 58 steps are not 1 day, 0:00:00 long" in steps(np.delete(days, 20))
    assert "are not 0:30:00 long" in steps(np.delete(HOURS[:20] - np.arange(20) * np.timedelta64(30, "m"), 3))
