"""How programs are compiled for the devices."""

import pytest

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
