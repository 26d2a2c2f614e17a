"""Sudden death: a run that is killed and resumed ends with the files of one that was never disturbed."""

import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from nnrun.folders import checkpoint
from tests import sweep_folders
from tests.test_run import rows, summary

KILLS = int(os.environ.get("NNRUN_KILLS", "3"))
RUN = ("debug=tiny", "dataset=iris", "model.dropout=0.2", "model.normalization=batch", "schedule=reduce_on_plateau")
RUN = (*RUN, "schedule.patience=1", "training.early_stopping.patience=4", "training.checkpoint_seconds=0")
# Not val/loss: of so few validation examples it would leave the last epoch to be the best.
RUN = (*RUN, "objective.metric=val/log_loss", "optimizer.learning_rate=1e-1", "training.epochs=16", "hydra.run.dir=run")
"""Momenta, running statistics, a schedule and a patience with memory; a checkpoint after every step."""

DRIVER = """
    import faulthandler, os, signal, sys, threading
    faulthandler.dump_traceback_later(900, exit=True)
    from nnrun.commands import cli
    from nnrun.execution import devices
    from nnrun.execution.serial import SerialRun
    from nnrun.folders import checkpoint
    from nnrun.folders.run_folder import RunFolder
    from nnrun.training import fit

    fit.STRETCH_SECONDS = 0.0
    devices.cores = lambda: 2
    point, count, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    calls = []

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def soon(delay=delay):
        threading.Timer(delay, die).start()

    def lose_power(path):
        path.write_bytes(path.read_bytes()[: -int(100 * delay) - 1])
        die()

    def around(owner, name, before=lambda *_: None, after=lambda *_: None, counts=lambda *_: True):
        original = getattr(owner, name)
        def wrapped(*args, **kwargs):
            calls.extend([name] if counts(*args) else [])
            now = counts(*args) and len(calls) == count
            if now:
                before(*args)
            result = original(*args, **kwargs)
            if now:
                after(*args)
            return result
        setattr(owner, name, wrapped)

    def is_state(_, path):
        return path.parent.name == "checkpoints"

    points = {
        "between writing and renaming a checkpoint": lambda: around(os, "replace", lambda *_: die(), counts=is_state),
        "with a checkpoint half on the disk": lambda: around(
            os, "replace", after=lambda _, path: lose_power(path), counts=is_state
        ),
        "training": lambda: around(SerialRun, "steps", lambda *_: soon()),
        "compiling": lambda: around(SerialRun, "compile", lambda *_: soon()),
        "writing a checkpoint": lambda: around(checkpoint, "save_checkpoint", lambda *_: soon(delay / 100)),
        "reporting": lambda: around(RunFolder, "write_columns", lambda *_: soon()),
        "recording an epoch": lambda: around(RunFolder, "append_metrics", lambda *_: die()),
    }
    points[point]()
    sys.exit(cli.run(sys.argv[4:]))
"""
POINTS = {
    "between writing and renaming a checkpoint": 20,
    "with a checkpoint half on the disk": 20,
    "training": 8,
    "recording an epoch": 4,
    "writing a checkpoint": 20,
    "compiling": 1,
    "reporting": 1,
}
"""With the most calls of it that are waited for."""


def killed(folder, point, count, delay, *words):
    """Whether a process that runs a command was killed before its end, and what it said."""
    words = [sys.executable, "-c", textwrap.dedent(DRIVER), point, str(count), str(delay), *words]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=1200)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0, done.stdout


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    with sweep_folders.pictures():
        done = command(*RUN, folder=folder)
    assert done.code == 0, done
    return folder / "run"


def assert_same(resumed, undisturbed):
    """Every file but for seconds, run.log and the checkpoint before the newest, whose step the clock decides."""
    assert rows(resumed, {"seconds"}) == rows(undisturbed, {"seconds"})
    assert summary(resumed) | {"seconds": 0} == summary(undisturbed) | {"seconds": 0}
    ours, theirs = ({str(path.relative_to(run)) for path in files(run)} for run in (resumed, undisturbed))
    assert ours == theirs
    for name in ours - {"metrics.csv", "summary.json", "run.log"}:
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes(), name
    (ours, one), (theirs, other) = (newest(run) for run in (resumed, undisturbed))
    assert (ours, one.keys()) == (theirs, other.keys())
    jax.tree.map(np.testing.assert_array_equal, one, other)


def status(folder):
    """What the summary of the folder's run says, nothing before it was begun."""
    return summary(folder / "run")["status"] if (folder / "run" / "summary.json").exists() else None


def files(run):
    return [path for path in run.rglob("*") if path.is_file() and path.parent.name != "checkpoints"]


def newest(run):
    *_, path = sorted((run / "checkpoints").iterdir())
    assert len(list((run / "checkpoints").iterdir())) <= checkpoint.KEPT
    return path.name, load_file(path)


def test_the_undisturbed_run_uses_all_that_can_be_lost(undisturbed):
    found = summary(undisturbed)
    assert found["stopped_early"]
    assert found["epochs"] > found["objective"]["epoch"] > 1
    assert len({row["learning_rate"] for row in rows(undisturbed)}) > 1


def test_after_kill_9_at_any_moment_resume_ends_with_the_same_files(command, tmp_path, undisturbed, pictures):
    dice, folders = random.Random(KILLS), (tmp_path / str(number) for number in itertools.count())
    folder, kills, said = next(folders), 0, ""
    while kills < KILLS:
        folder.mkdir(exist_ok=True)
        words = ("resume", "run") if status(folder) else RUN
        point, most = list(POINTS.items())[kills % len(POINTS)]
        died, text = killed(folder, point, dice.randint(1, most), dice.uniform(0, 0.3), *words)
        kills, said = kills + died, said + text
        if status(folder) == "completed":
            assert_same(folder / "run", undisturbed)
            folder = next(folders)
    if status(folder):
        done = command("resume", "run", folder=folder)
        assert done.code == 0, done
        assert_same(folder / "run", undisturbed)
        said += done.out
    assert "is damaged (" in said
    assert "Falling back to the checkpoint before." in said
    assert "Continuing from step " in said
