"""How often a table's file is walked through and its values are read; and that what was fitted before still reads."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars
import pytest

from nnrun.datasets.tables import source, values
from nnrun.folders import preprocessing
from tests.datasets.tables import load, make, write

KEPT = Path(__file__).parent / "kept_table"
"""preprocessing.json as commit 79c3081 wrote it."""
ROWS = 120
INPUTS = ("size", "gap", "kind", "sold")


def columns(rows=ROWS, first=0):
    number = range(first, first + rows)
    return {
        "size": [i / 7 for i in number],
        "gap": ["" if i % 5 == 0 else i % 11 / 4 for i in number],
        "kind": [["red", "green", "blue"][i % 3] for i in number],
        "sold": [f"20{10 + i % 9}-0{1 + i % 9}-1{i % 10}" for i in number],
        "where": [f"place {i % 30 + first}" for i in number],
        "class": ["no" if i % 4 else "yes" for i in number],
    }


@pytest.fixture
def walks(monkeypatch):
    """By file how often its rows were asked for."""
    counts, blocks = Counter(), source.blocks

    def counted(path, *rest):
        counts[path.name] += 1
        return blocks(path, *rest)

    monkeypatch.setattr(source, "blocks", counted)
    return counts


@pytest.fixture
def readings(monkeypatch):
    """By column how many of its values were read as texts."""
    counts, texts = Counter(), values.texts

    def counted(column, missing=()):
        counts[column.name] += len(column)
        return texts(column, missing)

    monkeypatch.setattr(values, "texts", counted)
    return counts


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"target": "size"},
        {"target": None},
        {"target": "gap", "without_target": "drop", "limit": 70},
        {"group": "where"},
        {"time": "sold"},
        {"stratify": "kind", "target": "size"},
        {"categorical": "embedding", "cache": "always"},
    ],
    ids=str,
)
def test_a_file_that_fits_in_memory_is_walked_once(keys, tmp_path, monkeypatch, walks):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path / "t.csv", columns())
    load(path, **({} if "group" in keys else {"drop": ["where"]}) | keys)
    assert walks == {"t.csv": 1}


def test_each_value_is_read_once_however_many_steps_ask_for_it(tmp_path, readings):
    path = write(tmp_path / "t.csv", columns())
    load(path, drop=["where"])
    assert readings == dict.fromkeys([*INPUTS, "class"], ROWS)


def test_files_of_parts_are_walked_once_each(tmp_path, walks, readings):
    names = ("train", "val", "test")
    files = {name: str(write(tmp_path / f"{name}.csv", columns(60, 60 * i))) for i, name in enumerate(names)}
    data = load(None, path=None, **files, drop=["where"])
    assert walks == {f"{name}.csv": 1 for name in names}
    assert readings == dict.fromkeys([*INPUTS, "class"], 180)
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [60, 60, 60]


def test_a_streamed_file_is_walked_for_what_it_holds_the_strata_the_fit_and_the_arrays(tmp_path, monkeypatch, walks):
    monkeypatch.setattr(source, "LARGE", 10)
    path = write(tmp_path / "t.csv", columns())
    load(path, target="size", drop=["where"])
    assert walks == {"t.csv": 3}
    load(path, drop=["where"])
    assert walks == {"t.csv": 3 + 4}


def test_what_is_kept_of_a_file_is_forgotten_once_the_arrays_are_made_which_can_be_made_again(tmp_path, walks):
    data_set = make(write(tmp_path / "t.csv", columns()), drop=["where"])
    first = data_set.load()
    assert not data_set._plan().files._kept
    again = data_set.load()
    assert walks == {"t.csv": 2}
    for name, array in first.train.items():
        np.testing.assert_array_equal(array, again.train[name])


def test_what_an_earlier_version_fitted_reads_new_rows_as_it_did():
    found = preprocessing.read(KEPT)
    block = found.reader.block(
        polars.DataFrame(
            {
                "size": ["1.5", "", "3"],
                "colour": ["blue", "", "pink"],
                "town": ["Chur", "Genf", "Basel"],
                "sold": ["2021-07-04 12:00", "", "2022-01-01 00:00"],
                "class": ["yes", "no", "no"],
            }
        )
    )
    assert found.reader.input_names == found.input_names
    size, gap, years, season, weekday, hour, colour = np.split(block.part["inputs"], [1, 2, 3, 5, 12, 14], axis=1)
    np.testing.assert_array_equal(size, np.float32([[1.5], [4.791666507720947], [4.791666507720947]]))
    assert gap.tolist() == [[0], [1], [1]]
    np.testing.assert_allclose(years, [[0.07761478], [0], [0.57180697]], rtol=1e-6)
    np.testing.assert_allclose(
        season, [[-0.04318704, -0.99906701], [0.42997721, -0.90283972], [0.00670903, 0.99997747]], rtol=1e-6
    )
    assert weekday.argmax(1).tolist() == [6, 6, 5]
    np.testing.assert_allclose(hour, [[0, -1], [0.81556088, 0.57867128], [0, 1]], rtol=1e-6, atol=1e-7)
    assert colour.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert block.part["categories"].tolist() == [[3], [0], [1]]
    assert block.part["targets"].tolist() == [1, 0, 0]
    assert {name: (one.values, one.row, one.value) for name, one in block.unseen.items()} == {
        "colour": (1, 3, "pink"),
        "town": (1, 2, "Genf"),
    }
