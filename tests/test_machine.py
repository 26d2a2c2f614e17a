"""A machine that is set up otherwise: another locale, no home, an output that takes nothing."""

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import polars
import pytest
from jax.experimental.compilation_cache import compilation_cache

from nnrun.folders import columns_file
from nnrun.folders.run_folder import RunFolder
from nnrun.folders.sweep_folder import SweepFolder
from nnrun.host import disk, interruption, terminal
from nnrun.host.terminal import Terminal

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""What makes ASCII the encoding of files, and of the terminal."""
TINY = ("model=mlp", "model.hidden_sizes=[4]", "training.epochs=2", "report.slow_baselines=false", "hydra.run.dir=run")


@pytest.fixture
def start(tmp_path):
    """Runs the command in a process of its own, in the test's folder."""

    def run(*words, variables=(), through=()):
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | dict(variables)
        command = [*through, sys.executable, "-m", "nnrun", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True)

    return run


def test_names_in_any_alphabet_are_kept_where_the_machine_knows_ascii_alone(start, tmp_path):
    rows = [f"{i % 7},{('Αθήνα', 'Πάτρα')[i % 2]},{i % 7 + i % 2}.5" for i in range(60)]
    (tmp_path / "greek.csv").write_text("\n".join(["θερμοκρασία,πόλη,τιμή", *rows]) + "\n", encoding="utf-8")
    done = start(*TINY, "dataset=csv", "dataset.path=greek.csv", "dataset.target=-1", variables=ASCII)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "τιμή" in (tmp_path / "run" / "predictions.csv").read_text(encoding="utf-8")
    shown = start("predict", "run", "nothing_καμία.csv", variables=ASCII)
    assert (shown.returncode, b"Traceback" in shown.stderr) == (2, False)


def test_without_a_home_compiled_programs_lie_in_a_temporary_folder_of_ones_own(tmp_path, monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NNRUN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    disk._temporary.cache_clear()
    found = disk.cache_folder()
    assert found == tmp_path / f"nnrun-{os.getuid()}"
    assert found.stat().st_mode & 0o777 == 0o700
    # Somebody else could have put programs there.
    found.chmod(0o777)
    disk._temporary.cache_clear()
    assert disk.cache_folder() != found
    disk._temporary.cache_clear()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
@pytest.mark.parametrize("where", [">&- 2>&-", ">/dev/full"])
def test_an_output_that_takes_nothing_ends_no_training(start, tmp_path, where):
    done = start(*TINY, "dataset=iris", through=["sh", "-c", f'exec "$@" {where}', "sh"])
    assert done.returncode == 0, done.stderr
    assert '"status": "completed"' in (tmp_path / "run" / "summary.json").read_text()


def test_a_damaged_compile_cache_is_compiled_anew_in_silence(nnrun, tmp_path, monkeypatch):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path / "cache"))
    words = (*TINY[:-1], "dataset=iris")
    with restored_cache():
        assert nnrun(*words, "hydra.run.dir=one").code == 0
        for path in (tmp_path / "cache" / "programs").glob("*-cache"):
            path.write_bytes(b"damaged")
        jax.clear_caches()
        done = nnrun(*words, "hydra.run.dir=two")
    assert (done.code, done.err) == (0, "")
    one, two = ((tmp_path / name / "predictions.csv").read_bytes() for name in ("one", "two"))
    assert one == two


@contextlib.contextmanager
def restored_cache():
    """The process's own cache of compiled programs afterwards, without what was compiled into another."""
    compilation_cache.reset_cache()
    jax.clear_caches()
    try:
        yield
    finally:
        os.environ.pop("NNRUN_CACHE")
        compilation_cache.reset_cache()


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_folder_that_is_deleted_meanwhile_is_told_as_gone(nnrun, tmp_path, monkeypatch, kind):
    def gone(self, *_):
        shutil.rmtree(tmp_path / kind)
        return written(self, *_)

    owner, name = (RunFolder, "append_metrics") if kind == "run" else (SweepFolder, "trial")
    written = getattr(owner, name)
    monkeypatch.setattr(owner, name, gone)
    sweep = ("-m", "optimizer.learning_rate=1e-3,1e-2", "hydra.sweep.dir=sweep")
    done = nnrun(*(sweep if kind == "sweep" else ()), *TINY[:-1], f"hydra.run.dir={tmp_path}/run", "dataset=iris")
    assert done.code == 1
    assert done.err.endswith(
        f"{kind} is gone: it was moved or deleted while nnrun trained in it. Start the command again.\n"
    )
    assert done.err.count("\n") == 1
    assert not (tmp_path / kind).exists()


def test_signals_after_one_that_was_answered_are_not_listened_to(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(interruption, "ends_process", True)
    try:
        with interruption.Watch(lambda _: None) as watch:
            signal.raise_signal(signal.SIGINT)
            assert watch.heard()
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+A1", "'+A1"),
        ("-A1", "'-A1"),
        *((same, same) for same in ("-1", "+1.5e-3", "-inf", "-", "a=b", "", "-.5", "price")),
    ],
)
def test_formulas_are_harmless_in_a_csv(tmp_path, text, shown):
    columns = {f"={text}": np.array([1.0]), "class": np.array([text])}
    with columns_file.writing(tmp_path / "a.csv") as write:
        write(columns)
    RunFolder(tmp_path).write_columns("b", columns)
    for name in ("a.csv", "b.csv"):
        with (tmp_path / name).open(newline="") as file:
            assert next(csv.reader(file)) == [f"'={text}" if text else "=", "class"]
        assert shown in (tmp_path / name).read_text()
    with columns_file.writing(tmp_path / "a.parquet") as write:
        write(columns)
    assert polars.read_parquet(tmp_path / "a.parquet")["class"].to_list() == [text]


def test_names_do_not_drive_the_terminal_or_make_lines(capsys):
    Terminal().table(["", "model"], [["test/\x1b[2J\n\u202e", "1"]])
    assert capsys.readouterr().out == "                      model\ntest/\\x1b[2J\\n\\u202e      1\n"
    terminal.complain("no \x1b]0;x\x07 \udcff here")
    assert capsys.readouterr().err == "nnrun: no \\x1b]0;x\\x07 \\udcff here\n"
