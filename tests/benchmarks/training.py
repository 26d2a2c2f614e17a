"""Seconds per epoch of nnrun, PyTorch and bare JAX: `python -m tests.benchmarks.training [--quick] [CASE ...]`.

Every contender lives in a process of its own and is asked for a turn in every round, so that what else the machine does
hits all alike. A ratio is the median of the rounds' ratios, its range their quartiles.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.cases import CASES, JAX_GOAL, Case

ROUNDS, QUICK_ROUNDS = 15, 3
PAUSE_SECONDS = 0.1
"""Between turns, so that the threads of the last contender have fallen asleep."""
HEAD = ("network", "nnrun s", "PyTorch s", "ratio", "goal", "bare JAX s", "ratio", "goal", "loss of epoch 3")

Name = tuple[str, int]
Timings = dict[Name, list[float]]


class Contender:
    """A child process that trains on request; `loss` is that of its third epoch."""

    def __init__(self, case: str, name: Name) -> None:
        kind, threads = name
        self._command = [sys.executable, "-m", "tests.benchmarks.contender", kind, case, str(threads)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2]
        )
        self.loss: float = self._answer()["loss"]

    def turn(self) -> float:
        """Median seconds of the epochs of a turn."""
        assert self._process.stdin
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        return median(self._answer()["seconds"])

    def close(self) -> None:
        """Lets the process end."""
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a contender ended with {self._process.wait()}: {' '.join(self._command)}")
        return json.loads(line)


def main() -> None:
    """Prints one table with a row per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default all")
    given = parser.parse_args()
    if unknown := set(given.cases) - set(CASES):
        parser.error(f"there is no case {', '.join(unknown)}; choose from {', '.join(CASES)}")
    print(f"{machine()}\n\n| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    for name in given.cases or CASES:
        timings, losses = measure(name, QUICK_ROUNDS if given.quick else ROUNDS)
        print(f"| {' | '.join(row(CASES[name], timings, losses))} |", flush=True)


def measure(case: str, rounds: int) -> tuple[Timings, dict[str, float]]:
    """Seconds per epoch of every contender in every round, and the losses of their third epochs."""
    names: list[Name] = [("nnrun", 0), ("torch", 1), ("torch", 2), ("jax", 1)]
    names += [("jax", 2)] if CASES[case].recurrent else []
    contenders: dict[Name, Contender] = {}
    timings: Timings = {name: [] for name in names}
    try:
        for name in names:
            contenders[name] = Contender(case, name)
        for _ in range(rounds):
            for name, contender in contenders.items():
                time.sleep(PAUSE_SECONDS)
                timings[name].append(contender.turn())
    finally:
        for contender in contenders.values():
            contender.close()
    return timings, {name[0]: contender.loss for name, contender in contenders.items()}


def row(case: Case, timings: Timings, losses: dict[str, float]) -> list[str]:
    """The cells of a case; PyTorch and bare JAX with the number of threads or devices that was faster."""
    cells = [case.title, f"{median(timings['nnrun', 0]):.4f}"]
    for rival, unit, goal in (("torch", "thread", case.goal), ("jax", "device", JAX_GOAL)):
        best = min((name for name in timings if name[0] == rival), key=lambda name: median(timings[name]))
        ratios = [ours / theirs for ours, theirs in zip(timings["nnrun", 0], timings[best], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        cells.append(f"{median(timings[best]):.4f} ({best[1]} {unit}{'s' * (best[1] > 1)})")
        cells += [f"{middle:.2f} ({low:.2f}-{high:.2f})", f"{goal}"]
    return [*cells, " / ".join(f"{losses[kind]:.3g}" for kind in ("nnrun", "torch", "jax"))]


def machine(packages: Sequence[str] = ("jax", "flax", "torch")) -> str:
    """What it was measured on: processor, cores, load, versions."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    where = f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return ", ".join(
        [f"{where}; Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )


if __name__ == "__main__":
    main()
