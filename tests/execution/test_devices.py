"""How programs are compiled for the devices, and what these hold."""

import os

import jax
import pytest

from nnrun.execution import devices
from nnrun.execution.devices import OPTIMIZATION, compiler_options


@pytest.mark.parametrize(
    ("flags", "options"),
    [("", {OPTIMIZATION: "2"}), ("--xla_dump_to=x", {OPTIMIZATION: "2"}), (f"--{OPTIMIZATION}=0", None)],
)
def test_a_level_in_the_environment_wins(monkeypatch, flags, options):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert compiler_options() == options


def test_without_the_variable_there_are_options(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    assert compiler_options() == {OPTIMIZATION: "2"}


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [
        ("[2147483648,2147483648]", "4,611,686,037,754,740,739"),
        ("[60000,60000,60000]", "7,200,600,003"),
        ("[1000000000000]", "8,000,000,000,003"),
    ],
)
def test_weights_beyond_the_memory_are_refused_before_anything_is_compiled(
    nnrun, tmp_path, monkeypatch, sizes, weights
):
    monkeypatch.setattr(devices, "memory", lambda: 24 * 10**9)
    done = nnrun("model=mlp", "dataset=iris", f"model.hidden_sizes={sizes}")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"nnrun: model=mlp has {weights} weights. Training holds them, their gradients and the ")
    assert done.err.endswith(f"but there are 24 GB here. Lower its sizes: model.hidden_sizes={sizes}.\n")
    assert not list(tmp_path.iterdir())


def test_the_memory_of_a_machine_or_its_container(tmp_path, monkeypatch):
    assert devices.memory() > 2**28
    (tmp_path / "limit").write_text("1000000\n")
    monkeypatch.setattr(devices, "CONTAINER", tmp_path / "limit")
    assert devices.memory() == 1_000_000
    (tmp_path / "limit").write_text("max\n")
    assert devices.memory() > 2**28


def test_the_compiled_programs_that_were_unused_longest_go_first(monkeypatch, tmp_path):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path))
    devices.trim_programs()
    folder = tmp_path / "programs"
    folder.mkdir()
    for age in range(10):
        (folder / f"{age}-cache").write_bytes(bytes(100))
        os.utime(folder / f"{age}-cache", (10_000 - age, 5_000))
    devices.trim_programs(1000)
    assert len(list(folder.iterdir())) == 10
    devices.trim_programs(900)
    assert {path.name for path in folder.iterdir()} == {f"{age}-cache" for age in range(6)}


def test_a_program_that_was_cut_off_on_the_disk_is_written_anew():
    devices.prepare()

    def cut_off(x):
        return x + 1

    def compiled():
        jax.jit(cut_off).lower(1.0).compile()
        return kept()

    def kept():
        return set(devices._programs().glob("jit_cut_off-*"))

    for path in kept():
        path.unlink()
    (entry,) = compiled()
    whole = entry.read_bytes()
    other = entry.with_name("jit_cut_off-other-cache")
    other.write_bytes(whole)
    entry.write_bytes(whole[:100])
    jax.clear_caches()
    assert compiled() == {entry, other}, "without a warning, which would be an error here"
    assert len(entry.read_bytes()) > 100


def test_other_warnings_are_shown_as_before():
    shown = []
    hook = devices._removing_damaged(lambda *warning: shown.append(warning))
    hook("Error of another kind", UserWarning, "a.py", 1)
    assert shown == [("Error of another kind", UserWarning, "a.py", 1)]
