"""One contender in its own process: builds, warms up, then trains whenever it is asked and tells how long it took.

Every line on stdin asks for a turn: epochs until TURN_SECONDS are over. Answers are JSON lines.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable

from tests.benchmarks.cases import CASES

TURN_SECONDS = 0.4
WARM_UP = 3


def main() -> None:
    """`python -m tests.benchmarks.contender nnrun|torch|jax CASE THREADS`."""
    contender, case, threads = sys.argv[1:]
    build = importlib.import_module(f"tests.benchmarks.with_{contender}").build
    epoch = build(CASES[case], int(threads))
    losses = [epoch() for _ in range(WARM_UP)]
    print(json.dumps({"loss": losses[-1]}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": turn(epoch)}), flush=True)


def turn(epoch: Callable[[], float]) -> list[float]:
    """Seconds of each epoch of a turn."""
    seconds: list[float] = []
    while sum(seconds) < TURN_SECONDS:
        started = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
