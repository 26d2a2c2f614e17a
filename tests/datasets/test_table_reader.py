"""Rows of a new file are read as those of the training table were, from preprocessing.json alone."""

import numpy as np
import polars
import pytest

from nnrun.datasets.csv import Csv
from nnrun.datasets.reader import Block
from nnrun.datasets.tables import source
from nnrun.datasets.tables.category import Category
from nnrun.datasets.tables.values import Cells, Place
from nnrun.errors import ConfigError, RunError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing
from nnrun.schema import build, config_class

ROWS = 80


def frame(rows=ROWS):
    rng = np.random.default_rng(0)
    return polars.DataFrame(
        {
            "size": [None if i % 9 == 0 else float(v) for i, v in enumerate(rng.normal(5, 2, rows).round(3))],
            "kind": [None if i % 11 == 0 else ("small", "large", "round")[i % 3] for i in range(rows)],
            "sold": [f"2024-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:30" for i in range(rows)],
            "class": [("no", "yes")[i % 2] for i in range(rows)],
        }
    )


def make(path, **values):
    schema = config_class("nnrun.datasets.csv.Csv")
    return Csv(build("dataset", {"path": str(path), "target": "class", **values}, schema))


@pytest.fixture
def table(tmp_path):
    frame().write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def saved(data, folder):
    """The reader as it comes back from the folder of a run."""
    Preprocessing.of(data).save(folder)
    return preprocessing.read(folder).reader


def joined(blocks):
    found = list(blocks)
    parts = {name: np.concatenate([block.part[name] for block in found]) for name in found[0].part}
    return Block(parts, {"row": np.concatenate([block.labels["row"] for block in found])})


@pytest.mark.parametrize("categorical", ["one_hot", "embedding"])
def test_a_saved_reader_gives_the_rows_that_were_trained_on(categorical, table, tmp_path):
    data = make(table, categorical=categorical).load()
    found = joined(saved(data, tmp_path).blocks(table, 7))
    assert found.labels["row"].tolist() == list(range(1, ROWS + 1))
    rows = data.labels["row"] - 1
    assert set(found.part) == set(data.test)
    for name, values in data.test.items():
        np.testing.assert_array_equal(found.part[name][rows], values)
        assert found.part[name].dtype == values.dtype


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_of_any_size_are_the_same_rows(size, table, tmp_path):
    reader = make(table).load().reader
    blocks = list(reader.blocks(table, size))
    assert max(len(block.part["inputs"]) for block in blocks) <= size
    np.testing.assert_array_equal(joined(blocks).part["inputs"], reader.block(frame()).part["inputs"])


def test_frames_dicts_and_arrays_are_read_alike(table):
    reader = make(table).load().reader
    inputs = frame().drop("class")
    wanted = reader.block(inputs).part["inputs"]
    for values in (inputs.to_dict(as_series=False), np.array(inputs.rows(), dtype=object), Framed(inputs)):
        np.testing.assert_array_equal(reader.block(values).part["inputs"], wanted)
    with pytest.raises(ConfigError) as caught:
        reader.block(np.zeros((3, 2)))
    assert str(caught.value) == (
        "An array must have the 3 columns size, kind, sold in this order, but got the shape (3, 2). Give a data frame "
        "with these columns instead."
    )


def test_an_array_has_the_inputs_in_the_order_of_the_file_without_the_columns_that_are_none(tmp_path):
    table = frame().select("kind", "class", polars.int_range(1, ROWS + 1).alias("id"), "sold", "size")
    table.write_csv(tmp_path / "t.csv")
    reader = make(tmp_path / "t.csv", features=["size", "kind", "sold"]).load().reader
    wanted = reader.block(table).part["inputs"]
    rows = np.array(table.select("kind", "sold", "size").rows(), dtype=object)
    np.testing.assert_array_equal(reader.block(rows).part["inputs"], wanted)


class Framed:
    """As much of a pandas data frame as is asked for."""

    def __init__(self, values):
        self.columns, self._values = values.columns, values

    def __getitem__(self, name):
        return np.array(self._values[name].to_list(), dtype=object)


def test_a_category_never_seen_is_all_zeros_or_the_number_0(table):
    new = frame(4).with_columns(kind=polars.Series(["huge", "small", "", None]))
    data = make(table).load()
    kinds = [i for i, name in enumerate(data.input_names) if name.startswith("kind")]
    assert data.reader.block(new).part["inputs"][:, kinds].tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 1],
    ]
    reader = make(table, categorical="embedding").load().reader
    assert reader.cardinalities == (5,)
    assert reader.block(new).part["categories"].tolist() == [[0], [3], [4], [4]]


@pytest.mark.parametrize("large", [False, True])
def test_an_empty_row_gets_the_training_mean_and_later_rows_keep_their_numbers(large, tmp_path, monkeypatch):
    table, new = tmp_path / "t.csv", tmp_path / "new.csv"
    polars.DataFrame({"x": [i / 7 for i in range(40)], "class": ["a", "b"] * 20}).write_csv(table)
    data = make(table).load()
    mean = data.train["inputs"].mean()
    monkeypatch.setattr(source, "LARGE", 5 if large else 2**26)
    for content in ("x\n1.0\n\n3.0\n\n5.0\n\n\n", "x,y\n1.0,\n,\n3.0,\n,\n5.0,\n"):
        new.write_text(content)
        found = joined(data.reader.blocks(new, 2))
        assert found.labels["row"].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(found.part["inputs"][:, 0], [1, mean, 3, mean, 5], rtol=1e-6)
    new.write_text("x,y\n1.0,\n\n,\nten,\n")
    with pytest.raises(RunError, match=r"new\.csv, row 4, column x is 'ten'"):
        list(data.reader.blocks(new, 2))


def test_missing_columns_are_named_beside_the_unknown_ones(table, tmp_path):
    reader = make(table).load().reader
    other = tmp_path / "other.csv"
    frame().rename({"size": "Size"}).drop("kind").write_csv(other)
    with pytest.raises(ConfigError) as caught:
        list(reader.blocks(other, 10))
    assert str(caught.value) == (
        f"{other} lacks columns size, kind, which the network was trained on, and has column Size, unknown to it. Add "
        "what is missing; fields of it may be empty."
    )


def test_more_columns_in_another_order_do_not_matter_and_are_named(table, tmp_path):
    reader = make(table).load().reader
    other = tmp_path / "other.csv"
    frame().select("kind", polars.lit(1).alias("extra"), "sold", "size", "class").write_csv(other)
    assert reader.unknown(other) == ("extra",)
    np.testing.assert_array_equal(
        joined(reader.blocks(other, 10)).part["inputs"], joined(reader.blocks(table, 10)).part["inputs"]
    )


def test_targets_come_only_where_every_row_has_one(table, tmp_path):
    reader, other = make(table).load().reader, tmp_path / "other.csv"
    assert all("targets" in block.part for block in reader.blocks(table, 10))
    frame().drop("class").write_csv(other)
    assert not any("targets" in block.part for block in reader.blocks(other, 10))
    frame().with_columns(polars.when(polars.int_range(ROWS) < ROWS - 1).then("class")).write_csv(other)
    assert not any("targets" in block.part for block in reader.blocks(other, 10))
    frame().with_columns(polars.lit("maybe").alias("class")).write_csv(other)
    with pytest.raises(RunError) as caught:
        list(reader.blocks(other, 10))
    assert str(caught.value) == f"{other}, row 1, column class is 'maybe', but the classes are: no, yes."


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("size", "big", "row 3, column size is 'big', but the column must hold numbers. Correct it, or leave"),
        ("size", "1e39", "row 3, column size is 1e+39, but numbers must be finite. Correct it, or leave it empty"),
        ("sold", "tomorrow", "row 3, column sold is 'tomorrow', but its dates are written as %Y-%m-%d %H:%M."),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_row(column, value, text, table, tmp_path):
    reader, other = make(table).load().reader, tmp_path / "other.csv"
    changed = polars.when(polars.int_range(ROWS) == 2).then(polars.lit(value)).otherwise(polars.col(column))
    frame().with_columns(polars.col(column).cast(polars.String)).with_columns(changed.alias(column)).write_csv(other)
    with pytest.raises(RunError) as caught:
        list(reader.blocks(other, 2))
    assert str(caught.value).startswith(f"{other}, {text}")


def test_values_missing_in_training_or_not_are_filled(table):
    reader = make(table, features=["size", "sold"]).load().reader
    (size,), (sold,) = reader.numeric, reader.dates
    new = polars.DataFrame({"size": ["", "n/a"], "sold": [None, "2024-03-01 10:00"]})
    inputs = dict(zip(reader.input_names, reader.block(new).part["inputs"].T, strict=True))
    assert inputs["size"].tolist() == [np.float32(size.fill)] * 2
    assert inputs["size_missing"].tolist() == [1, 1]
    assert not sold.indicator
    assert inputs["sold_years"][0] == 0


def test_a_file_without_a_header_may_lack_the_target(tmp_path):
    rows = [f"{i / 7:.3f},{'ab'[i % 2]},{i % 5}" for i in range(3, 53)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(rows))
    reader = saved(make(table, target=2, header=False).load(), tmp_path)
    wanted = joined(reader.blocks(table, 100))
    assert "targets" in wanted.part
    table.write_text("\n".join(",".join(row.split(",")[::2]) for row in rows))
    found = joined(reader.blocks(table, 100))
    assert "targets" not in found.part
    np.testing.assert_array_equal(found.part["inputs"], wanted.part["inputs"])
    table.write_text("1\n2\n")
    with pytest.raises(ConfigError, match="lacks column column_3, which the network was trained on"):
        list(reader.blocks(table, 100))


def test_the_reader_needs_no_file_of_the_training(table, tmp_path):
    reader = saved(make(table).load(), tmp_path)
    rows = frame(5)
    table.unlink()
    assert reader.block(rows).part["inputs"].shape == (5, len(reader.input_names))


@pytest.mark.parametrize("written", [["True", "False"], ["true", "false"], ["TRUE", "FALSE"], [True, False]])
@pytest.mark.parametrize("categorical", ["one_hot", "embedding"])
def test_true_and_false_are_the_same_however_they_are_written(written, categorical, tmp_path):
    trained = {"x": [i / 7 for i in range(40)], "flag": written * 20, "class": [*written, *written[::-1]] * 10}
    path = tmp_path / "t.parquet"
    polars.DataFrame(trained).write_parquet(path)
    reader = saved(make(path, categorical=categorical).load(), tmp_path)
    for new in (["True", "False"], ["true", "false"], ["fALSE", "tRUE"][::-1], [True, False]):
        found = reader.block(polars.DataFrame({"x": [1.0, 2.0], "flag": new, "class": new})).part
        wanted = reader.block(polars.DataFrame({"x": [1.0, 2.0], "flag": written, "class": written})).part
        assert all((found[name] == values).all() for name, values in wanted.items())
        assert found["targets"].tolist() == [1, 0]
        assert (found.get("categories", found["inputs"][:, 1:]) > 0).any(1).all()


def test_a_spelling_of_two_known_categories_is_neither(tmp_path):
    known = Category("flag", (), ("True", "true", "x"), False, True)
    assert numbers(known, ["true", "True", "TRUE", "X", "x", None]) == [2, 1, 0, 0, 3, 0]
    assert numbers(Category("flag", (), ("True", "true"), False, True), ["TRUE"]) == [0]


def numbers(embedded, values):
    (found,) = embedded.encode(Cells(polars.Series(values), Place("made up", np.arange(len(values)))))
    return found.tolist()


def test_a_whole_number_is_the_same_category_and_class_with_a_point_behind_it(tmp_path):
    trained = {"x": [i / 7 for i in range(40)], "code": ["1", "2", "007", "-3"] * 10, "class": ["0", "1"] * 20}
    polars.DataFrame(trained).write_csv(tmp_path / "t.csv")
    reader = saved(make(tmp_path / "t.csv", types={"code": "embedding"}).load(), tmp_path)
    new = {"x": [0.0] * 6, "code": ["1.0", "2.00", "7.0", "007.0", "-3.0", "1.5"], "class": ["0.0", "1.0"] * 3}
    assert [reader.categories[0].categories[code - 1] if code else None for code in codes(reader, new)] == [
        "1", "2", None, None, "-3", None
    ]  # fmt: skip
    assert reader.block(polars.DataFrame(new)).part["targets"].tolist() == [0, 1] * 3
    assert codes(reader, {"x": [0.0] * 2, "code": [1.0, 2.0]}) == codes(reader, {"x": [0.0] * 2, "code": [1, 2]})


def codes(reader, columns):
    return reader.block(polars.DataFrame(columns)).part["categories"][:, 0].tolist()


def test_categories_with_a_point_are_known_without_it_and_two_that_differ_by_it_stay_two():
    known = Category("code", (), ("1.0", "2.0", "3", "3.0"), False, True)
    assert numbers(known, ["1", "2.00", "3", "3.0", "3.00"]) == [1, 2, 3, 4, 0]


def test_points_between_the_thousands_are_refused_in_new_rows_too_and_other_points_are_read(tmp_path):
    rows = [f'"{i},5";{i / 4};{"ab"[i % 2]}' for i in range(3, 43)]
    (tmp_path / "t.csv").write_text("\n".join(["x;y;class", *rows, ""]))
    reader = make(tmp_path / "t.csv", decimal=",").load().reader
    assert reader.block(polars.DataFrame({"x": ["371"], "y": ["0.25"]})).part["inputs"].tolist() == [[371, 0.25]]
    assert reader.block(polars.DataFrame({"x": [5.354], "y": [1]})).part["inputs"][0, 0] == np.float32(5.354)
    with pytest.raises(RunError) as caught:
        reader.block(polars.DataFrame({"x": ["371", "5.354"], "y": ["0,25", "1"]}))
    assert str(caught.value).startswith("The table, row 2, column x is '5.354', but the column must hold numbers.")
