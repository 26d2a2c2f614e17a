"""What a test part must not share with the training part is told: equal rows, identifiers, rows of a later file."""

import numpy as np
import pytest

from nnrun.datasets.base import DataSpec
from nnrun.datasets.parts import fingerprints
from nnrun.datasets.reader import Block
from nnrun.folders import training_rows
from nnrun.folders.training_rows import TrainedOn
from tests.datasets.tables import load, make, refusal, write

TABLE = DataSpec("table", (3,), (1,), "regression")


def test_equal_examples_have_equal_fingerprints_and_others_have_not():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 3)).astype(np.float32)
    found = fingerprints.of(TABLE, {"inputs": values, "targets": values[:, :1]})
    assert len(np.unique(found >> np.uint64(32))) > 19_995
    order = rng.permutation(len(values))
    again = fingerprints.of(TABLE, {"inputs": values[order].astype(np.float64)})
    np.testing.assert_array_equal(found[order], again)
    zeros = np.array([[0.0, 1, 2], [-0.0, 1, 2], [1, 0, 2]], np.float32)
    first, second, third = fingerprints.of(TABLE, {"inputs": zeros})
    assert first == second != third
    images = DataSpec("image", (3, 3, 1), (), "classification", classes=2)
    bytes_ = rng.integers(0, 256, (50, 3, 3, 1), np.uint8)
    assert len(np.unique(fingerprints.of(images, {"inputs": bytes_}))) == 50


def test_small_whole_numbers_are_told_apart():
    """Their bytes are nearly all zero."""
    grid = np.stack(np.meshgrid(*[np.arange(27.0)] * 3), -1).reshape(-1, 3).astype(np.float32)
    assert len(np.unique(fingerprints.of(TABLE, {"inputs": grid}) >> np.uint64(32))) >= len(grid) - 2


def repeated(folder, times):
    rng = np.random.default_rng(3)
    rows = np.repeat(rng.normal(size=(600 // times, 2)).round(3), times, axis=0)
    columns = {"a": rows[:, 0], "b": rows[:, 1], "class": [("p", "q")[int(a > 0)] for a in rows[:, 0]]}
    return write(folder / "t.csv", columns)


def test_equal_rows_across_parts_are_told_with_their_count(tmp_path):
    data = load(repeated(tmp_path, 10))
    train = {tuple(row) for row in data.train["inputs"].tolist()}
    others = [tuple(row) for part in (data.val, data.test) for row in part["inputs"].tolist()]
    (note,) = fingerprints.notes(data)
    equal = sum(row in train for row in others)
    assert note.startswith(f"{equal} of {len(others)} validation and test examples have the same inputs as a training")
    assert "dataset.group=COLUMN" in note
    assert not list(fingerprints.notes(load(repeated(tmp_path, 1))))


def test_a_sweep_tells_it_once_however_many_splits_it_tries(nnrun, tmp_path):
    repeated(tmp_path, 10)
    words = ("dataset=csv", "dataset.path=t.csv", "dataset.target=class", "dataset.seed=0,1")
    done = nnrun("-m", "debug=tiny", *words)
    assert done.code == 0, done
    assert done.out.count("validation and test examples have the same inputs as a training example") == 1


@pytest.mark.parametrize("name", ["iris", "digits", "two_moons", "shapes"])
def test_data_sets_of_ours_have_no_such_note(name, make_config):
    assert not list(fingerprints.notes(make_config(dataset=name).dataset.create().load()))


def measured(rows=300, **more):
    rng = np.random.default_rng(0)
    return {**more, "x": rng.normal(size=rows), "class": [("a", "b")[i % 2] for i in range(rows)]}


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (
            {"number": np.random.default_rng(1).permutation(300) + 1001},
            "Column number has another whole number in each of 300 rows, as identifiers have. Where it is one, nothing "
            "is learned from it that holds for new rows: leave it out, dataset.drop=[number]. Where it is a quantity, "
            "keep it; 'dataset.types={number: numeric}' says so.",
        ),
        (
            {"who": [f"P{i % 60:03}" for i in range(300)]},
            "Column who has 60 repeated values such as 'P000', as identifiers have, and rows of one are in several "
            "parts: a network may learn whom it knows. Where it is one, keep the rows of each in one part, which "
            "leaves it out of the inputs: dataset.group=who.",
        ),
        ({"patient_id": [7 * (i % 50) for i in range(300)]}, "dataset.group=patient_id"),
    ],
)
def test_identifiers_are_told(column, said, tmp_path):
    path = write(tmp_path / "t.csv", measured(**column))
    assert said in load(path).notes[-1]
    (name,) = column
    for stated in ({"group": name}, {"drop": [name]}, {"features": [name, "x"]}):
        if stated.get("group") != "number":
            assert not any("identifiers" in note for note in make(path, **stated)._plan().notes)


@pytest.mark.parametrize(
    "column",
    [
        {"state": [f"{'abcdefghij'[i % 10]}{'klmnop'[i % 6]} land" for i in range(300)]},
        {"people": np.random.default_rng(1).integers(0, 10**6, 300)},
        {"grade": [f"A{i % 5}" for i in range(300)]},
        {"valid": [i % 40 for i in range(300)]},
    ],
)
def test_names_and_counts_of_things_are_no_identifiers(column, tmp_path):
    assert not load(write(tmp_path / "t.csv", measured(**column))).notes


def test_rows_that_were_trained_on_are_counted_in_another_file(tmp_path, monkeypatch):
    data = load(repeated(tmp_path, 1))
    training_rows.write(tmp_path, data)
    new = np.random.default_rng(9).normal(size=(40, 2)).astype(np.float32)
    block = Block({"inputs": np.concatenate([data.train["inputs"][:100], new])}, {})

    def said(folder):
        counted = TrainedOn(folder, data.spec)
        assert len(list(counted.over([block, block._replace(part={"inputs": new})]))) == 2
        return counted.sentences("x.csv")

    assert said(tmp_path)[0].startswith(
        "Warning: 100 of the 180 examples of x.csv have the inputs of examples that the"
    )
    assert said(tmp_path / "earlier") == []
    # Of more examples than are kept the count is estimated.
    monkeypatch.setattr(training_rows, "MOST", 100)
    training_rows.write(tmp_path, data)
    assert (tmp_path / training_rows.NAME).stat().st_size == 400
    assert 60 < int(said(tmp_path)[0].split()[1]) < 140


def test_evaluate_and_importance_say_that_a_file_was_trained_on(nnrun, tmp_path):
    for name, seed in (("t.csv", 1), ("new.csv", 2)):
        y, z = np.random.default_rng(seed).normal(size=(2, 100))
        write(tmp_path / name, measured(100, y=y, z=z))
    words = ("dataset.path=t.csv", "dataset.target=class", "hydra.run.dir=run")
    assert nnrun("debug=tiny", "dataset=csv", *words).code == 0
    for verb, more in (("evaluate", ()), ("predict", ("--importance", "--repeats=1", "--overwrite"))):
        done = nnrun(verb, "run", "t.csv", *more)
        assert "Warning: 68 of the 100 examples of t.csv have the inputs of examples that the network" in done.out, done
        assert "Warning" not in nnrun(verb, "run", "new.csv", *more).out


def test_a_quantity_that_counts_the_rows_is_kept_by_its_type(tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(60), "y": [0.3 * i**2 for i in range(60)]})
    assert "no column that tells anything: x numbers the rows ('dataset.types={x: numeric}' keeps it)" in refusal(
        path, target="y"
    )
    assert load(path, target="y", types={"x": "numeric"}).input_names == ("x",)
