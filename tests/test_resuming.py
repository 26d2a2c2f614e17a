"""`nnrun resume RUN`: more epochs, unusable checkpoints, and what is refused."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import jax
import numpy as np
import pytest
import yaml
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from nnrun.datasets.iris import Iris
from nnrun.execution.serial import SerialRun
from nnrun.folders import checkpoint
from nnrun.folders.run_folder import dump_yaml
from nnrun.host.disk import hold
from nnrun.host.interruption import Interrupted
from tests.test_run import rows, summary

RUN = ("debug=tiny", "dataset=iris", "model.dropout=0.2", "hydra.run.dir=run")


@pytest.fixture(scope="module")
def trained(command, tmp_path_factory):
    """The folder of a run of so many epochs under a schedule; a copy, for writing too."""
    kept = {}

    def make(epochs, schedule, into):
        if (epochs, schedule) not in kept:
            kept[epochs, schedule] = tmp_path_factory.mktemp("trained") / "run"
            words = (*RUN[:-1], f"schedule={schedule}", f"training.epochs={epochs}", "hydra.run.dir=run")
            assert command(*words, folder=kept[epochs, schedule].parent).code == 0
        shutil.copytree(kept[epochs, schedule], into / "run")
        return into / "run"

    return make


def interrupt(folder, **training):
    """Makes a completed run's folder that of one that was stopped at its newest checkpoint, with other settings."""
    (folder / "summary.json").write_text(json.dumps(summary(folder) | {"status": "interrupted"}))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["training"] |= training
    (folder / "config.yaml").write_text(dump_yaml(config))


def assert_same_end(folder, other):
    assert rows(folder, {"seconds"}) == rows(other, {"seconds"})
    for name in ("model.safetensors", "predictions.csv", "config.yaml"):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    apart = {"seconds": 0, "command": 0}
    assert summary(folder) | apart == summary(other) | apart
    ours, theirs = (load_file(checkpoint.checkpoints(run / "checkpoints")[0]) for run in (folder, other))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


@pytest.mark.parametrize("schedule", ["constant", "reduce_on_plateau"])
def test_more_epochs_of_a_completed_run_are_as_if_asked_for_at_once(nnrun, tmp_path, trained, schedule):
    folder = trained(3, schedule, tmp_path)
    (tmp_path / "once").mkdir()
    done = nnrun("resume", "run", "training.epochs=5")
    assert done.code == 0, done
    assert done.out.splitlines()[1].startswith("Continuing from step 15, epoch 4.")
    assert_same_end(folder, trained(5, schedule, tmp_path / "once"))
    assert summary(folder)["command"].split()[-2:] == ["hydra.run.dir=run", "training.epochs=5"]
    assert summary(folder)["command"].count("training.epochs") == 1


def test_a_schedule_goes_on_over_the_new_length_and_says_so(nnrun, tmp_path, trained):
    folder = trained(3, "cosine", tmp_path)
    done = nnrun("resume", "run", "training.epochs=6")
    assert done.code == 0
    text = (
        "The learning rate goes on at 50% of its schedule over 6 epochs instead of 3: not the same as 6 epochs from "
        "the start."
    )
    assert done.out.splitlines()[1] == text
    rates = [float(row["learning_rate"]) for row in rows(folder)]
    assert rates[3] > rates[2]
    last_steps = np.array([19, 24, 29])
    assert rates[3:] == pytest.approx(1e-3 * (1 + np.cos(np.pi * last_steps / 30)) / 2, rel=1e-4)


def test_patience_that_ran_out_in_the_last_epoch_would_have_stopped_a_longer_run_too(nnrun, tmp_path):
    words = ("optimizer.learning_rate=1", "training.early_stopping.patience=1")
    assert nnrun(*RUN, *words, "training.epochs=20").code == 0
    stopped = summary(tmp_path / "run")["epochs"]
    assert stopped < 20
    assert nnrun(*RUN[:-1], *words, f"training.epochs={stopped}", "hydra.run.dir=short").code == 0
    assert not summary(tmp_path / "short")["stopped_early"]
    assert nnrun("resume", "short", "training.epochs=20").code == 0
    assert_same_end(tmp_path / "short", tmp_path / "run")
    done = nnrun("resume", "short", "training.epochs=40")
    text = (
        f"short is completed: it stopped early after epoch {stopped} of 20, when training.early_stopping.patience ran "
        "out, and would with more epochs too. To be more patient: nnrun repeat short "
        "training.early_stopping.patience=N"
    )
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_a_checkpoint_of_another_version_is_named_and_the_one_before_is_used(nnrun, tmp_path, trained):
    folder = trained(3, "constant", tmp_path)
    assert nnrun("resume", "run", "training.epochs=5").code == 0
    interrupt(folder)
    newest, _ = checkpoint.checkpoints(folder / "checkpoints")
    arrays = load_file(newest)
    save_file(arrays | {"ema": np.zeros(3, np.float32)}, newest)
    done = nnrun("resume", "run")
    assert done.code == 0
    text = "was written by another version of nnrun: it holds ema, which is unknown here."
    warning = f"Warning: {newest.relative_to(tmp_path)} {text} Falling back to the checkpoint before."
    assert f"{warning}\nContinuing from step 15, epoch 4." in done.out
    (tmp_path / "once").mkdir()
    assert_same_end(folder, trained(5, "constant", tmp_path / "once"))


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda arrays: arrays.pop("step"), "it lacks step"),
        (lambda arrays: arrays.update(step=arrays["step"].reshape(1)), "step is int32 of shape (1,), not int32 of "),
        (lambda arrays: arrays.update(step=np.ones((), np.float32)), "step is float32 of shape (), not int32 of "),
        (lambda arrays: None, "it lacks history"),
    ],
)
def test_with_no_usable_checkpoint_training_starts_over(nnrun, tmp_path, trained, damage, text):
    folder = trained(3, "constant", tmp_path)
    interrupt(folder)
    (path,) = checkpoint.checkpoints(folder / "checkpoints")
    arrays = load_file(path)
    damage(arrays)
    save_file(arrays, path)
    done = nnrun("resume", "run")
    assert done.code == 0
    assert f"was written by another version of nnrun: {text}" in done.out
    assert "No usable checkpoint: starting over.\n" in done.out
    assert "\nepoch 1/3" in done.out
    assert "Falling back" not in done.out
    (tmp_path / "once").mkdir()
    assert_same_end(folder, trained(3, "constant", tmp_path / "once"))


def test_data_that_changed_is_refused_and_the_folder_stays_as_it_was(nnrun, tmp_path, trained, monkeypatch):
    folder = trained(3, "constant", tmp_path)
    names = ("config.yaml", "summary.json", "preprocessing.json", "metrics.csv", "model.safetensors")
    before = {name: (folder / name).read_bytes() for name in names}
    load = Iris.load

    def load_changed(self):
        data = load(self)
        return replace(data, input_scaling=replace(data.input_scaling, offset=data.input_scaling.offset + 1))

    monkeypatch.setattr(Iris, "load", load_changed)
    done = nnrun("resume", "run", "training.epochs=5")
    text = (
        "The data of run changed since it was trained: it had 68 + 14 + 14 examples, now 68 + 14 + 14 examples, and "
        "other values in the training part. Put the old data back, or train anew: nnrun repeat run"
    )
    assert (done.code, done.err) == (1, f"nnrun: {text}\n")
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_ctrl_c_before_training_goes_on_leaves_the_folder_as_it_was(nnrun, tmp_path, trained, monkeypatch):
    folder = trained(3, "constant", tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.name != "run.log"}

    def interrupted(self):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(SerialRun, "compile", interrupted)
    done = nnrun("resume", "run", "training.epochs=5")
    assert (done.code, done.err) == (130, "")
    assert done.out.endswith("Interrupted before training went on. run is as it was.\n")
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.name != "run.log"} == before


def test_other_versions_and_devices_are_said(nnrun, tmp_path, trained):
    folder = trained(3, "constant", tmp_path)
    interrupt(folder, epochs=4)
    (path,) = checkpoint.checkpoints(folder / "checkpoints")
    with safe_open(path, framework="numpy") as file:
        notes = json.loads(file.metadata()["nnrun"])
    notes["notes"]["made_with"] |= {"jax": "0.1", "devices": "8 x tpu"}
    save_file(load_file(path), path, {"nnrun": json.dumps(notes)})
    text = (
        f"Numbers may differ in their last digits from those of one run: jax 0.1 then, {jax.__version__} now, devices "
        "8 x tpu then, 2 x cpu now.\nContinuing from step 15, epoch 4."
    )
    assert text in nnrun("resume", "run").out


def test_a_run_that_another_process_works_on_is_not_resumed(nnrun, tmp_path, trained):
    folder = trained(3, "constant", tmp_path)
    interrupt(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    text = "Another process works on run. Wait for it or stop it, then: nnrun resume run"
    with hold(folder, "run.log"):
        done = nnrun("resume", "run")
    assert (done.code, done.out, done.err) == (2, "", f"nnrun: {text}\n")
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_a_live_run_holds_its_folder_and_a_dead_one_lets_go(nnrun, tmp_path):
    words = ["debug=tiny", "dataset=iris", "training.epochs=100000", "hydra.run.dir=run"]
    with subprocess.Popen([sys.executable, "-m", "nnrun", *words], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        deadline = time.time() + 900
        while not (tmp_path / "run" / "metrics.csv").exists():
            assert process.poll() is None
            assert time.time() < deadline
            time.sleep(0.1)
        done = nnrun("resume", "run")
        process.send_signal(signal.SIGKILL)
    assert (done.code, done.err.startswith("nnrun: Another process works on run.")) == (2, True)
    hold(tmp_path / "run", "run.log").close()


REFUSED = [
    (
        ["run", "seed=1"],
        "nnrun resume can raise training.epochs alone, because with another seed the epochs so far would not be those "
        "of one run. Start a new one: nnrun repeat run seed=1",
    ),
    (
        ["run"],
        "run is completed: nothing is left to resume. For more epochs: nnrun resume run training.epochs=N",
    ),
    *(
        (
            ["run", word],
            f"training.epochs can only be raised: it must be an integer > 3, but got {got}. Set for example "
            "training.epochs=6.",
        )
        for word, got in [
            ("training.epochs=3", "3"),
            ("training.epochs=-1", "-1"),
            ("training.epochs=", "nothing"),
            ("9", "9"),
        ]
    ),
    (["run", "training.epochs=5", "x"], "nnrun resume takes nothing more, but got x. Write: "),
    (["run", "--force"], "nnrun resume has no option --force. "),
    ([], "nnrun resume needs RUN|SWEEP, for example nnrun resume outputs/runs/DATE/TIME_lstm_sine"),
]


@pytest.mark.parametrize(("words", "text"), REFUSED)
def test_what_is_refused(nnrun, tmp_path, trained, words, text):
    trained(3, "constant", tmp_path)
    done = nnrun("resume", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"nnrun: {text}")


def test_a_completed_run_without_checkpoints_has_nothing_to_go_on_from(nnrun, tmp_path, trained):
    shutil.rmtree(trained(3, "constant", tmp_path) / "checkpoints")
    done = nnrun("resume", "run", "training.epochs=5")
    text = "run has no checkpoint to go on from. Train anew: nnrun repeat run training.epochs=5"
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_a_trial_of_a_sweep_is_left_to_the_sweep(nnrun, tmp_path, trained):
    trained(3, "constant", tmp_path)
    (tmp_path / "sweep.yaml").write_text("")
    done = nnrun("resume", "run", "training.epochs=5")
    assert done.code == 2
    assert re.match(r"nnrun: run belongs to a sweep, .* or train this one alone: nnrun repeat run\n", done.err)
