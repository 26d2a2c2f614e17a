"""Seconds and memory of whole commands: `python -m tests.benchmarks.commands [OVERRIDE ...]`.

Without overrides the commands a newcomer types first; with them that one training command, its seconds and its memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.benchmarks.training import machine

REPEATS = 5
FIRST = ["model=mlp", "dataset=digits"]
QUICK: list[tuple[list[str], int, float]] = [
    (["--help"], 0, 1),
    (["--version"], 0, 1),
    (["model=mpl"], 2, 1),
    (["modle=mlp"], 2, 1),
    (["model=mlp", "model.hiden_sizes=[8]"], 2, 1),
    (["model=mlp", "model.dropout=1.5"], 2, 4),
    (["model=mlp", "optimizer.learning_rate=fast"], 2, 4),
    (["model=cnn", "dataset=wine"], 2, 4),
]
"""Words after nnrun, exit code, and the seconds they may take."""
MOST_MEGABYTES = 2000
HEAD = ("command", "seconds", "goal", "processor seconds", "peak MB", "goal")


class Finished(NamedTuple):
    """A command that ended: seconds, those of processors, peak memory in megabytes, seconds to what was waited for."""

    seconds: float
    processor: float
    megabytes: float
    seen: float


def main() -> None:
    """Prints one table."""
    given = sys.argv[1:]
    print(f"{machine()}\n\n| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given:
            line(f"nnrun {' '.join(given)}", [command(given, folder, 0)])
            return
        first_epoch(folder)
        for words, code, goal in QUICK:
            found = [command(words, folder, code) for _ in range(REPEATS)]
            line(f"nnrun {' '.join(words)}", found, goal)


def first_epoch(folder: Path) -> None:
    """The bare run, its programs compiled before: until the first row of metrics.csv, and until the end."""
    found = []
    for i in range(REPEATS + 1):
        metrics = folder / f"run{i}" / "metrics.csv"
        words = [*FIRST, f"hydra.run.dir={metrics.parent}"]
        found.append(command(words, folder, 0, lambda path=metrics: path.exists() and path.read_text().count("\n") > 1))
    cold, *warm = found
    text = f"nnrun {' '.join(FIRST)}"
    line(f"{text}, nothing compiled yet", [cold])
    line(text, warm)
    print(f"| its first finished epoch | {median(f.seen for f in warm):.2f} | 6 | | | |", flush=True)


def command(words: list[str], folder: Path, code: int, seen: Callable[[], bool] = lambda: True) -> Finished:
    """Runs nnrun in `folder`, with a compilation cache of its own, and notes when `seen` first holds."""
    environment = os.environ | {"NNRUN_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    started, when = time.perf_counter(), 0.0
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "nnrun", *words], cwd=folder, env=environment, stdout=output, stderr=output
        )
        ended = 0
        while not ended:
            time.sleep(0.005)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            when = when or (time.perf_counter() - started if seen() else 0.0)
    seconds, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    if process.returncode != code:
        raise SystemExit(f"nnrun {' '.join(words)} ended with {process.returncode}:\n{(folder / 'output').read_text()}")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, when)


def line(text: str, found: list[Finished], goal: float | str = "") -> None:
    """Prints a row."""
    middle = [f"{median(values):.2f}" for values in zip(*((f.seconds, f.processor) for f in found), strict=True)]
    memory = max(f.megabytes for f in found)
    print(f"| `{text}` | {middle[0]} | {goal} | {middle[1]} | {memory:.0f} | {MOST_MEGABYTES} |", flush=True)


if __name__ == "__main__":
    main()
