"""Categories that the training part never had are told, by every verb that reads them."""

import polars
import pytest

from nnrun.datasets.reader import UnseenNotes
from nnrun.datasets.tables import source
from tests.datasets.tables import load, write

ROWS = 60


def columns(rows=ROWS, kinds=("small", "large", "round"), gap=None):
    return {
        "size": [f"{1.5 * i + i % 7}" for i in range(rows)],
        "kind": ["" if i == gap else kinds[i % len(kinds)] for i in range(rows)],
        "colour": [("red", "blue")[i % 2] for i in range(rows)],
        "class": [("yes", "no")[i % 4 == 0] for i in range(rows)],
    }


@pytest.fixture(scope="module")
def run(command, tmp_path_factory):
    """A network trained on one file and tested on another, which has a kind of its own; and what it said."""
    folder = tmp_path_factory.mktemp("unseen")
    write(folder / "tr.csv", columns())
    write(folder / "te.csv", columns(12, ("round", "MARS"), gap=2))
    words = ("dataset.train=tr.csv", "dataset.test=te.csv", "dataset.target=class", "hydra.run.dir=run")
    done = command("debug=tiny", "dataset=csv", *words, folder=folder)
    assert done.code == 0, done
    return folder / "run", done.out


def test_a_file_of_the_test_part_is_compared_with_the_training_part(run):
    folder, said = run
    note = "Note: kind: 6 of 12 values of te.csv were never seen in training (first in row 2: 'MARS')."
    assert said.count("never seen") == 1
    assert note in said
    assert note in (folder / "run.log").read_text()


@pytest.mark.parametrize("verb", ["predict", "evaluate", "importance"])
def test_every_verb_has_a_note_per_column(verb, run, nnrun, tmp_path):
    new = columns(30, ("MARS",), gap=0)
    write(tmp_path / "new.csv", {**new, "colour": ["", "a" * 50, *new["colour"][2:]]})
    words = ("--importance", "--repeats=1") if verb == "importance" else ()
    output = () if verb == "importance" else ("--output", "out" if verb == "evaluate" else "out.csv")
    done = nnrun("evaluate" if verb == "evaluate" else "predict", str(run[0]), "new.csv", *words, *output)
    assert done.code == 0, done
    assert [line for line in done.out.splitlines() if line.startswith("Note")] == [
        "Note: kind: 29 of 30 values were never seen in training (first in row 2: 'MARS').",
        f"Note: colour: 1 of 30 values were never seen in training (first in row 2: {'a' * 40!r}).",
    ]
    write(tmp_path / "new.csv", columns(30))
    assert "never" not in nnrun("predict", str(run[0]), "new.csv", "--output", "known.csv").out


@pytest.mark.parametrize("categorical", ["one_hot", "embedding"])
def test_blocks_are_counted_as_they_come(categorical, tmp_path, monkeypatch):
    reader = load(write(tmp_path / "t.csv", columns()), categorical=categorical).reader
    write(tmp_path / "new.csv", columns(50, ("round", "huge", "tiny")))
    monkeypatch.setattr(source, "LARGE", 10)
    notes, read = UnseenNotes(), 0
    for block in notes.over(reader.blocks(tmp_path / "new.csv", 7)):
        read += len(block.part["inputs"])
        expected = sum(i % 3 > 0 for i in range(read))
        said = f"kind: {expected} of {read} values were never seen in training (first in row 2: 'huge')."
        assert notes.sentences() == [said]
    assert read == 50


def test_a_category_of_numbers_in_a_frame_is_named_as_it_is_compared(tmp_path):
    columns = {"x": [i / 7 for i in range(40)], "code": [1, 2] * 20, "class": ["a", "b"] * 20}
    polars.DataFrame(columns).write_csv(tmp_path / "t.csv")
    reader = load(tmp_path / "t.csv", types={"code": "categorical"}).reader
    unseen = reader.block(polars.DataFrame({"x": [0.0] * 4, "code": [2.0, None, 7.0, 8.5]})).unseen
    assert unseen == {"code": (2, 3, "7")}
