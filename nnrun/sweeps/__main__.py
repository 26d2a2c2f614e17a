"""`python -m nnrun.sweeps`: imports what drawing takes, then draws the report that a line of JSON asks for.

Its input is the pipe of the process that wants the report: it ends when that one does, whatever it is doing.
"""

import gc
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from nnrun.sweeps.drawing import write_report

LATER = ("nnrun.report.sweep.page", "nnrun.report.sweep.pictures", "sklearn.ensemble", "scipy.stats", "plotly.offline")
"""Imported by the functions that use them, which here would be too late."""


def main() -> None:
    """Draws at most one report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    if line := sys.stdin.readline():
        threading.Thread(target=_end_with_the_other, daemon=True).start()
        folder, facts = json.loads(line)
        write_report(Path(folder), facts)
        gc.freeze()  # see nnrun.commands.cli.main


def import_all() -> None:
    """Imports what drawing needs, with the file formats that Pillow would look up when the first picture is saved."""
    for name in LATER:
        importlib.import_module(name)
    importlib.import_module("PIL.Image").preinit()


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
