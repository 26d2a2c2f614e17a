"""Folders and members written with an earlier version, kept as data: today's commands use them as that version did.

tests/kept/README.md says what made them. Bits may differ between processors and compilers, so that what is computed
again is compared with small tolerances; what was read from a folder and written again is compared as it is.
"""

import csv
import json
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

import nnrun as package
import nnrun.report

KEPT = Path(__file__).parent / "kept"
EXPECTED = json.loads((KEPT / "expected.json").read_text())
ONCE, TRAINED = 1e-6, 1e-5
"""Relative tolerances of one pass through a network, and of weights after some epochs of training."""
OWN = ("quantile", "rings", "shortfall", "wide")
"""Modules of the user's own members."""


@pytest.fixture
def kept(tmp_path):
    """The test's own folder, with a copy of everything that was kept in it."""
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def members(kept, monkeypatch):
    """The copy of the user's own folder, started from which their members are found."""
    for name in OWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(kept / "members")
    yield kept / "members"
    for name in [name for name in sys.modules if name in OWN]:
        del sys.modules[name]


def columns(path):
    """A CSV file's columns of numbers, but for the seconds."""
    with path.open(newline="") as file:
        named = {name: values for name, *values in zip(*csv.reader(file), strict=True)}
    return {name: [float(value) for value in values] for name, values in named.items() if name != "seconds"}


def lines(path, count):
    """The first lines of a file."""
    return path.read_text().splitlines()[:count]


def asked(folder, query):
    """Rows of a sweep's ledger."""
    database = sqlite3.connect(folder / "sweep.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def trials(folder):
    """Number, state and objective of every trial in a sweep's ledger."""
    return asked(folder, "SELECT number, state, objective FROM trials ORDER BY number")


def content(path):
    return json.loads(path.read_text())


def assert_close(found, wanted, tolerance):
    """The same names in the same order, and close values."""
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=tolerance, abs=tolerance), name


def assert_trials(folder, wanted):
    found = trials(folder)
    assert [row[:2] for row in found] == [tuple(row[:2]) for row in wanted]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in wanted], rel=TRAINED)


def test_a_run_is_loaded_and_predicts(command, kept):
    wanted = EXPECTED["run"]["predicted"]
    assert package.load(kept / "run").predict(kept / "new_homes.csv") == pytest.approx(wanted, rel=ONCE)
    done = command("predict", "run", "new_homes.csv", "--output", "new.csv", folder=kept)
    note = "Note: town: 1 of 6 values were never seen in training (first in row 4: 'Delft')."
    assert (done.code, done.out) == (0, f"{note}\n6 predictions are in new.csv\n")
    found = columns(kept / "new.csv")
    assert list(found) == ["row", "price", "price_predicted"]
    assert found["price_predicted"] == pytest.approx(wanted, rel=ONCE)


def test_a_run_is_shown_with_the_table_of_its_log(command, kept):
    done = command("show", "run", folder=kept)
    assert done.code == 0
    assert done.out.startswith("run: mlp on csv, completed\n  nnrun model=mlp 'model.hidden_sizes=[4]' dataset=csv ")
    table = [line for line in (kept / "run" / "run.log").read_text().splitlines() if line.startswith("test/")]
    assert len(table) == 5
    assert done.out.splitlines()[-5:] == table


def test_a_run_is_evaluated_on_its_test_part_and_on_a_file(command, kept):
    summary = content(kept / "run" / "summary.json")
    assert command("evaluate", "run", folder=kept).code == 0
    found = content(kept / "run" / "evaluations" / "test" / "evaluation.json")
    assert_close(found["metrics"], {n: v for n, v in summary["metrics"].items() if n.startswith("test/")}, ONCE)
    assert_close(found["baseline"], summary["baseline"], ONCE)
    before = columns(kept / "run" / "predictions.csv")
    assert_close(columns(kept / "run" / "evaluations" / "test" / "predictions.csv"), before, ONCE)
    assert command("evaluate", "run", "new_homes.csv", folder=kept).code == 0
    found = content(kept / "run" / "evaluations" / "new_homes" / "evaluation.json")
    assert_close(found["metrics"], EXPECTED["run"]["evaluated"], ONCE)


def test_a_run_is_repeated_with_a_change(command, kept):
    assert command("repeat", "run", "seed=1", "hydra.run.dir=again", folder=kept).code == 0
    assert_close(content(kept / "again" / "summary.json")["metrics"], EXPECTED["run"]["repeated"], TRAINED)


def test_a_completed_run_is_trained_longer(command, kept):
    before = lines(kept / "run" / "metrics.csv", 6)
    done = command("resume", "run", "training.epochs=7", folder=kept)
    assert done.code == 0
    assert "Continuing from step 10, epoch 6." in done.out
    assert lines(kept / "run" / "metrics.csv", 6) == before
    assert_close(columns(kept / "run" / "metrics.csv"), EXPECTED["run"]["longer"], TRAINED)


def test_an_interrupted_run_ends_as_one_that_never_stopped(command, kept, pictures):
    folder, wanted = kept / "interrupted_run", EXPECTED["interrupted_run"]
    before = lines(folder / "metrics.csv", 4)
    assert content(folder / "summary.json")["status"] == "interrupted"
    done = command("resume", "interrupted_run", folder=kept)
    assert done.code == 0
    assert "Continuing from step 6, epoch 4." in done.out
    assert lines(folder / "metrics.csv", 4) == before
    assert_close(columns(folder / "metrics.csv"), wanted["history"], TRAINED)
    assert content(folder / "summary.json")["status"] == "completed"
    assert_close(content(folder / "summary.json")["metrics"], wanted["metrics"], TRAINED)


def test_a_sweep_is_reported_and_its_winner_used(command, kept):
    assert trials(kept / "sweep") == [tuple(row) for row in EXPECTED["sweep"]["trials"]]
    assert command("report", "sweep", folder=kept).code == 0
    assert all(f"{value:.4g}" in (kept / "sweep" / "report.html").read_text() for *_, value in trials(kept / "sweep"))
    assert list((kept / "sweep" / "figures").glob("*.png"))
    found = package.load(kept / "sweep" / "best").predict(kept / "new_homes.csv")
    assert found == pytest.approx(EXPECTED["sweep"]["predicted"], rel=ONCE)
    done = command("best", "sweep", folder=kept)
    winner = [line for line in (kept / "sweep" / "run.log").read_text().splitlines() if line.startswith("Best: ")]
    assert (done.code, [f"Best: {done.out.splitlines()[-1]}"]) == (0, winner)


def test_a_sweep_goes_on_with_more_trials(command, kept):
    before = trials(kept / "sweep")
    assert command("resume", "sweep", "search.trials=6", folder=kept).code == 0
    assert trials(kept / "sweep")[:4] == before
    assert_trials(kept / "sweep", EXPECTED["sweep"]["more"])


def test_an_interrupted_sweep_ends_as_one_that_never_stopped(command, kept, pictures):
    folder, wanted = kept / "interrupted_sweep", EXPECTED["interrupted_sweep"]
    before = trials(folder)
    assert [state for _, state, _ in before] == ["completed"] * 2 + ["running"] * 2 + ["waiting"] * 2
    measured = asked(folder, "SELECT * FROM metrics")
    assert {(trial, epoch) for trial, epoch, *_ in measured if trial == 2} == {(2, 1), (2, 2)}
    assert command("resume", "interrupted_sweep", folder=kept).code == 0
    assert trials(folder)[:2] == before[:2]
    assert {*measured} < {*asked(folder, "SELECT * FROM metrics")}
    assert_trials(folder, wanted["trials"])
    assert_close(content(folder / "best" / "summary.json")["metrics"], wanted["best"], TRAINED)
    assert (folder / "report.html").exists()


def test_a_run_of_the_users_own_members_is_used_with_trust_alone(command, members, pictures):
    np.savez("points.npz", inputs=np.array([[0.5, 0.5], [-1.0, 0.0], [0.0, 1.75]], np.float32))
    done = command("predict", "run", "points.npz", folder=members)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "code outside nnrun, which is not run from a folder" in done.err
    wanted = EXPECTED["members"]["predicted"]
    assert command("predict", "run", "points.npz", "--output", "new.csv", "--trust", folder=members).code == 0
    assert columns(members / "new.csv")["quantile"] == pytest.approx(wanted, rel=ONCE)
    found = package.load("run", trust=True).predict_columns("points.npz")
    assert found["quantile"] == pytest.approx(wanted, rel=ONCE)
    assert command("evaluate", "run", "--trust", folder=members).code == 0
    evaluation = members / "run" / "evaluations" / "test"
    expected = {name: value for name, value in EXPECTED["members"]["metrics"].items() if name.startswith("test/")}
    assert_close(content(evaluation / "evaluation.json")["metrics"], expected, ONCE)
    assert_close(columns(evaluation / "along_x.csv"), columns(members / "run" / "along_x.csv"), ONCE)
    assert (evaluation / "figures" / "shortfall.png").exists()


def test_the_users_own_members_train_as_they_did(command, members, pictures):
    words = content(members / "run" / "summary.json")["command"].split()[1:-1]
    done = command(*words, "hydra.run.dir=again", folder=members)
    assert done.code == 0
    assert "Note: The rings were drawn." in done.out
    again = members / "again"
    assert_close(columns(again / "metrics.csv"), columns(members / "run" / "metrics.csv"), TRAINED)
    summary = content(again / "summary.json")
    assert_close(summary["metrics"], EXPECTED["members"]["metrics"], TRAINED)
    assert_close(summary["baseline"], EXPECTED["members"]["baseline"], TRAINED)
    assert {path.name for path in (again / "figures").iterdir()} == {"learning_curves.png", "shortfall.png"}
