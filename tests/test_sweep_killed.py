"""Sudden death and signals: a sweep that goes on ends with the ledger of one that was never disturbed."""

import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from nnrun.folders.ledger import Ledger
from tests.sweep_folders import assert_same, ledger, measured, names, pictures, record, table

KILLS = int(os.environ.get("NNRUN_KILLS", "3"))
SMALL = ("-m", "dataset=iris", "training.early_stopping.patience=1", "hydra.sweep.dir=sweep")
SMALL = (*SMALL, "training.checkpoint_seconds=0", "report.slow_baselines=false")
GRID = (*SMALL, "training.epochs=6", "model.hidden_sizes=[8],[64,64]", "optimizer.learning_rate=1e-3,1e-1,1e30")
"""A group under vmap and one under map, in each a trial that fails and one that stops early."""
PRUNED = ("search.pruning=successive_halving", "search.pruning_first_epoch=1", "search.pruning_factor=2")
PRUNED = (
    *SMALL,
    "training.epochs=4",
    "model.hidden_sizes=[8],[64,64]",
    "optimizer.learning_rate=1e-4,1e-3,1e-1",
    *PRUNED,
)
"""Two groups that wait for each other after epochs 1 and 2."""
FOLDED = (
    *SMALL,
    "training.epochs=4",
    "training.folds=2",
    "training.repeats=2",
    "optimizer.learning_rate=1e-3,1e-1,1e30",
)
"""Three trials of four networks each, of which one fails."""
BAYES = ("search=bayes", "search.trials=8", "search.parallel_trials=3", "search.initial_trials=3")
BAYES = (*SMALL, *BAYES, "training.epochs=2", "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))")

pytestmark = pytest.mark.usefixtures("pictures")

DRIVER = """
    import faulthandler, os, signal, sys, threading
    faulthandler.dump_traceback_later(900, exit=True)
    from nnrun.commands import cli
    from nnrun.sweeps import drawing, results
    from nnrun.execution import devices, vectorized
    from nnrun.folders.ledger import Ledger

    devices.cores = lambda: 2
    point, count, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    calls = []

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def before(owner, name, act, counts=lambda *_: True):
        original = getattr(owner, name)
        def wrapped(*args, **kwargs):
            if counts(*args):
                calls.append(name)
                if len(calls) == count:
                    act()
            return original(*args, **kwargs)
        setattr(owner, name, wrapped)

    def is_state(_, path):
        return path.parent.name == "groups" and path.stem.isdecimal()

    def soon():
        threading.Timer(delay, die).start()

    points = {
        "compiling": lambda: before(vectorized.GroupRun, "compile", soon),
        "training": lambda: before(vectorized.GroupRun, "steps", soon),
        "saving": lambda: before(os, "replace", die, is_state),
        "recording": lambda: before(Ledger, "record", die),
        "reporting": lambda: before(results.Results, "tabulate", soon),
        "crowning": lambda: before(results.Run, "crown", soon),
    }
    if point not in ("reporting", "crowning"):
        drawing._start = lambda: None  # a process that would draw what is never asked for
    points[point]()
    sys.exit(cli.run(sys.argv[4:]))
"""
POINTS = ("saving", "compiling", "reporting", "recording", "training", "crowning")


def killed(folder, point, count, delay, *words):
    """Whether a process that runs a command was killed before its end."""
    words = [sys.executable, "-c", textwrap.dedent(DRIVER), point, str(count), str(delay), *words]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=1200)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    """Runs a sweep to its end, once for all tests."""
    found = {}

    def run(words):
        if words not in found:
            found[words] = tmp_path_factory.mktemp("undisturbed")
            with pictures():
                done = command(*words, folder=found[words])
            assert done.code == 0, done
        return found[words] / "sweep"

    return run


def test_the_undisturbed_sweep_has_ends_of_every_kind(undisturbed):
    trials, _ = ledger(undisturbed(GRID))
    assert [state for _, state, *_ in trials] == ["completed", "completed", "failed"] * 2
    assert {group["batching"] for group in record(undisturbed(GRID))["groups"]} == {"map", "vmap"}
    lengths = table(undisturbed(GRID), "SELECT COUNT(DISTINCT epoch) FROM metrics GROUP BY trial")
    assert len({length for (length,) in lengths}) > 1


def test_after_kill_9_at_any_moment_resume_ends_with_the_same_ledger(command, tmp_path, undisturbed):
    dice = random.Random(KILLS)
    folder, kills, sweeps = tmp_path / "0", 0, itertools.cycle((PRUNED, GRID, FOLDED))
    sweep = next(sweeps)
    while kills < KILLS:
        folder.mkdir(exist_ok=True)
        words = ("resume", "sweep") if (folder / "sweep" / "sweep.yaml").exists() else sweep
        point = POINTS[kills % len(POINTS)]
        count = dice.randint(1, 4) if point in ("saving", "recording", "training") else 1
        if killed(folder, point, count, dice.uniform(0, 0.6), *words):
            kills += 1
        if (folder / "sweep" / "sweep.yaml").exists() and record(folder / "sweep")["status"] == "completed":
            assert_same(folder / "sweep", undisturbed(sweep))
            folder, sweep = tmp_path / str(kills), next(sweeps)
    if (folder / "sweep" / "sweep.yaml").exists():
        assert command("resume", "sweep", folder=folder).code == 0
        assert_same(folder / "sweep", undisturbed(sweep))


def test_a_bayesian_search_that_is_killed_asks_the_same_points_again(command, tmp_path, undisturbed):
    assert killed(tmp_path, "recording", 3, 0, *BAYES)
    assert 3 <= len(ledger(tmp_path / "sweep")[0]) < 8
    assert command("resume", "sweep", folder=tmp_path).code == 0
    assert_same(tmp_path / "sweep", undisturbed(BAYES))


def test_ctrl_c_saves_the_group_and_resume_goes_on_from_there(command, tmp_path, monkeypatch, undisturbed):
    recorded, calls = Ledger.record, []

    def record_then_signal(self, *args):
        recorded(self, *args)
        calls.append(args)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", record_then_signal)
        done = command(*GRID, folder=tmp_path)
    assert (done.code, done.err) == (130, "")
    assert done.out.endswith("To continue: nnrun resume sweep\n")
    assert record(tmp_path / "sweep")["status"] == "interrupted"
    assert "0.safetensors" in names(tmp_path / "sweep" / "groups")
    before = len(table(tmp_path / "sweep", "SELECT DISTINCT epoch FROM metrics"))
    assert before == 3
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", lambda self, *args: (calls.append(args), recorded(self, *args)))
        assert command("resume", "sweep", folder=tmp_path).code == 0
    first = next(rows for rows, *_ in calls if rows)
    assert {row["epoch"] for row in first.values()} == {before + 1}
    assert_same(tmp_path / "sweep", undisturbed(GRID))


def test_ctrl_c_ends_the_process_long_before_its_last_epoch(tmp_path):
    words = ["-m", "dataset=iris", "training.epochs=100000", "seed=0,1", "hydra.sweep.dir=my sweep"]
    with subprocess.Popen(
        [sys.executable, "-m", "nnrun", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline, folder = time.time() + 900, tmp_path / "my sweep"
        while not measured(folder):
            assert process.poll() is None, process.stderr.read()
            assert time.time() < deadline
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (130, "")
    assert out.endswith("To continue: nnrun resume 'my sweep'\n")
    assert [state for _, state, *_ in ledger(folder)[0]] == ["running", "running"]
    assert names(folder / "groups") == {"0.safetensors"}
