"""What dataset=timeseries refuses, word for word."""

import numpy as np
import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnrun.errors import ConfigError, NnrunError, RunError
from tests.datasets.series import columns, make, write


@pytest.fixture
def series():
    return columns()


MISTAKES = [
    ({"target": "x"}, ConfigError, "has no column x, which dataset.target names."),
    ({"features": ["x"]}, ConfigError, "has no column x, which dataset.features names."),
    ({"drop": ["x"]}, ConfigError, "has no column x, which dataset.drop names."),
    ({"time": "x"}, ConfigError, "has no column x, which dataset.time names."),
    ({"target": "a", "drop": ["a"]}, ConfigError, "dataset.target=a is left out."),
    ({"drop": ["a", "b"]}, ConfigError, "no column is left to forecast."),
    ({"time": None}, ConfigError, "row 1, column day is '2024-01-01', but the column must hold numbers."),
    ({"time": None, "drop": ["day"], "anomalies": ["1/2"]}, ConfigError, "dataset.anomalies needs times"),
    ({"anomalies": ["2024-01-05"]}, ConfigError, "dataset.anomalies must be stretches START/END, but got 2024-01-05."),
    ({"anomalies": ["soon/later"]}, ConfigError, "of which soon is no time like those of the series."),
    ({"window": 60}, ConfigError, "gives parts of 42, 9, 9 rows (train, val, test), but each must hold a window of 60"),
    ({"period": 42}, ConfigError, "more than a period of 42"),
    ({"train_rows": [0, 9]}, ConfigError, "dataset.train_rows, dataset.val_rows, dataset.test_rows must all be given"),
    ({"train_rows": [9]}, ConfigError, "dataset.train_rows must be two rows, the first one and the end, but got [9]."),
    (
        {"train_rows": [0, 30], "val_rows": [29, 40], "test_rows": [40, 60]},
        ConfigError,
        "dataset.val_rows must start at row 30 or later, where dataset.train_rows ends.",
    ),
    (
        {"train_rows": [0, 30], "val_rows": [30, 40], "test_rows": [40, 61]},
        ConfigError,
        "dataset.test_rows ends at row 61, but",
    ),
    ({"relative_to": "season"}, ConfigError, "needs a dataset.period of at most dataset.window"),
    ({"transform": "log"}, RunError, "column b is -"),
]


@pytest.mark.parametrize(("values", "error", "said"), MISTAKES)
def test_mistakes_are_told_with_their_key(series, tmp_path, values, error, said):
    path = write(tmp_path, series)
    with pytest.raises(error) as caught:
        make(path, **{"window": 4, **values}).load()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("column", "row", "value", "said"),
    [
        ("a", 5, "x", "row 6, column a is 'x', but the column must hold numbers."),
        ("a", 5, "inf", "row 6, column a is inf, but numbers must be finite."),
        ("a", 5, "", "row 6, column a has no value."),
        (
            "day",
            5,
            "2024-01-05",
            "column day: 2024-01-05 is the time of rows 5 and 6, and 1 of 60 rows have the time of another. Where they",
        ),
        ("day", 5, "", "row 6, column day has no time. Fill it in or take the row out."),
    ],
)
def test_damaged_rows_are_told_with_row_and_column(series, tmp_path, column, row, value, said):
    texts = {name: np.array(values, "U24") for name, values in series.items()}
    texts[column][row] = value
    path = tmp_path / "s.csv"
    path.write_text("\n".join([",".join(texts), *(",".join(line) for line in zip(*texts.values(), strict=True))]))
    with pytest.raises(RunError) as caught:
        make(path, window=4).load()
    assert f"{path}, {said}" in str(caught.value)


class Empty:
    """What a data frame of pandas without rows shows of itself."""

    def __init__(self, types):
        self._types, self.columns = types, list(types)

    def __getitem__(self, name):
        return np.empty(0, self._types[name])


def test_a_file_for_prediction_that_does_not_fit(series, tmp_path):
    reader = make(write(tmp_path, series), window=5).load().reader
    few = write(tmp_path, {name: values[:4] for name, values in series.items()}, "few.csv")
    other = write(tmp_path, {"when": series["day"], "a": series["a"]}, "other.csv")
    with pytest.raises(ConfigError, match=r"few\.csv must have at least 5 rows, one window, but has 4\."):
        list(reader.blocks(few, 8))
    for none in (polars.DataFrame(series).head(0), np.zeros((0, 2)), Empty({"day": object, "a": object, "b": float})):
        with pytest.raises(ConfigError, match=r"The series must have at least 5 rows, one window, but has 0\."):
            reader.block(none)
    with pytest.raises(ConfigError) as caught:
        list(reader.blocks(other, 8))
    assert str(caught.value) == (
        f"{other} lacks columns b, day, which the network was trained on, and has column when, unknown to it. Add what "
        "is missing."
    )
    with pytest.raises(ConfigError, match=r"shape \(time, 2\), the columns a, b, but got \(9, 3\)"):
        reader.block(np.zeros((9, 3)))


CELL = st.one_of(
    st.floats(-1e6, 1e6).map(str), st.sampled_from(["", "x", "inf", "NA", "2024-01-01", "2024-01", "é", "-", "1e400"])
)
TABLE = st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), min_size=1, max_size=20))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(TABLE, st.booleans(), st.sampled_from(["none", "log"]))
def test_any_cells_are_a_series_or_an_error_of_ours(tmp_path, rows, filled, transform):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"
    path.write_text("\n".join([",".join("abc"[: len(rows[0])]), *(",".join(row) for row in rows)]), "utf-8")
    data, said = None, ""
    try:
        data = make(path, window=2, missing="previous" if filled else "refuse", transform=transform).load()
    except NnrunError as error:
        said = str(error)
    assert (data is None) == (str(path) in said)
    assert data is None or np.isfinite(data.train["inputs"]).all()
