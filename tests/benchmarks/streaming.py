"""Training from mapped files beside training in memory: `python -m tests.benchmarks.streaming [GIGABYTES]`.

A made-up parquet table of standard normal numbers; its arrays are held in memory (dataset.cache=never), or converted
once and mapped (dataset.cache=always). An MLP trains on it, whose steps are short enough for reading to hold them up.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import polars

from tests.benchmarks.training import machine

COLUMNS, EPOCHS = 500, 4
HELD_BACK = 0.05
"""The share of the rows that validation, and test, get."""
WORDS = ["model=mlp", "dataset=csv", "dataset.target=y", "training.batch_size=64", f"training.epochs={EPOCHS}"]
WORDS += [f"dataset.val_fraction={HELD_BACK}", f"dataset.test_fraction={HELD_BACK}"]


class Finished(NamedTuple):
    """A run: its seconds, microseconds per training example in the median epoch after the first, peak gigabytes."""

    seconds: float
    per_example: float
    anonymous: float
    mapped: float


def main() -> None:
    """Prints one table, the ratio below it."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write(folder / "table.parquet", gigabytes)
        print(f"{machine()}\n{rows:,} rows of {COLUMNS} float32, {gigabytes} GB\n")
        print("| arrays | command s | µs per example | peak own GB | peak mapped GB |\n|" + " --- |" * 5, flush=True)
        found = {}
        for what, cache in (("in memory", "never"), ("mapped, converted first", "always"), ("mapped", "always")):
            found[what] = run(folder, cache, rows)
            cells = (f"{value:.2f}" for value in found[what])
            print(f"| {what} | {' | '.join(cells)} |", flush=True)
        ratio = found["mapped"].per_example / found["in memory"].per_example
        print(f"\nmapped over in memory: {ratio:.2f} (goal 1.2)")


def write(path: Path, gigabytes: float) -> int:
    """A table whose target depends on its first columns; its rows."""
    rows, random = int(gigabytes * 1e9 / (4 * COLUMNS)), np.random.default_rng(0)
    values = random.standard_normal((COLUMNS, rows), np.float32)
    target = values[0] * values[1] + np.sin(values[2])
    polars.DataFrame({**{f"x{i}": column for i, column in enumerate(values)}, "y": target}).write_parquet(path)
    return rows


def run(folder: Path, cache: str, rows: int) -> Finished:
    """Trains once, with the memory of the process watched."""
    target, started = folder / f"run{time.time_ns()}", time.perf_counter()
    environment = os.environ | {"NNRUN_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [*WORDS, f"dataset.path={folder / 'table.parquet'}", f"dataset.cache={cache}", f"hydra.run.dir={target}"]
    command = [sys.executable, "-m", "nnrun", *words]
    with open(folder / "output", "w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        peaks = watch(process)
    if process.returncode:
        raise SystemExit((folder / "output").read_text())
    with (target / "metrics.csv").open() as file:
        epochs = [float(row["seconds"]) for row in csv.DictReader(file)]
    per_example = median(epochs[1:]) / ((1 - 2 * HELD_BACK) * rows) * 1e6
    return Finished(time.perf_counter() - started, per_example, *peaks)


def watch(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """Peak gigabytes of memory of its own, and of mapped files, which the system may take back at any time."""
    own = mapped = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = {line.partition(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Rss")}
        own, mapped = max(own, int(found.get("RssAnon", 0))), max(mapped, int(found.get("RssFile", 0)))
        time.sleep(0.1)
    return own * 1024 / 1e9, mapped * 1024 / 1e9


if __name__ == "__main__":
    main()
