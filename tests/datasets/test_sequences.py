import itertools
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnrun.datasets.sequences import Sequences
from nnrun.datasets.series.labelled_files import read_sequences
from nnrun.errors import ConfigError, NnrunError, RunError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing
from nnrun.schema import build, config_class

TARGET = "nnrun.datasets.sequences.Sequences"
FUZZ = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
HEADER = "# a comment\n@problemName waves\n@timeStamps false\n@univariate {}\n@classLabel true up down\n@data\n"
fresh = itertools.count()


def waves(n=30, channels=1, unequal=True):
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, n) if unequal else np.full(n, 6)
    values = [rng.normal(5, 2, (length, channels)).astype(np.float32) for length in lengths]
    return values, np.array(["up", "down", "up"])[np.arange(n) % 3]


def write_ts(path, values, labels):
    lines = [
        ":".join([*(",".join(map(str, channel)) for channel in one.T), label])
        for one, label in zip(values, labels, strict=True)
    ]
    path.write_text(HEADER.format(str(values[0].shape[1] == 1).lower()) + "\n".join(lines) + "\n")


def write_tsv(path, values, labels):
    longest = max(map(len, values))
    padded = [[*map(str, one[:, 0]), *["NaN"] * (longest - len(one))] for one in values]
    path.write_text("".join("\t".join([label, *row]) + "\n" for label, row in zip(labels, padded, strict=True)))


def write_npz(path, values, labels):
    inputs = np.full((len(values), max(map(len, values)), values[0].shape[1]), 7.0)
    for row, one in zip(inputs, values, strict=True):
        row[: len(one)] = one
    np.savez(path, inputs=inputs, lengths=[len(one) for one in values], targets=labels)


WRITERS = {".ts": write_ts, ".tsv": write_tsv, ".npz": write_npz}


def write(folder, suffix=".ts", name="train", **kind):
    path = folder / f"{name}{suffix}"
    WRITERS[suffix](path, *waves(**kind))
    return str(path)


def make(path, **values):
    return Sequences(build("dataset", {"path": path, **values}, config_class(TARGET)))


@pytest.mark.parametrize(("suffix", "channels"), [(".ts", 1), (".ts", 3), (".tsv", 1), (".npz", 1), (".npz", 3)])
@pytest.mark.parametrize("unequal", [True, False])
def test_every_format_gives_the_sequences_that_were_written(tmp_path, suffix, channels, unequal):
    values, labels = waves(channels=channels, unequal=unequal)
    found = read_sequences(write(tmp_path, suffix, channels=channels, unequal=unequal))
    assert found.labels.tolist() == labels.tolist()
    assert len(found.values) == len(values)
    for one, written in zip(found.values, values, strict=True):
        np.testing.assert_array_equal(one, written)


def test_the_archives_older_files_are_read_with_whole_numbers_as_classes(tmp_path):
    path = tmp_path / "old.txt"
    path.write_text("  1.0000000e+00  2.5e+00 -1.0\n  -1.0000000e+00,3,4\n")
    found = read_sequences(path)
    assert found.labels.tolist() == ["1", "-1"]
    assert found.values[1].tolist() == [[3], [4]]


@pytest.mark.parametrize("suffix", WRITERS)
def test_unequal_sequences_are_padded_and_carry_their_length(tmp_path, suffix):
    dataset = make(write(tmp_path, suffix))
    data, values = dataset.load(), waves()[0]
    assert data.spec == dataset.spec()
    assert data.spec.lengths
    assert data.class_names == ("down", "up")
    parts = [data.train, data.val, data.test]
    steps = {tuple(row[:n, 0].tolist()) for p in parts for row, n in zip(p["inputs"], p["lengths"], strict=True)}
    assert steps == {tuple(one[:, 0].tolist()) for one in values}, "each sequence is in one part"
    assert all(not row[n:].any() for p in parts for row, n in zip(p["inputs"], p["lengths"], strict=True))
    valid = np.concatenate([row[:n] for row, n in zip(data.train["inputs"], data.train["lengths"], strict=True)])
    np.testing.assert_allclose(data.input_scaling.offset, valid.mean(0), rtol=1e-5)
    np.testing.assert_allclose(data.input_scaling.scale, valid.std(0), rtol=1e-5)


def test_sequences_of_equal_length_have_no_lengths(tmp_path):
    data = make(write(tmp_path, unequal=False)).load()
    assert not data.spec.lengths
    assert "lengths" not in data.train


def test_parts_from_files_of_their_own(tmp_path):
    train, test = write(tmp_path), write(tmp_path, ".npz", "test", n=9)
    data = make(train, test_path=test, val_fraction=0.2).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [24, 6, 9]
    assert data.test["lengths"].tolist() == [len(one) for one in waves(9)[0]]
    data = make(train, val_path=test, test_path=test).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [30, 9, 9]
    data = make(train, val_path=test, limit=20).load()
    assert sum(len(part["inputs"]) for part in (data.train, data.val, data.test)) == 20


@pytest.mark.parametrize("limit", [None, 24])
def test_the_row_of_every_test_example_is_told(tmp_path, limit):
    train, test = write(tmp_path), write(tmp_path, ".npz", "test", n=12)
    for path, keys in ((train, {}), (test, {"test_path": test})):
        data = make(train, limit=limit, **keys).load()
        found, rows = read_sequences(path), data.labels["row"]
        assert len(rows) == len(data.test["inputs"])
        for row, inputs, target in zip(rows, data.test["inputs"], data.test["targets"], strict=True):
            np.testing.assert_array_equal(inputs[: len(found.values[row - 1])], found.values[row - 1])
            assert data.class_names[target] == found.labels[row - 1]
        assert "row" not in {*data.train, *data.val, *data.test}


def test_a_newer_file_is_read_the_same_way(tmp_path):
    data = make(write(tmp_path)).load()
    Preprocessing.of(data).save(tmp_path)
    reader = preprocessing.read(tmp_path).reader
    assert reader == data.reader
    blocks = list(reader.blocks(tmp_path / "train.ts", 8))
    assert np.concatenate([block.labels["row"] for block in blocks]).tolist() == list(range(1, 31))
    joined = {name: np.concatenate([block.part[name] for block in blocks]) for name in blocks[0].part}
    assert joined["targets"].tolist() == (waves()[1] == "up").astype(int).tolist()
    in_memory = reader.block([one[:, 0] for one in waves()[0]]).part
    assert in_memory.keys() == {"inputs", "lengths"}
    np.testing.assert_array_equal(in_memory["inputs"], joined["inputs"])


@pytest.mark.parametrize(("suffix", "above"), [(".tsv", 0), (".ts", 6)])
def test_rows_are_those_of_the_file_blank_lines_too(tmp_path, suffix, above):
    lines = Path(write(tmp_path, suffix)).read_text().splitlines()
    path = tmp_path / f"blank{suffix}"
    path.write_text("\n".join([*lines[:above], "", *lines[above : above + 9], "", "", *lines[above + 9 :]]))
    found = read_sequences(path)
    assert found.rows.tolist() == [*range(2, 11), *range(13, 34)]
    blocks = make(str(path)).reader.blocks(path, 8)
    assert np.concatenate([block.labels["row"] for block in blocks]).tolist() == found.rows.tolist()


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("a.ts", "", ConfigError, "has no @data line"),
        ("a.ts", "1,2:up\n", ConfigError, "line 1 stands before @data and is no @key."),
        ("a.ts", "@data\n", ConfigError, "holds no sequence."),
        ("a.ts", "@timeStamps true\n@data\n(0,1):up\n", ConfigError, "has a time stamp for every value"),
        ("a.ts", HEADER + "1,2:up\n1,x:up\n", RunError, "line 8 value 2 is 'x', which is no number."),
        ("a.ts", HEADER + "1,2:3:up\n", RunError, "line 7 has dimensions of unequal length: 2, 1."),
        ("a.ts", HEADER + "1,2:3,4:up\n1,2:up\n", RunError, "row 2 has 1 channels, but the first one 2."),
        ("a.ts", HEADER + "1,?,3:up\n", RunError, "row 1, step 2, channel 1 is missing or infinite."),
        ("a.ts", HEADER + "1,2:\n", RunError, "line 7 has no label after its last colon."),
        ("a.tsv", "", ConfigError, "holds no sequence."),
        ("a.tsv", "1\n", RunError, "line 1 has no values after its label."),
        ("a.tsv", "1\t2\tx\n", RunError, "line 1 value 2 is 'x', which is no number."),
        ("a.tsv", "1\t2\tNaN\t3\n", RunError, "row 1, step 2, channel 1 is missing or infinite."),
        ("a.tsv", "1\t2\n\n1\tinf\n", RunError, "row 3, step 1, channel 1 is missing or infinite."),
        ("a.tsv", b"\xff\xfe1", ConfigError, "is no UTF-8 text."),
        ("a.npz", b"PK\x03\x04", RunError, "is damaged: "),
        ("a.csv", "1,2\n", ConfigError, "must be a file of sequences that ends in one of .ts, .tsv, .txt, .npz."),
    ],
)
def test_damaged_files_are_told_with_file_and_place(tmp_path, name, content, error, said):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error) as caught:
        read_sequences(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "error", "said"),
    [
        ({"x": np.zeros(3)}, ConfigError, "must hold numbers `inputs` of shape (n, time[, channels]), but got none"),
        ({"inputs": np.zeros((2, 3), object)}, ConfigError, "but got object of shape (2, 3)."),
        ({"inputs": np.zeros((2, 3)), "targets": [0.5, 1.0]}, ConfigError, "one class, whole number or text, for"),
        ({"inputs": np.zeros((2, 3)), "targets": [0]}, ConfigError, "but got int64 of shape (1,)."),
        ({"inputs": np.zeros((2, 3)), "lengths": [1, 4]}, RunError, "lengths[1] is 4, but a sequence has 1 to 3"),
        ({"inputs": np.zeros((2, 3)), "lengths": [1.0, 2.0]}, ConfigError, "one whole number for each of the 2"),
    ],
)
def test_arrays_that_are_no_sequences(tmp_path, arrays, error, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error) as caught:
        read_sequences(tmp_path / "a.npz")
    assert said in str(caught.value)


def test_what_cannot_be_trained_on(tmp_path):
    one_class = tmp_path / "one.tsv"
    one_class.write_text("1\t2\t3\n" * 20)
    with pytest.raises(ConfigError, match="there is one class, 1 among 20 sequences"):
        make(str(one_class)).spec()
    rare = tmp_path / "rare.tsv"
    rare.write_text("1\t2\t3\n" * 20 + "2\t2\t3\n")
    with pytest.raises(ConfigError, match="class 2 has 1 sequences among 21 sequences"):
        make(str(rare)).spec()
    unlabelled = tmp_path / "no.ts"
    unlabelled.write_text("@classLabel false\n@data\n" + "1,2\n" * 9)
    with pytest.raises(ConfigError, match=r"no\.ts has no labels, which dataset=sequences learns\. Give every "):
        make(str(unlabelled)).spec()
    with pytest.raises(ConfigError, match=r"Set dataset\.path, for example dataset\.path=TRAIN\.ts"):
        make(None).spec()
    with pytest.raises(ConfigError, match=r"nope\.ts cannot be read: No such file or directory"):
        make(str(tmp_path / "nope.ts")).spec()


def test_what_does_not_fit_the_training(tmp_path):
    reader = make(write(tmp_path, unequal=False)).load().reader
    for content, error, said in (
        ("up\t1\t2\n", ConfigError, "row 1 has 2 steps, but the network reads exactly 6"),
        (
            "upp\t1\t2\t3\t4\t5\t6\n",
            ConfigError,
            "from row 1 on, has 1 sequence of a class that the training part ",
        ),
    ):
        path = tmp_path / f"{next(fresh)}.tsv"
        path.write_text(content)
        with pytest.raises(error) as caught:
            list(reader.blocks(path, 8))
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match=r"row 1 has the shape \(6, 2\), but must be \(time, 1\)"):
        reader.block(np.zeros((3, 6, 2)))


def assert_read_or_refused(path):
    found, said = None, ""
    try:
        found = read_sequences(path)
    except NnrunError as error:
        said = str(error)
    assert (found is None) == (str(path) in said)
    assert found is None or all(np.isfinite(one).all() and len(one) for one in found.values)


PIECES = st.sampled_from(["1", "2.5", "-3e2", "NaN", "?", "x", "", " ", "up", ",", ":", "\t", "\n", "#", "@data\n"])
TEXT = st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(string.printable, max_size=30))


@FUZZ
@given(TEXT, st.sampled_from([".ts", ".tsv", ".txt"]), st.booleans())
@example("1,1:", ".ts", True)
def test_any_text_is_sequences_or_an_error_of_ours(tmp_path, text, suffix, headed):
    path = tmp_path / f"{next(fresh)}{suffix}"
    path.write_text((HEADER if headed and suffix == ".ts" else "") + text, "utf-8")
    assert_read_or_refused(path)


@FUZZ
@given(st.binary(max_size=80), st.integers(0, 400), st.sampled_from([".ts", ".tsv", ".npz"]))
def test_any_damage_is_an_error_of_ours(tmp_path, content, at, suffix):
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists():
        WRITERS[suffix](whole, *waves(6))
    intact, path = whole.read_bytes(), tmp_path / f"{next(fresh)}{suffix}"
    path.write_bytes(intact[:at] + content + intact[at + len(content) :])
    assert_read_or_refused(path)
