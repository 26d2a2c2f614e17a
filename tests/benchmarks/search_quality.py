"""Search strategies side by side: the regret after 40 trials, one at a time and in batches of 8.

    python -m tests.benchmarks.search_quality [--seeds 20] [--quick] [--only bayes,optuna_gp] [--cache FILE]

Each contender searches each objective once per seed. The regret is the noiseless cost of the trial that looked best,
above the optimum. Printed: the mean rank per mode (1 is best), median regrets, and milliseconds per trial asked for.
One thread. Measurements are kept in a JSON lines file, so that an interrupted benchmark goes on where it stopped.
Needs the extras `bench` and `cmaes`.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np  # noqa: E402
from scipy.stats import rankdata  # noqa: E402

from tests.benchmarks.search_contenders import CONTENDERS, version  # noqa: E402
from tests.benchmarks.search_objectives import Objective, objectives  # noqa: E402

TRIALS = 40
BATCHES = (1, 8)
CACHE = Path("/tmp/search_quality.jsonl")
RESOLUTION = 1e-6
"""Regrets that differ by less share a rank."""

Measured = dict[tuple[str, ...], dict[str, float]]


def search(contender: str, objective: Objective, batch: int, seed: int) -> dict[str, float]:
    """One search: its regret, and the milliseconds of processor time per trial asked for."""
    noise = np.random.default_rng((seed, 1))
    searching = CONTENDERS[contender](objective.space, TRIALS, batch, seed)
    truth: list[float] = []
    seen: list[float] = []
    spent = 0.0
    while len(truth) < TRIALS:
        start = time.process_time()
        points = searching.ask(min(batch, TRIALS - len(truth)))
        spent += time.process_time() - start
        for point in points:
            truth.append(objective.function(point))
            seen.append(truth[-1] + objective.noise * noise.standard_normal())
        for number in range(len(truth) - len(points), len(truth)):
            searching.tell(number, seen[number])
    return {"regret": truth[int(np.argmin(seen))] - objective.optimum, "milliseconds": 1e3 * spent / TRIALS}


def measure(contenders: list[str], tasks: list[Objective], batches: list[int], seeds: int, cache: Path) -> Measured:
    """All searches that the cache does not hold yet, appended to it one by one."""
    lines = [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []
    known: Measured = {tuple(line["key"]): line for line in lines}
    wanted = [
        (name, version(name), task.name, str(batch), str(seed))
        for seed in range(seeds)
        for batch in batches
        for task in tasks
        for name in contenders
    ]
    by_name = {task.name: task for task in tasks}
    for key in wanted:
        if key not in known:
            known[key] = search(key[0], by_name[key[2]], int(key[3]), int(key[4]))
            with cache.open("a") as file:
                file.write(json.dumps({"key": key, **known[key]}) + "\n")
    return {key: known[key] for key in wanted}


def report(measured: Measured, contenders: list[str], tasks: list[Objective], batch: int, seeds: int) -> None:
    """The table of one mode."""

    def column(name: str, task: Objective, what: str) -> np.ndarray:
        return np.array([measured[name, version(name), task.name, str(batch), str(s)][what] for s in range(seeds)])

    regrets = np.array([[column(name, task, "regret") for name in contenders] for task in tasks])
    ranks = rankdata(np.round(regrets / RESOLUTION), axis=1)  # (tasks, contenders, seeds)
    print(f"\n{TRIALS} trials, {'one at a time' if batch == 1 else f'batches of {batch}'}, {seeds} seeds")
    line(["median regret", *contenders])
    for task, rows in zip(tasks, regrets, strict=True):
        line([task.name, *(f"{value:.2g}" for value in np.median(rows, axis=1))])
    line(["mean rank", *(f"{value:.2f}" for value in ranks.mean(axis=(0, 2)))])
    spent = np.array([[column(name, task, "milliseconds").mean() for task in tasks] for name in contenders])
    line(["ms per trial", *(f"{value:.1f}" for value in spent.mean(1))])
    line(["ms, slowest", *(f"{value:.1f}" for value in spent.max(1))])


def line(cells: list[str]) -> None:
    print(f"{cells[0]:24}" + "".join(f"{cell:>12}" for cell in cells[1:]), flush=True)


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="3 seeds")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    parser.add_argument("--objectives", default="", help="their names, separated by commas; default: all")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--cache", type=Path, default=CACHE)
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    chosen = arguments()
    seeds = 3 if chosen.quick else chosen.seeds
    contenders, batches = chosen.only.split(","), [int(batch) for batch in chosen.batches.split(",")]
    tasks = [task for task in objectives() if not chosen.objectives or task.name in chosen.objectives.split(",")]
    try:
        import torch

        torch.set_num_threads(1)
    except ModuleNotFoundError:
        contenders = [name for name in contenders if name != "optuna_gp"]
    measured = measure(contenders, tasks, batches, seeds, chosen.cache)
    for batch in batches:
        report(measured, contenders, tasks, batch, seeds)


if __name__ == "__main__":
    main()
