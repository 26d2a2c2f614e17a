"""Signals and sudden death: the exit code, the saved state, and a resumed run that equals an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from nnrun.host.terminal import Terminal
from tests import sweep_folders
from tests.test_run import rows, summary

RUN = ("debug=tiny", "dataset=iris", "model.dropout=0.2", "training.epochs=8", "hydra.run.dir=run")
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    with sweep_folders.pictures():
        assert command(*RUN, folder=folder).code == 0
    return folder / "run"


def assert_equal(resumed, uninterrupted):
    assert rows(resumed, {"seconds"}) == rows(uninterrupted, {"seconds"})
    for name in ("model.safetensors", "predictions.csv", "figures/learning_curves.png"):
        assert (resumed / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    assert summary(resumed) | {"seconds": 0} == summary(uninterrupted) | {"seconds": 0}


def signal_at(monkeypatch, epoch, number):
    shown = Terminal.epoch

    def show(self, row, *rest):
        shown(self, row, *rest)
        if row["epoch"] == epoch:
            signal.raise_signal(number)

    monkeypatch.setattr(Terminal, "epoch", show)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_saves_the_state_and_resume_equals_never_having_stopped(
    nnrun, tmp_path, monkeypatch, uninterrupted, pictures, number, code
):
    before = [signal.getsignal(each) for each, _ in SIGNALS]
    with monkeypatch.context() as patch:
        signal_at(patch, 3, number)
        done = nnrun(*RUN)
    folder = tmp_path / "run"
    assert (done.code, done.err) == (code, "")
    assert done.out.endswith(f"Interrupted in epoch 4. To continue: nnrun resume {folder}\n")
    assert summary(folder)["status"] == "interrupted"
    assert summary(folder)["error"] == number.name
    assert len(rows(folder)) == 3
    assert (folder / "model.safetensors").exists()
    assert [signal.getsignal(each) for each, _ in SIGNALS] == before
    done = nnrun("resume", "run")
    assert done.code == 0
    assert "Continuing from step 15, epoch 4." in done.out
    assert_equal(folder, uninterrupted)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("nnrun.commands.train.start", []),
        ("nnrun.commands.train.start", ["hydra.run.dir=mine"]),
        ("nnrun.sweeps.sweep.Sweep", ["-m", "seed=0,1"]),
    ],
)
def test_an_interrupt_while_imports_run_leaves_no_folder(nnrun, tmp_path, monkeypatch, part, words):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(part, interrupted)
    done = nnrun(*words, "debug=tiny", "dataset=iris")
    assert (done.code, done.err) == (130, "nnrun: Interrupted before anything was trained.\n")
    assert not [folder for folder in tmp_path.rglob("*") if "iris" in folder.name or folder.name == "mine"]


def test_an_interrupt_leaves_a_folder_that_was_there(nnrun, tmp_path, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnrun.commands.train.start", interrupted)
    (tmp_path / "mine").mkdir()
    assert nnrun("debug=tiny", "dataset=iris", "hydra.run.dir=mine").code == 130
    assert (tmp_path / "mine").is_dir()


def wait_for_rows(process, folder, seconds=900):
    deadline = time.time() + seconds
    while not (folder / "metrics.csv").exists() or len(rows(folder)) < 2:
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_to_the_process_ends_it_long_before_its_last_epoch(tmp_path, number, code):
    words = ["debug=tiny", "dataset=iris", "training.epochs=100000", "hydra.run.dir=run"]
    with subprocess.Popen(
        [sys.executable, "-m", "nnrun", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_rows(process, tmp_path / "run")
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (code, "")
    assert f"To continue: nnrun resume {tmp_path}/run" in out
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "interrupted"
    assert list((tmp_path / "run" / "checkpoints").iterdir())


WATCH = """
    import signal, sys, time
    from nnrun.host.interruption import Watch
    with Watch(lambda interrupted: print("emergency", interrupted, flush=True)):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(3600)
"""


def test_where_nothing_looks_up_the_process_ends_by_itself():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(WATCH)], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout, done.stderr) == (143, "emergency SIGTERM\n", "")


SLOW = """
    import signal
    from nnrun.host import interruption
    from nnrun.host.interruption import Interrupted, Watch
    interruption.GRACE_SECONDS = 600
    with Watch(lambda interrupted: print("emergency", flush=True)) as watch:
        signal.raise_signal(signal.SIGINT)
        assert watch.heard()
        watch._thread.join()
        try:
            watch.check()
        except Interrupted as interrupted:
            print("saved", interrupted.exit_code)
"""


def test_a_caller_that_heard_the_signal_may_take_its_time_to_save():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SLOW)], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout, done.stderr) == (0, "saved 130\n", "")


TWICE = """
    import signal, time
    from nnrun.host import interruption
    from nnrun.host.interruption import Watch
    interruption.GRACE_SECONDS = 600
    with Watch(lambda interrupted: print("emergency", flush=True)) as watch:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.3)
        signal.raise_signal(signal.SIGTERM)
        assert watch.heard()
"""


def test_a_second_signal_finds_the_pipe_still_open():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(TWICE)], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


STUCK = """
    import signal, time
    from nnrun.host.interruption import Watch
    def emergency(interrupted):
        raise OSError("No space left on device")
    with Watch(emergency):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(3600)
"""


def test_a_disk_that_is_full_does_not_keep_the_process_alive():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(STUCK)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 143
