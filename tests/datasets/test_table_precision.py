"""Numbers that single precision cannot tell apart are a note among the inputs, and refused as a target."""

import numpy as np
import pytest

from nnrun.datasets.tables import source
from nnrun.datasets.tables.range import Range
from tests.datasets.tables import load, make, refusal, write

ROWS = 60
JULIAN = [f"{2459000 + v:.6f}" for v in np.random.default_rng(0).uniform(0, 2, ROWS)]


@pytest.fixture(params=[False, True], ids=["at once", "streamed"])
def table(request, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LARGE", 10 if request.param else 2**26)
    monkeypatch.setattr(source.blocks, "__defaults__", (7,))
    return write(tmp_path / "t.csv", {"a jd": JULIAN, "x": np.arange(ROWS) / 7, "class": ["a", "b"] * (ROWS // 2)})


def test_an_input_gets_a_note(table):
    (note,) = make(table).load().notes
    assert note.replace(str(table), "t.csv").startswith("t.csv: column a jd varies by 0.5")
    assert note.endswith(
        ", but single precision keeps about 7 digits, so much of what it tells is lost: subtract a constant from it, "
        "for example 2459000, or leave it out, dataset.drop=[a jd]."
    )
    assert " around 2459001." in note
    assert not load(table, drop=["a jd"]).notes


def test_a_target_is_refused(table):
    said = refusal(table, target="a jd")
    assert said.startswith("t.csv: the target a jd varies by 0.5")
    assert said.endswith(
        ", but single precision keeps about 7 digits, so much of what it tells would be lost: subtract a constant from "
        "it, for example 2459000, or name another column, dataset.target=NAME."
    )
    assert "the target a jd varies" in refusal(table, target=["x", "a jd"])


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        (1_700_000_000 + 60 * np.arange(ROWS), "1700000000"),
        (-(2.0**24) + np.arange(ROWS) / ROWS, "-16777216"),
        (1_000_000.125 + np.arange(ROWS) / 5000, "1000000.12"),
        (np.where(np.arange(ROWS) % 2, 2019, 2020), None),
        (1e6 + np.arange(ROWS) * 1e4, None),
        (np.arange(ROWS) * 1e-30, None),
        ([3e9] * ROWS, None),
    ],
)
def test_what_counts_is_the_spacing_beside_what_varies(values, constant, tmp_path):
    table = write(tmp_path / "t.csv", {"v": values, "x": np.arange(ROWS) / 7, "class": ["a", "b"] * (ROWS // 2)})
    notes = [note for note in load(table).notes if "single precision" in note]
    assert [f"for example {constant}, or" in note for note in notes] == ([] if constant is None else [True])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_deviation_of_blocks_is_that_of_all_values(size):
    values, found = np.random.default_rng(0).normal(2459000, 1e-3, 100), Range()
    for start in range(0, 100, size):
        found.update(values[start : start + size])
    assert found.std == pytest.approx(values.std(), rel=1e-6)
