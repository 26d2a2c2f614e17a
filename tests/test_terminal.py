"""What people see on a terminal, and what stays plain text elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from nnrun.folders import results
from nnrun.host import terminal
from nnrun.host.terminal import Terminal

METRICS, BASELINE = {"test/rmse": 0.5, "val/rmse": 0.4}, {"test/rmse": {"mean": 1.0}}
PLAIN = "           model  mean\ntest/rmse    0.5     1\n"
COLOURED = "\x1b[1m         \x1b[0m  \x1b[1mmodel\x1b[0m  \x1b[1mmean\x1b[0m\ntest/rmse  \x1b[1;36m  0.5\x1b[0m     1\n"


@pytest.fixture
def on_terminal(monkeypatch):
    """Has output go as if to a terminal of 40 columns, from when it is called: pytest's own output is set by then."""

    def begin(**variables):
        for name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"COLUMNS": "40"} | variables).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    return begin


@pytest.mark.parametrize(
    ("variables", "shown"),
    [({}, COLOURED), ({"NO_COLOR": "1"}, PLAIN), ({"TERM": "dumb"}, PLAIN)],
    ids=["colours", "NO_COLOR", "dumb"],
)
def test_results_have_colours_on_a_terminal_that_wants_them(on_terminal, capsys, variables, shown):
    on_terminal(**variables)
    logged = []
    results.show(Terminal(logged.append), METRICS, BASELINE)
    assert capsys.readouterr().out == shown
    assert logged == PLAIN.splitlines()


def test_results_are_plain_text_elsewhere(capsys):
    results.show(Terminal(), METRICS, BASELINE)
    assert capsys.readouterr().out == PLAIN


def test_lines_break_between_words_at_the_width_of_the_terminal(on_terminal, capsys):
    on_terminal()
    terminal.say("      one two three four five six seven eight nine ten\nshort")
    assert capsys.readouterr().out == "      one two three four five six seven\n      eight nine ten\nshort\n"
    terminal.complain("The folder holds no run that is whole. Train again: nnrun repeat a/very/long/folder/of/mine")
    lines = ["nnrun: The folder holds no run that is", "whole. Train again:", "nnrun repeat a/very/long/folder/of/mine"]
    assert capsys.readouterr().err.splitlines() == lines


def test_lines_are_whole_elsewhere(capsys):
    terminal.say("word " * 100)
    assert capsys.readouterr().out == "word " * 100 + "\n"


def test_what_takes_a_while_is_shown_while_it_lasts(tmp_path):
    words = ["model=mlp", "dataset=iris", "debug=tiny", "hydra.run.dir=run"]
    ours, theirs = pty.openpty()
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nnrun", *words], cwd=tmp_path, env=env, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:
        pass  # Linux's way of saying that the other end is closed.
    finally:
        os.close(ours)
    assert process.wait() == 0
    assert 0 < seen.index(b"compiling") < seen.index(b"Best epoch")
    assert "compiling" not in (tmp_path / "run" / "run.log").read_text()
