"""What dataset=csv refuses, word for word."""

import datetime

import polars
import pytest

from nnrun.errors import ConfigError
from tests.datasets.tables import make, refusal, write

REFUSED = {
    "one row": ({"x": [1], "class": ["a"]}, {}, "t.csv has 1 row to use, but needs at least 6"),
    "few rows": ({"x": [1, 5], "class": ["a", "b"]}, {}, "t.csv has 2 rows to use, but needs at least 6"),
    "one class": (
        {"x": range(2, 22), "class": ["a"] * 20},
        {},
        "the target class is 'a' in every training row, so there is nothing to learn",
    ),
    "constant target": ({"x": range(2, 22), "class": [1.5] * 20}, {}, "the target class is the same in every row"),
    "empty target": ({"x": range(2, 22), "class": [""] * 20}, {}, "the target class is empty in every row"),
    "missing targets": (
        {"x": range(2, 22), "class": ["a", "b"] * 9 + ["", "b"]},
        {},
        "the target class is missing in 1 of 20 rows, first in row 19. Write in what it was, or leave these rows out: "
        "dataset.without_target=drop.",
    ),
    "constant column": (
        {"x": [3] * 20, "class": ["a", "b"] * 10},
        {},
        "t.csv has no column that tells anything: x is constant in the training part. Name a richer table.",
    ),
    "infinity": (
        {"x": [*range(2, 21), "inf"], "class": ["a", "b"] * 10},
        {},
        "t.csv, row 20, column x is inf, but numbers must be finite. Correct it, or leave it empty where it is",
    ),
    "mixed types": (
        {"x": [*range(2, 19), "5 kg", 1], "class": ["a", "b"] * 9 + ["a"]},
        {},
        "t.csv: column x mixes numbers and texts: row 18 is '5 kg'. Correct it; or say that it means a missing value, "
        "'dataset.missing={x: [\"5 kg\"]}'; or take all values as texts, 'dataset.types={x: categorical}'; or leave it "
        "out, dataset.drop=[x].",
    ),
    "text": (
        {"full name": [f"name {i}" for i in range(30)], "class": ["a", "b"] * 15},
        {},
        "t.csv: column full name holds text, 30 different values in 30 rows (row 1: 'name 0'), too many for a "
        "category. Leave it out, dataset.drop=[full name], or state that it is one, "
        "'dataset.types={full name: embedding}'.",
    ),
    "huge cardinality": (
        {"x": [f"n{i}" for i in range(1500)], "class": ["a", "b"] * 750},
        {"types": {"x": "one_hot"}},
        "t.csv: column x has more than 1,000 categories. Leave it out, dataset.drop=[x], or learn an embedding, "
        "'dataset.types={x: embedding}'.",
    ),
    "too many classes": (
        {"x": range(2, 32), "class": [f"c{i}" for i in range(30)]},
        {},
        "the target class has 30 different texts in 30 rows, too many for classes",
    ),
    "days or months": (
        {"d": ["01/02/2024", "03/04/2024"] * 10, "class": ["a", "b"] * 10},
        {},
        "the dates of column d may begin with the day or with the month. State it, for example "
        "'dataset.types={d: %m/%d/%Y}'.",
    ),
    "unknown column": (
        {"x": range(2, 22), "class": ["a", "b"] * 10},
        {"drop": ["y"]},
        "dataset.drop names the column y, which t.csv does not have. Choose from: class, x.",
    ),
    "position 0": (
        {"x": range(2, 22), "class": ["a", "b"] * 10},
        {"target": 0},
        "dataset.target=0 is no column of t.csv, which has 2: they count from 1, or from -1 at the end.",
    ),
    "target among the features": (
        {"x": range(2, 22), "class": ["a", "b"] * 10},
        {"features": ["x", "class"]},
        "dataset.features and dataset.target both name class. Leave it out of one of them.",
    ),
    "two ways to split": (
        {"x": range(2, 22), "y": range(2, 22), "class": ["a", "b"] * 10},
        {"group": "x", "time": "y"},
        "dataset.group and dataset.time are different ways to split. Leave one of them null.",
    ),
    "unknown type": (
        {"x": range(2, 22), "class": ["a", "b"] * 10},
        {"types": {"x": "number"}},
        "dataset.types has x: number, but a type is one of numeric, categorical, one_hot, embedding, date, or how "
        "dates are written, such as %d.%m.%Y.",
    ),
    "few groups": (
        {"x": range(2, 22), "g": [1, 2] * 10, "class": ["a", "b"] * 10},
        {"group": "g"},
        "dataset.group has 2 different groups, but 3 parts need one each",
    ),
    "few times": (
        {"x": range(2, 22), "t": [1, 2] * 10, "class": ["a", "b"] * 10},
        {"time": "t"},
        "dataset.time has 2 different times in 20 rows, too few to cut the table between two of them",
    ),
    "one time": (
        {"x": range(2, 22), "t": [1] * 20, "class": ["a", "b"] * 10},
        {"time": "t"},
        "dataset.time has 1 different times in 20 rows, too few to cut the table between two of them",
    ),
    "time of texts": (
        {"x": range(2, 22), "t": ["early", "late"] * 10, "class": ["a", "b"] * 10},
        {"time": "t"},
        "dataset.time names column t, which holds neither dates nor numbers: row 1 is 'early'.",
    ),
    "group missing": (
        {"x": range(2, 22), "g": [*range(19), ""], "class": ["a", "b"] * 10},
        {"group": "g"},
        "t.csv, row 20, column g is None, but every row must have one. Fill it in.",
    ),
    "wrong date": (
        {"x": range(2, 22), "d": ["2024-01-01", "2024-01-32"] * 10, "class": ["a", "b"] * 10},
        {"types": {"d": "%Y-%m-%d"}},
        "column d is '2024-01-32', but its dates are written as %Y-%m-%d. Correct it.",
    ),
    "decimal commas": (
        {"x": [f'"{i},5"' for i in range(30)], "class": ["a", "b"] * 15},
        {},
        "t.csv: column x holds numbers with a comma before the decimals, in row 1 '0,5', which are read as texts. Set "
        "'dataset.decimal=\",\"'.",
    ),
    "decimal commas of the target": (
        {"x": range(2, 32), "class": [f'"{i},25"' for i in range(30)]},
        {},
        "column class holds numbers with a comma before the decimals, in row 1 '0,25', which are read as texts. Set "
        "'dataset.decimal=\",\"'.",
    ),
    "decimal commas in two values": (
        {"x": ['"0,5"', '"1,5"'] * 15, "class": ["a", "b"] * 15},
        {},
        "'dataset.decimal=\",\"'. Where they are names of categories: 'dataset.types={x: categorical}'.",
    ),
    "decimal commas in two values of the target": (
        {"x": range(2, 32), "class": ['"0,5"', '"1,5"'] * 15},
        {},
        "column class holds numbers with a comma before the decimals, in row 1 '0,5', which are read as texts.",
    ),
    "whole numbers beside decimal commas": (
        {"x": [*range(20), *[f'"{i},5"' for i in range(10)]], "class": ["a", "b"] * 15},
        {},
        "column x holds numbers with a comma before the decimals, in row 21 '0,5'",
    ),
    "thousands": (
        {"x": [f'"{941 + i},715"' for i in range(30)], "class": ["a", "b"] * 15},
        {},
        "column x holds numbers with commas between the thousands, in row 1 '941,715', which are read as texts. Take "
        "the commas out of the file, or, where they stand before the decimals, set 'dataset.decimal=\",\"'.",
    ),
    "points between the thousands": (
        {"x": ['"0,5"', "371", "5.354", '"2,25"', "1.234.567"] * 6, "class": ["a", "b"] * 15},
        {"decimal": ","},
        "t.csv: column x holds numbers with points between the thousands, in row 3 '5.354', which are read as texts. "
        "Take the points out of the file, or, where they stand before the decimals, set dataset.decimal=. or write "
        "commas. Where they are names of categories: 'dataset.types={x: categorical}'.",
    ),
    "points between the thousands of the target": (
        {"x": [f'"{i},5"' for i in range(30)], "class": [f"{i + 3}.{i + 354}" for i in range(30)]},
        {"decimal": ","},
        "column class holds numbers with points between the thousands, in row 1 '3.354', which are read as texts.",
    ),
    "points between the thousands of numbers": (
        {"x": [f'"{i}.354,5"' for i in range(1, 31)], "class": ["a", "b"] * 15},
        {"decimal": ",", "types": {"x": "numeric"}},
        "column x holds numbers with points between the thousands, in row 1 '1.354,5'",
    ),
    "per cent": (
        {"x": [f"{i / 7:.2f}%" for i in range(30)], "class": ["a", "b"] * 15},
        {},
        "column x holds numbers with a per cent sign, in row 1 '0.00%', which are read as texts. Take the signs out of "
        "the file.",
    ),
    "an impossible date": (
        {
            "x": range(2, 32),
            "d": [f"{2 + i}.02.2020" if i != 4 else "31.02.2020" for i in range(20)]
            + [f"{1 + i}.03.2020" for i in range(10)],
            "class": ["a", "b"] * 15,
        },
        {},
        "t.csv: column d holds dates, but row 5 is '31.02.2020'. Correct it; or say that it means a missing value, "
        "'dataset.missing={d: [\"31.02.2020\"]}'; or take all values as texts, 'dataset.types={d: categorical}'; or "
        "leave it out, dataset.drop=[d].",
    ),
    "an impossible date where dates are stated": (
        {
            "x": range(2, 22),
            "d": [f"2020-02-{30 if i == 0 else i + 1:02}" for i in range(20)],
            "class": ["a", "b"] * 10,
        },
        {"types": {"d": "date"}},
        "t.csv: column d holds dates, but row 1 is '2020-02-30'",
    ),
    "a target that is dropped": (
        {"x": range(2, 22), "class": ["a", "b"] * 10},
        {"drop": ["class"]},
        "dataset.drop and dataset.target both name class. Leave it out of one of them.",
    ),
    "a feature that is dropped": (
        {"x": range(2, 22), "y": range(2, 22), "class": ["a", "b"] * 10},
        {"features": ["x", "y"], "drop": [2]},
        "dataset.drop and dataset.features both name y. Leave it out of one of them.",
    ),
    "another separator": (
        {"x^class": ["1^a", "2^b"] * 10},
        {},
        "dataset.target names the column class, which t.csv does not have. Its only column is x^class. Where that is "
        "several names, set the mark between them, dataset.separator, to one of comma, semicolon, tab, pipe, space, "
        "or write the file with one of these.",
    ),
    "duplicate names": (
        {"x": range(2, 22), " x": range(2, 22), "class": ["a", "b"] * 10},
        {},
        "t.csv has two columns named x: columns 1 and 2. Rename one.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_rule_value_and_next_move(name, tmp_path):
    content, values, text = REFUSED[name]
    assert text in refusal(write(tmp_path / "t.csv", content), **values)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("x", "0.621q", "column x mixes numbers and texts: row 8 is '0.621q'."),
        ("x", '"0,6"', "column x holds numbers with a comma before the decimals, in row 8 '0,6', which are read as"),
        ("x", "1e39", ", row 8, column x is 1e+39, but numbers must be finite."),
        ("d", "2020-02-31", "column d holds dates, but row 8 is '2020-02-31'."),
        ("class", "", "the target class is missing in 1 of 12 rows, first in row 8. Write in what it was"),
    ],
)
@pytest.mark.parametrize("part", ["val", "test"])
def test_the_file_that_has_the_fault_is_named(part, column, value, text, tmp_path):
    def columns(rows):
        dates = [f"2020-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(rows)]
        return {"x": [i / 7 for i in range(rows)], "d": dates, "class": ["a", "b"] * (rows // 2)}

    train, other = write(tmp_path / "tr.csv", columns(40)), columns(12)
    other[column][7] = value
    write(tmp_path / "te.csv", other)
    said = refusal(tmp_path / "te.csv", path=None, train=str(train), **{part: str(tmp_path / "te.csv")})
    assert said.startswith("t.csv")
    assert text in said


def test_a_column_of_lists_is_named_with_its_file(tmp_path):
    table = {"x": range(2, 22), "l": [[1.0, 2.0]] * 20, "class": ["a", "b"] * 10}
    polars.DataFrame(table).write_parquet(tmp_path / "t.parquet")
    assert refusal(tmp_path / "t.parquet") == (
        "t.csv: column l holds List(Float64), which no field of a table is. Leave it out: dataset.drop=[l]."
    )


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("train", "val"), ("val", "test"), ("path", "test")])
def test_no_file_may_be_two_parts(first, second, tmp_path):
    columns = {"x": range(2, 22), "class": ["a", "b"] * 10}
    table, link = write(tmp_path / "t.csv", columns), tmp_path / "link.csv"
    link.symlink_to(table)
    given = {"path": None, "train": str(write(tmp_path / "other.csv", columns))} if first == "val" else {"path": None}
    for name in (table, link):
        said = refusal(name, **given | {first: str(table), second: str(name)})
        assert said == (
            f"dataset.{first} and dataset.{second} are both t.csv, but no row may be in two parts. Name another file "
            f"for dataset.{second}, or leave it out: then a share of the rows becomes that part, "
            f"dataset.{second}_fraction."
        )


@pytest.mark.parametrize("value", [datetime.time(12, 30), datetime.timedelta(seconds=90)])
def test_a_column_of_times_without_a_date_is_named_with_its_file(value, tmp_path):
    table = polars.DataFrame({"x": range(2, 22), "took": [value] * 20, "class": ["a", "b"] * 10})
    table.write_parquet(tmp_path / "t.parquet")
    fault = f"olumn took holds {table['took'].dtype}, which is neither a number nor a date. Write it in seconds, or"
    assert refusal(tmp_path / "t.parquet") == f"t.csv: c{fault} leave it out: dataset.drop=[took]."
    for took in ([f"2024-01-{1 + i}" for i in range(20)], range(3, 23), ["a", "b"] * 10):
        table.with_columns(took=polars.Series(list(took))).write_parquet(tmp_path / "u.parquet")
        reader = make(tmp_path / "u.parquet").load().reader
        with pytest.raises(ConfigError) as caught:
            reader.block(table)
        assert str(caught.value) == f"C{fault} leave it out."


def test_files_that_are_not_there_or_empty_or_named_twice(tmp_path):
    assert refusal(tmp_path / "t.csv") == "t.csv cannot be opened: No such file or directory. Check dataset.path."
    for key in ("val", "test"):
        found = write(tmp_path / "found.csv", {"x": range(2, 22), "class": ["a", "b"] * 10})
        said = refusal(found, path=None, train=str(found), **{key: "none.csv"})
        assert said == f"none.csv cannot be opened: No such file or directory. Check dataset.{key}."
    (tmp_path / "t.csv").touch()
    assert refusal(tmp_path / "t.csv").startswith("t.csv is empty.")
    for values in ({"path": None}, {"train": "u.csv"}):
        assert "dataset=csv reads dataset.path, or dataset.train" in refusal(tmp_path / "t.csv", **values)
