"""How programs are compiled for the devices."""

import os

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
