"""Executors: the template of the documentation trains a sweep as the groups of this machine do."""

import sqlite3

import numpy as np

from tests import documented

WORDS = ("-m", "debug=tiny", "dataset=iris", "optimizer.learning_rate=1e-3,1e-2,1e30", "execution=serial")


def ledger(folder):
    """Trials without their seconds, and metrics without those of an epoch."""
    database = sqlite3.connect(folder / "sweep.db")
    trials = database.execute("SELECT number, state, params, objective, metrics, error FROM trials").fetchall()
    metrics = database.execute("SELECT trial, epoch, name, value FROM metrics WHERE name != 'seconds'").fetchall()
    database.close()
    return trials, metrics


def test_the_executor_of_the_documentation_trains_a_sweep(nnrun, tmp_path, monkeypatch):
    code: dict = {}
    exec(documented.file("one_by_one.py"), code)
    assert nnrun(*WORDS, "hydra.sweep.dir=local").code == 0
    monkeypatch.setattr("nnrun.sweeps.sweep.Local", lambda *given: code["OneByOne"]())
    assert nnrun(*WORDS, "hydra.sweep.dir=own").code == 0
    local, own = ledger(tmp_path / "local"), ledger(tmp_path / "own")
    assert [state for _, state, *_ in own[0]] == ["completed", "completed", "failed"]
    assert own == local
    for name in ("0/metrics.csv", "1/metrics.csv"):
        rows = [np.genfromtxt(tmp_path / of / name, delimiter=",", names=True) for of in ("local", "own")]
        assert np.array_equal(rows[0]["valloss"], rows[1]["valloss"])
