"""Whatever a file holds, a table is read or refused with a sentence; NNRUN_FUZZ=N tries N inputs per test."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nnrun.datasets.csv import Csv
from nnrun.errors import ConfigError, NnrunError
from nnrun.schema import build, config_class

TRIED = settings(
    max_examples=int(os.environ.get("NNRUN_FUZZ", "50")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize="NNRUN_FUZZ" not in os.environ,
)
CELLS = st.one_of(
    st.sampled_from(["", "NA", "?", "0", "1", "2.5", "-3", "1e5", "a", "b", "c", "true", "inf", "nan", "1,5", '"x,y"']),
    st.sampled_from(["2024-01-01", "2024-02-30", "01/02/2024", "12:30", "ü", '"', '""', "a\nb", "\x00", "\r", "'"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.text(max_size=6),
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=25)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "target": st.sampled_from([-1, 1, None, (1, 2)]),
        "header": st.sampled_from([True, False, "auto"]),
        "categorical": st.just("embedding"),
        "separator": st.sampled_from(["auto", "comma", "tab"]),
        "without_target": st.just("drop"),
        "group": st.just(2),
        "time": st.just(2),
        "stratify": st.sampled_from([None, 2]),
        "missing": st.sampled_from([("a", 0), {2: [1]}]),
        "types": st.sampled_from([{2: "categorical"}, {2: "numeric"}, {2: "date"}, {1: "%d/%m/%Y"}]),
        "limit": st.just(10),
        "decimal": st.just(","),
    },
)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def assert_loaded_or_refused(content, keys, folder):
    """The data set is loaded with finite inputs, or refused in words; nothing else is raised."""
    path = folder / "t.csv"
    path.write_bytes(content)
    schema = config_class("nnrun.datasets.csv.Csv")
    try:
        dataset = Csv(build("dataset", {"path": str(path), "target": -1, **keys}, schema))
        spec = dataset.spec()
    except ConfigError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.endswith((".", "?")) or refused.count(". ")
        assert len(refused) < 2000
        return None
    data = dataset.load()
    assert data.spec == spec
    for part in (data.train, data.val, data.test):
        assert part["inputs"].shape[1:] == spec.inputs
        assert np.isfinite(part["inputs"]).all()
        assert len(part["inputs"]) >= 1
        if "targets" in part:
            assert np.isfinite(part["targets"]).all()
    assert np.isfinite(data.input_scaling.apply(data.train["inputs"])).all()
    return data


@TRIED
@given(st.binary(max_size=200), KEYS)
def test_any_bytes(folder, content, keys):
    assert_loaded_or_refused(content, keys, folder)


@TRIED
@given(TABLES, KEYS)
def test_any_cells(folder, rows, keys):
    assert_loaded_or_refused("\n".join(",".join(row) for row in rows).encode("utf-8", "replace"), keys, folder)


@TRIED
@given(st.data(), KEYS)
def test_any_table_of_equal_columns(folder, data, keys):
    """Mostly valid tables, so that most are loaded."""
    rows = data.draw(st.integers(6, 40))
    kinds = [
        st.floats(-1e30, 1e30).map(str),
        st.sampled_from(["a", "b", "", "ä"]),
        st.dates().map(str),
        st.sampled_from(["0", "1"]),
    ]
    columns = [data.draw(st.lists(data.draw(st.sampled_from(kinds)), min_size=rows, max_size=rows)) for _ in range(3)]
    text = "\n".join(["x,y,z", *(",".join(row) for row in zip(*columns, strict=True))])
    assert_loaded_or_refused(text.encode(), keys, folder)


@TRIED
@given(st.integers(0, 1500), st.sampled_from([b'"', b",", b"\n", b"\xff", b"\x00", b"a", b"9", b"\r\n", b""]))
def test_a_new_file_with_a_damaged_byte(folder, place, byte):
    """A reader fitted on a whole table meets a damaged one: it reads the rows or refuses, never another error."""
    rows = [f"{i / 3:.2f},{'ab'[i % 2]},2024-01-{1 + i % 28:02},{i % 3}" for i in range(3, 63)]
    content = "\n".join(["size,kind,day,class", *rows, ""]).encode()
    data = assert_loaded_or_refused(content, {}, folder)
    path = folder / "new.csv"
    path.write_bytes(content[:place] + byte + content[place + len(byte) :] if byte else content[:place])
    try:
        blocks = list(data.reader.blocks(path, 16))
    except NnrunError as error:
        blocks, refused = [], str(error)
    else:
        refused = ""
    assert blocks or "new.csv" in refused
    assert all(np.isfinite(block.part["inputs"]).all() for block in blocks)
    assert sum(len(block.part["inputs"]) for block in blocks) <= 61
