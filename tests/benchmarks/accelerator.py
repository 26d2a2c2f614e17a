"""Seconds on whatever device JAX finds: `python -m tests.benchmarks.accelerator [--quick] [PART ...]`.

Single runs, whole sweeps, the two ways of batching a group, two convolutions and two precisions, as one Markdown table.
Needs nnrun alone, on a GPU with `jax[cuda12]`, no network and no files. This process never uses the device: what does
is a process of its own, one at a time, because the first to use a GPU or a TPU may take all of it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks import sweeps
from tests.benchmarks.accelerator_rows import HEAD, Row, failure, line
from tests.benchmarks.cases import arrays
from tests.benchmarks.sweep_cases import SWEEPS, Sweep, many

PARTS = ("single", "sweeps", "batching", "convolution", "precision")
TRIALS, QUICK_TRIALS = (256, 4096), (16, 64)
EXAMPLES = 1797
"""As many as digits has, in all parts together."""
WARM_ROUNDS, QUICK_WARM_ROUNDS = 3, 1
QUICK_NOTE = (
    "**--quick**: {} and {} trials instead of {:,} and {:,}, fewer networks, an eighth of the examples, three repeats. "
    "These are numbers of a check that it works, not of a measurement."
)


def main() -> None:
    """Prints the table, row by row as they are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: two minutes on two cores of a CPU")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default all")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(heading(folder, given.quick), flush=True)
        for part in filter((given.parts or PARTS).__contains__, PARTS):
            found = swept(folder, given.quick) if part == "sweeps" else rows(part, folder, given.quick)
            for row in found:
                print(row.text, flush=True)


def heading(folder: Path, quick: bool) -> str:
    """What stands above the rows: device, number of devices, machine, versions, date, and the names of the columns."""
    (found,) = answers("head", folder, quick)
    if "failure" in found:
        raise SystemExit(f"JAX finds no device: {found['failure']}")
    notes = [QUICK_NOTE.format(*QUICK_TRIALS, *TRIALS)] if quick else []
    top = f"{found['devices']} x {found['device']}, {found['date']}; {found['machine']}"
    return "\n\n".join([top, *notes, f"{line(HEAD)}\n|{' --- |' * len(HEAD)}"])


def rows(part: str, folder: Path, quick: bool) -> Iterator[Row]:
    """The rows of a part; one that says why where its process ends early."""
    for found in answers(part, folder, quick):
        yield Row(**({"what": part, "way": ""} | found))


def answers(part: str, folder: Path, quick: bool) -> Iterator[dict[str, Any]]:
    """The lines of a part's process, which has a cache of its own; last a `failure` where it ends early."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"NNRUN_CACHE": str(folder / f"cache_{part}"), "PYTHONPATH": str(root)}
    call = [sys.executable, "-m", "tests.benchmarks.accelerator_parts", part, *["quick"] * quick]
    log = folder / f"{part}.log"
    with (
        open(log, "w") as errors,
        subprocess.Popen(call, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout
        try:
            yield from map(json.loads, process.stdout)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        *_, last = ["", *log.read_text().split("\n")[:-1]]
        yield {"failure": f"ended with {process.returncode}: {last}"[:160]}


def swept(folder: Path, quick: bool) -> Iterator[Row]:
    """Whole sweeps in turns, each a command of its own: with nothing compiled before, and again."""
    file = folder / "digits_like.npz"
    inputs, targets = arrays(replace(SWEEPS["mlp"].case, examples=EXAMPLES))
    np.savez(file, inputs=inputs, targets=targets)
    few, more = QUICK_TRIALS if quick else TRIALS
    chosen = [replace(SWEEPS["mlp"], trials=few), many(more)]
    chosen = [replace(sweep, dataset=("dataset=npz", f"dataset.path={file}")) for sweep in chosen]
    found: list[list[Row]] = [[] for _ in chosen]
    for i in range(1 + (QUICK_WARM_ROUNDS if quick else WARM_ROUNDS)):
        for sweep, measured in zip(chosen, found, strict=True):
            # One that failed once is not tried again.
            if not any(row.failure for row in measured):
                measured.append(whole(sweep, folder, i))
    for measured in found:
        yield measured[0]
        if again := measured[1:]:
            yield joined(again)


def whole(sweep: Sweep, folder: Path, i: int) -> Row:
    """One sweep in one group, where memory allows; `i` counts the times that it is run."""
    own = folder / f"trials_{sweep.trials}"
    own.mkdir(exist_ok=True)
    epochs = "1 epoch" if sweep.epochs == 1 else f"{sweep.epochs} epochs"
    row = Row(
        f"sweep of {sweep.trials:,} trials, {epochs}, everything included: MLP 64-64, {EXAMPLES:,} made-up examples",
        "compiled before" if i else "nothing compiled before",
        amount=sweep.trials,
        unit="trials",
    )
    together = replace(sweep, dataset=(*sweep.dataset, f"execution.chunk={sweep.trials}"))
    try:
        finished = sweeps.nnrun(together, None, own, f"sweep{i}")
        training, compiling = sweeps.parts(own / f"sweep{i}")
        groups = sweeps.ledger(own / f"sweep{i}", "count(distinct group_id)")
        failed = sweeps.ledger(own / f"sweep{i}", "total(state = 'failed')")
    except SystemExit as error:
        return row._replace(failure=failure(error))
    if failed:
        return row._replace(failure=f"{failed:.0f} trials failed")
    note = f"training {training:.3g} s, {groups:.0f} group{'s' * (groups > 1)}"
    return row._replace(compiling=compiling, seconds=[finished.seconds], note=note)


def joined(again: list[Row]) -> Row:
    """Repeats of a sweep as one row, with the note of the last; a failure stays one."""
    measured = [row for row in again if not row.failure]
    if len(measured) < len(again):
        return again[-1]
    compiling = median(row.compiling or 0.0 for row in measured)
    return measured[-1]._replace(compiling=compiling, seconds=[row.seconds[0] for row in measured])


if __name__ == "__main__":
    main()
