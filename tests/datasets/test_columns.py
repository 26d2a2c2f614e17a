import numpy as np
import polars
import pytest

from nnrun.datasets.tables.values import Place, numbers
from nnrun.errors import RunError

PLACE = Place("t.csv", np.array([0, 3, 4, 5, 6, 7, 8]))


def test_numbers_and_what_stands_for_a_missing_one():
    found = numbers(polars.Series("a", ["1", " -2.5e1 ", "NA", None, "", "nan", "?"]), PLACE)
    np.testing.assert_array_equal(found, [1, -25, *[np.nan] * 5])
    np.testing.assert_array_equal(numbers(polars.Series([True, None]), PLACE), [1, np.nan])


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
        numbers(polars.Series("a", ["1", value]), PLACE)
    assert str(caught.value).startswith(f"t.csv, row 4, column a is {said}. Correct it, or leave it empty")
