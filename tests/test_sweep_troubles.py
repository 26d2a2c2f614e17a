"""Sweeps that meet a folder, a disk, a memory or data that do not serve: what is said, and what is kept."""

import errno
import sqlite3
from dataclasses import replace

import pytest

from nnrun.datasets.iris import Iris
from nnrun.datasets.part import take
from nnrun.datasets.wine import Wine
from nnrun.errors import RunError
from nnrun.execution.local import Local
from nnrun.folders.ledger import Ledger
from nnrun.folders.sweep_folder import SweepFolder
from tests.sweep_folders import SMALL, ledger, names, record, summary


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(nnrun, tmp_path):
    (tmp_path / "taken").write_text("")
    done = nnrun(*SMALL[:-1], "hydra.sweep.dir=taken", "seed=0,1")
    text = "The output folder taken is a file. Set hydra.sweep.dir= to a folder."
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_a_group_is_saved_between_its_epochs_and_not_after_the_last(nnrun, monkeypatch):
    epochs = set()

    def save(folder, number, state, notes):
        epochs.update(map(len, notes["histories"].values()))

    monkeypatch.setattr(SweepFolder, "save_group", save)
    assert nnrun(*SMALL, "training.epochs=3", "training.checkpoint_seconds=0", "seed=0,1").code == 0
    assert {1, 2} <= epochs <= {0, 1, 2}


@pytest.mark.parametrize("what", ["save_group", "save_weights", "write_record"])
def test_a_full_disk_stops_the_sweep_and_resume_finishes_it(nnrun, tmp_path, monkeypatch, what):
    calls, write = [], getattr(SweepFolder, what)

    def full(self, *args):
        calls.append(args)
        if len(calls) > (1 if what == "write_record" else 0):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(SweepFolder, what, full)
        done = nnrun(*SMALL, "training.checkpoint_seconds=0", "seed=0,1,2")
    text = "[Errno 28] No space left on device. What was measured is kept. To continue: nnrun resume sweep"
    assert (done.code, done.err) == (1, f"nnrun: {text}\n")
    assert "failed" not in {state for _, state, *_ in ledger(tmp_path / "sweep")[0]}
    assert nnrun("resume", "sweep").code == 0
    assert [state for _, state, *_ in ledger(tmp_path / "sweep")[0]] == ["completed"] * 3


def test_a_disk_that_is_full_at_the_start_leaves_no_folder(nnrun, tmp_path, monkeypatch):
    def full(self):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(Ledger, "_make", full)
    done = nnrun(*SMALL, "seed=0,1")
    text = (
        "sweep cannot be written: the disk is full. Nothing was trained. Make room, or set another hydra.sweep.dir, and"
    )
    assert (done.code, done.err) == (1, f"nnrun: {text} start again.\n")
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE trials SET params = '{}'", "A trial has the settings {}, which this sweep does not try: sweep.db or"),
        (
            "UPDATE trials SET params = '{\"seedling\": 1}'",
            "sweep/sweep.db has a trial with seedling, which its sweep does not search",
        ),
        ("UPDATE trials SET group_id = 7", "sweep: sweep.db has trials in groups that sweep.yaml lacks"),
    ],
)
def test_rows_of_another_sweep_are_refused(nnrun, tmp_path, monkeypatch, statement, text):
    def stopped(self, *args):
        raise OSError(errno.EIO, "the plug was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(SweepFolder, "save_weights", stopped)
        assert nnrun(*SMALL, "seed=0,1").code == 1
    with sqlite3.connect(tmp_path / "sweep" / "sweep.db") as database:
        database.execute(statement)
    database.close()
    before = names(tmp_path / "sweep")
    done = nnrun("resume", "sweep")
    assert done.code == 2
    assert done.err.startswith(f"nnrun: {text}")
    assert names(tmp_path / "sweep") == before


def test_a_group_that_is_too_large_for_the_memory_is_halved(nnrun, tmp_path, monkeypatch):
    run = Local.run

    def crowded(self, group, jobs):
        if len(jobs) > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return run(self, group, jobs)

    monkeypatch.setattr(Local, "run", crowded)
    done = nnrun(*SMALL, "training.epochs=1", "seed=range(5)")
    assert done.code == 0
    told = [int(line.split()[0]) for line in done.out.splitlines() if "do not fit into memory" in line]
    assert told == [5, 3]
    assert [group for *_, group, _ in ledger(tmp_path / "sweep")[0]] == [0, 0, 1, 2, 2]
    assert [group["chunk"] for group in record(tmp_path / "sweep")["groups"]] == [2, 1, 2]


def test_a_group_that_cannot_be_trained_fails_and_the_others_go_on(nnrun, tmp_path, monkeypatch):
    run = Local.run

    def broken(self, group, jobs):
        if group.number == 0:
            raise RuntimeError("no such thing")
        return run(self, group, jobs)

    monkeypatch.setattr(Local, "run", broken)
    assert nnrun(*SMALL, "training.epochs=1", "model.activation=relu,tanh", "seed=0,1").code == 0
    trials, _ = ledger(tmp_path / "sweep")
    assert [state for _, state, *_ in trials] == ["failed", "failed", "completed", "completed"]
    assert summary(tmp_path / "sweep" / "0")["error"] == trials[0][-1] == "RuntimeError: no such thing"
    assert "no such thing" in (tmp_path / "sweep" / "run.log").read_text()


def test_a_mistake_that_only_the_data_tell_leaves_no_folder(nnrun, tmp_path):
    words = ("-m", "model=autoencoder", "model.output_activation=sigmoid", "task.loss=binary_cross_entropy")
    done = nnrun(*words, "dataset=wine", "hydra.sweep.dir=sweep", "seed=0,1")
    assert done.code == 2
    assert done.err.startswith("nnrun: task.loss=binary_cross_entropy needs inputs between 0 and 1")
    assert not names(tmp_path)


def test_data_that_cannot_be_loaded_hold_up_their_own_trials_alone(nnrun, tmp_path, monkeypatch):
    def missing(self):
        raise RunError("wine.csv is gone.")

    words = (
        "-m",
        "dataset=wine,iris",
        "objective.metric=val/loss",
        "training.epochs=1",
        "model.hidden_sizes=[8]",
        "hydra.sweep.dir=sweep",
    )
    with monkeypatch.context() as patch:
        patch.setattr(Wine, "load", missing)
        done = nnrun(*words)
    text = "wine.csv is gone. What was measured is kept. To continue: nnrun resume sweep"
    assert (done.code, done.err) == (1, f"nnrun: {text}\n")
    assert [state for _, state, *_ in ledger(tmp_path / "sweep")[0]] == ["waiting", "completed"]
    assert nnrun("resume", "sweep").code == 0
    assert [state for _, state, *_ in ledger(tmp_path / "sweep")[0]] == ["completed", "completed"]


def test_resume_keeps_a_sweep_whose_trials_all_wait_for_data_that_are_gone(nnrun, tmp_path):
    table, away = tmp_path / "table.csv", tmp_path / "away.csv"
    table.write_text("a,b,y\n" + "".join(f"{i},{i % 7},{i * 0.5}\n" for i in range(60)))
    words = ("-m", "dataset=csv", "dataset.path=table.csv", "dataset.target=y", *SMALL[2:], "seed=0,1")
    assert nnrun(*words).code == 0
    sweep = tmp_path / "sweep"
    reset(sweep)
    table.rename(away)
    before = names(sweep)
    done = nnrun("resume", "sweep")
    assert done.code == 2
    assert "table.csv" in done.err
    assert names(sweep) == before
    away.rename(table)
    assert nnrun("resume", "sweep").code == 0
    assert [state for _, state, *_ in ledger(sweep)[0]] == ["completed", "completed"]


def reset(sweep):
    """Makes the trials of a sweep wait again, as before any was trained."""
    database = sqlite3.connect(sweep / "sweep.db")
    database.execute("UPDATE trials SET state = 'waiting', objective = NULL")
    database.execute("DELETE FROM metrics")
    database.commit()
    database.close()
    (sweep / "sweep.yaml").write_text((sweep / "sweep.yaml").read_text().replace("completed", "failed"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: replace(data, train=take(data.train, slice(9))), "22 examples, now 9 + 22 + 22 examples"),
        (
            lambda data: replace(data, input_scaling=replace(data.input_scaling, offset=data.input_scaling.offset + 1)),
            "and other values in the training part",
        ),
    ],
)
def test_a_group_does_not_go_on_with_other_data(nnrun, tmp_path, monkeypatch, change, text):
    save, load = SweepFolder.save_group, Iris.load

    def killed(self, *args):
        save(self, *args)
        raise OSError(errno.EIO, "the plug was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(SweepFolder, "save_group", killed)
        assert nnrun(*SMALL, "training.checkpoint_seconds=0", "seed=0,1").code == 1
    with monkeypatch.context() as patch:
        patch.setattr(Iris, "load", lambda self: change(load(self)))
        done = nnrun("resume", "sweep")
    assert done.code == 1
    assert done.err.startswith("nnrun: The data of sweep changed while its trials were trained: it had 106 + 22 + 22 ")
    assert text in done.err
    assert done.err.endswith("Put the old data back, then: nnrun resume sweep\n")
    assert {state for _, state, *_ in ledger(tmp_path / "sweep")[0]} == {"running"}
    assert nnrun("resume", "sweep").code == 0
