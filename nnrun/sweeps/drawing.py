"""A sweep's report, drawn by a process of its own beside the work of this one."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

LIBRARY = "plotly.offline"
"""A process that has this in memory has drawn before, and draws as quickly itself."""


class Drawing:
    """Draws one report. The other process is started early, so that its imports (two seconds) are over by then.

    Where it cannot be started, or fails, the report is drawn here, and errors are raised here.
    """

    def __init__(self) -> None:
        self._asked: tuple[Path, dict[str, Any]] | None = None
        self._process = None if LIBRARY in sys.modules else _start()

    def __enter__(self) -> "Drawing":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: a launcher's own processes get all that the task function holds, and need no drawing."""
        return {"_asked": None, "_process": None}

    def begin(self, folder: Path, facts: dict[str, Any]) -> None:
        """Asks for the report of a folder, whose ledger is to stay as it is until `end`; `facts` see `write_report`."""
        self._asked = folder.resolve(), facts
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps([str(folder.resolve()), facts]) + "\n")
                self._process.stdin.flush()

    def end(self) -> None:
        """Waits for the report. Raises OSError when it cannot be written."""
        process, self._process = self._process, None
        if process:
            process.wait()
            process.communicate()
        if self._asked and (process is None or process.returncode != 0):
            write_report(*self._asked)


def write_report(folder: Path, facts: dict[str, Any]) -> None:
    """Writes report.html and figures/ of a sweep's folder, finished or not.

    facts: what the ledger does not know of the sweep, as JSON does; see `report.sweep.subject.Subject.of`.
    """
    # Here, because the process that trains imports this module too, and draws nothing as a rule.
    from nnrun.folders.ledger import Ledger
    from nnrun.host import disk
    from nnrun.report.palette import save
    from nnrun.report.sweep.charts import LOSSES, MOST_LOSSES
    from nnrun.report.sweep.page import page
    from nnrun.report.sweep.pictures import figures
    from nnrun.report.sweep.subject import Subject

    ledger = Ledger(folder, writes=False)
    try:
        trials = ledger.trials()
        losses = {name: ledger.curves(name) for name in LOSSES if len(trials) <= MOST_LOSSES}
        subject = Subject.of(facts, trials, ledger.curves(facts["metric"]), losses=losses)
    finally:
        ledger.close()
    disk.write(folder / "report.html", page(subject).encode())
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures(subject).items():
        save(figure, folder / "figures" / f"{name}.png")


def add_winner(folder: Path) -> None:
    """Puts the results of best/ on the page of a sweep's folder, where there are both."""
    from nnrun.folders import reading
    from nnrun.host import disk
    from nnrun.report.sweep.winner import with_winner

    page, best = folder / "report.html", folder / "best"
    if page.is_file() and (folder / "best.yaml").is_file() and (best / "summary.json").is_file():
        added = with_winner(page.read_text(encoding="utf-8"), reading.summary(best), best / "figures")
        disk.write(page, added.encode())


def _start() -> subprocess.Popen[str] | None:
    """Starts the process, with the code of this one, whatever lies in the current folder."""
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        return subprocess.Popen(
            # -P: not the current folder, whose files may be called as modules are.
            [sys.executable, "-P", "-m", "nnrun.sweeps"],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
    except OSError:
        return None
