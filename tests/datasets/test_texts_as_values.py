"""Texts that could mean something else than what they are: NA as a category, codes with zeros in front."""

import random

import polars
import pytest

from tests.datasets.tables import load, make, refusal, write


def countries(rows=60):
    return {
        "country": [("NA", "DE", "None", "FR")[i % 4] for i in range(rows)],
        "x": [0.5 * i for i in range(rows)],
        "class": [("yes", "no")[i % 3 == 0] for i in range(rows)],
    }


def test_texts_that_are_read_as_missing_are_told_with_their_count_and_the_way_out(tmp_path):
    data = load(write(tmp_path / "t.csv", {**countries(), "x": ["", *countries()["x"][1:]]}))
    assert "country_missing" in data.input_names
    assert data.notes == (
        "Column x has missing values (empty in 1 row); they are filled with the training mean, and an extra input "
        "marks them where training has some.",
        "Column country has missing values ('NA' in 15 rows, 'None' in 15 rows); they count as a category of "
        "their own. Where a text is a value of its own, set 'dataset.missing={country: []}'.",
    )


@pytest.mark.parametrize(
    "stated", [{"missing": []}, {"missing": {"country": []}}, {"types": {"country": "categorical"}}]
)
def test_an_empty_list_and_a_stated_type_keep_the_texts(stated, tmp_path):
    data = load(write(tmp_path / "t.csv", countries()), **stated)
    assert data.input_names == ("x", "country=DE", "country=FR", "country=NA", "country=None")
    assert not data.notes
    block = data.reader.block(polars.DataFrame({"country": ["NA", "None", ""], "x": [0, 0, 0]}))
    assert block.part["inputs"][:, 3:].tolist() == [[1, 0], [0, 1], [0, 0]]


def test_marks_for_a_stated_category_hold_and_an_empty_field_is_always_missing(tmp_path):
    wanted = {**countries(), "country": ["", *countries()["country"][1:]]}
    data = load(write(tmp_path / "t.csv", wanted), types={"country": "categorical"}, missing={"country": ["None"]})
    assert data.input_names[1:] == ("country=DE", "country=FR", "country_missing")
    data = load(tmp_path / "t.csv", missing=[])
    assert data.input_names[-1] == "country_missing"


def test_no_advice_takes_away_a_class_that_is_called_none(tmp_path):
    wanted = {"x": range(3, 63), "class": [("None", "mild", "severe")[i % 3] for i in range(60)]}
    path = write(tmp_path / "t.csv", wanted)
    assert refusal(path) == (
        "t.csv: the target class is missing in 20 of 60 rows, first in row 1. 'None' is read as missing: where it is a "
        "class, set 'dataset.missing={class: []}'. Else write in what it was, or leave these rows out: "
        "dataset.without_target=drop."
    )
    assert load(path, missing={"class": []}).class_names == ("None", "mild", "severe")


def test_codes_with_zeros_in_front_are_told(tmp_path):
    codes = [random.Random(i).choice(("01234", "02139", "94110", "00501")) for i in range(60)]
    path = write(tmp_path / "t.csv", {"zip": codes, "x": [i * 0.5 for i in range(60)], "class": ["a", "b"] * 30})
    padded = [code for code in codes if code.startswith("0")]
    row = codes.index(padded[0]) + 1
    assert load(path).notes == (
        f"Column zip has zeros in front in {len(padded)} rows ({padded[0]} in row {row}), but is taken for numbers. "
        "Where these are codes: 'dataset.types={zip: categorical}', or embedding where they are many.",
    )
    data = load(path, types={"zip": "categorical"})
    assert "zip=01234" in data.input_names
    assert not data.notes
    path = write(tmp_path / "t.csv", {"x": ["0", "0.5", "10"] * 20, "class": ["a", "b"] * 30})
    assert not make(path)._plan().notes


@pytest.mark.parametrize("large", [False, True])
def test_empty_rows_and_blank_lines_count_in_training_too(large, tmp_path, monkeypatch):
    from nnrun.datasets.tables import source

    monkeypatch.setattr(source, "LARGE", 10 if large else 2**26)
    rows = [f"{i + 1},{i * 1.5},{'ab'[i % 2]}" for i in range(40)]
    rows[3], rows[8] = ",,", "\n" + rows[8]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,x,class", *rows, "", ""]))
    assert "the target class is missing in 1 of 40 rows, first in row 4. Write in what it was" in refusal(path)
    data = load(path, without_target="drop")
    assert data.notes[0] == "Left out: id numbers the rows ('dataset.types={id: numeric}' keeps it)."
    assert sum(len(part["inputs"]) for part in (data.train, data.val, data.test)) == 39
    for row, x in zip(data.labels["row"], data.test["inputs"][:, 0], strict=True):
        assert row not in (4, 9)
        assert x == (row - 1 - (row > 9)) * 1.5
    path.write_text("\n".join(["id,x,class", *rows, "41,x,a"]))
    assert "column x mixes numbers and texts: row 42 is 'x'" in refusal(path, without_target="drop")
