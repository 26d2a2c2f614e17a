"""The README's commands work: every `nnrun` line of its shell blocks is run here, shrunk where it trains."""

import subprocess
import sys

import pytest

from tests import documented

COMMANDS = [command for command in documented.commands(documented.README) if command.program == "nnrun"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, command):
    """A folder with the README's own files and one finished run."""
    return documented.make_home(tmp_path_factory.mktemp("readme"), [documented.README], command)


@pytest.mark.parametrize("typed", COMMANDS, ids=str)
def test_a_command_works(typed, home, command):
    documented.check(typed, home, command)


def test_the_python_lines_work(home):
    text = documented.files(documented.README)["five_lines.py"]
    found = subprocess.run([sys.executable, "-c", text], cwd=home, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "setosa" in found.stdout


def test_there_are_commands_and_few_words():
    assert len(COMMANDS) > 8
    assert len(documented.README.split()) <= 1200
