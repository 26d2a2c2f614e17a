"""Arrays and tables of numbers in files: the same examples from any of them, a block at a time."""

import dataclasses
import tracemalloc
import zipfile

import numpy as np
import polars
import pytest

from nnrun.datasets.arrays.reader import ArrayReader
from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError, RunError

CLASSES = DataSpec("table", (3,), (), "classification", classes=2)
TABLE = ArrayReader.of(CLASSES, ("a", "b", "c"), ("kind",), ("no", "yes"))
IMAGES = ArrayReader.of(DataSpec("image", (2, 2, 1), (), "classification", classes=2), ("grey",))
SERIES = ArrayReader.of(DataSpec("series", (4, 2), (1, 2), "forecasting", per_step=True))


def joined(blocks):
    blocks = list(blocks)
    return {name: np.concatenate([block.part[name] for block in blocks]) for name in blocks[0].part}


@pytest.fixture
def rows():
    return np.arange(30, dtype=np.float64).reshape(10, 3) / 7


@pytest.mark.parametrize("size", [1, 4, 10, 100])
def test_every_kind_of_file_gives_the_same_rows(rows, tmp_path, size):
    np.save(tmp_path / "x.npy", rows)
    np.savez_compressed(tmp_path / "x.npz", other=rows, inputs=np.float32(rows))
    polars.DataFrame({"c": rows[:, 2], "id": ["x"] * 10, "a": rows[:, 0], "b": rows[:, 1]}).write_csv(
        tmp_path / "x.csv"
    )
    for ending in ("npy", "npz", "csv"):
        blocks = list(TABLE.blocks(tmp_path / f"x.{ending}", size))
        assert [len(block.part["inputs"]) for block in blocks] == [size] * (10 // size) + [10 % size] * (10 % size > 0)
        assert np.concatenate([block.labels["row"] for block in blocks]).tolist() == list(range(10))
        assert set(blocks[0].part) == {"inputs"}
        np.testing.assert_array_equal(joined(blocks)["inputs"], np.float32(rows))
        assert joined(blocks)["inputs"].dtype == np.float32


@pytest.mark.parametrize("labels", [["yes", "no"], [1, 0], ["1", "0"], [1.0, 0.0]])
def test_a_class_is_its_name_or_its_number(labels, tmp_path):
    frame = polars.DataFrame({"a": [1.0, 2.0], "b": 0, "c": 0, "kind": labels})
    frame.write_csv(tmp_path / "x.csv")
    np.savez(tmp_path / "x.npz", inputs=np.ones((2, 3)), targets=np.array(labels))
    for blocks in (TABLE.blocks(tmp_path / "x.csv", 9), TABLE.blocks(tmp_path / "x.npz", 9), [TABLE.block(frame)]):
        found = joined(blocks)["targets"]
        assert (found.tolist(), found.dtype) == ([1, 0], np.int32)


@pytest.mark.parametrize("labels", [[1, 3], [1.0, 3.0], ["1", "3"], ["1.0", " 3"]])
def test_a_class_called_by_a_number_is_that_number_and_no_position(labels, tmp_path):
    reader = ArrayReader.of(dataclasses.replace(CLASSES, classes=3), ("a", "b", "c"), ("kind",), ("1", "2", "3"))
    np.savez(tmp_path / "x.npz", inputs=np.ones((2, 3)), targets=np.array(labels))
    assert joined(reader.blocks(tmp_path / "x.npz", 9))["targets"].tolist() == [0, 2]
    for strange in (0, 0.0, 1.5, "nan", "x"):
        np.savez(tmp_path / "x.npz", inputs=np.ones((1, 3)), targets=np.array([strange]))
        with pytest.raises(ConfigError) as caught:
            list(reader.blocks(tmp_path / "x.npz", 9))
        assert str(caught.value) == (
            f"{tmp_path / 'x.npz'} has 1 example of a class that the training part does not have: {strange}. "
            "Its classes are 1, 2, 3."
        )


def test_classes_without_names_are_their_positions_and_many_are_not_all_listed():
    reader = ArrayReader.of(dataclasses.replace(CLASSES, classes=30))
    found = reader.block({"inputs": np.ones((3, 3)), "targets": np.array([29.0, 0, 3])}).part["targets"]
    assert found.tolist() == [29, 0, 3]
    with pytest.raises(ConfigError, match=r"of a class that .*: 30\. "):
        reader.block({"inputs": np.ones((1, 3)), "targets": np.array([30])})


def test_bytes_stay_bytes_and_flat_rows_get_their_shape(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).reshape(3, 4))
    found = joined(IMAGES.blocks(tmp_path / "x.npy", 2))["inputs"]
    assert (found.shape, found.dtype, found[2, 1, 1, 0]) == ((3, 2, 2, 1), np.uint8, 11)


def test_targets_of_every_step_have_their_axis_of_time():
    part = SERIES.block({"inputs": np.zeros((5, 4, 2)), "targets": np.zeros((5, 4, 1, 2))}).part
    assert part["targets"].shape == (5, 4, 1, 2)
    with pytest.raises(
        ConfigError, match=r"targets of shape \(n, 4, 1, 2\), all numbers, but got float64 of shape \(5, 1"
    ):
        SERIES.block({"inputs": np.zeros((5, 4, 2)), "targets": np.zeros((5, 1, 2))})


def test_unknown_columns_are_those_that_nothing_needs(tmp_path):
    (tmp_path / "x.csv").write_text("c,id,b,kind,a,more\n")
    assert TABLE.unknown(tmp_path / "x.csv") == ("id", "more")
    assert TABLE.unknown(tmp_path / "x.npy") == ()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("a,b\n1,2\n", ConfigError, "x.csv lacks column c, which the network was trained on."),
        (
            "a,x,y,kind\n1,2,3,no",
            ConfigError,
            "lacks columns b, c, which the network was trained on, and has columns x, y, un",
        ),
        ("a,b,c,a\n1,2,3,4\n", ConfigError, "x.csv has two columns named a. Rename one."),
        ("a,b,c\n1,2,3\n1,x,3\n", RunError, "x.csv, line 3: b must be a number, but is 'x'."),
        ("a,b,c\n1,2,3\n4,,6\n", RunError, "an input of row 1 (counted from 0) is missing or infinite. Fill it in."),
        ("a,b,c\n1,2,3\n4,inf,6\n", RunError, "an input of row 1 (counted from 0) is missing or infinite"),
        (
            "a,b,c,kind\n1,2,3,maybe\n",
            ConfigError,
            "has 1 example of a class that the training part does not have: maybe. Its classes are no, yes.",
        ),
        ("a,b,c\n1,2,3,4,5\n", RunError, "x.csv, line 2 has 5 fields, but the header has 3"),
        ("a,b,c\n1,2,3\n1,2,3,4,5\n", RunError, "x.csv, line 3 has 5 fields, but the header has 3"),
        ("", ConfigError, "lacks columns a, b, c"),
        ("a,b,c\n\xff\n", RunError, "x.csv"),
    ],
)
def test_damaged_tables_are_told_with_their_line(text, error, said, tmp_path):
    (tmp_path / "x.csv").write_text(text, encoding="latin-1")
    with pytest.raises(error) as raised:
        list(TABLE.blocks(tmp_path / "x.csv", 8))
    assert said in str(raised.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"x.txt must end in one of .npy, .npz, .csv"):
        list(TABLE.blocks(tmp_path / "x.txt", 8))
    with pytest.raises(ConfigError, match=r"There is no file .*none.npz"):
        list(TABLE.blocks(tmp_path / "none.npz", 8))


def test_an_archive_of_any_size_is_unpacked_in_pieces(tmp_path):
    rows = 2**24
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("inputs.npy", "w") as file:
        layout = {"descr": "|u1", "fortran_order": False, "shape": (rows, 3)}
        np.lib.format.write_array_header_1_0(file, layout)
        for _ in range(48):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    try:
        assert sum(len(block.part["inputs"]) for block in TABLE.blocks(path, 2**16)) == rows
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
