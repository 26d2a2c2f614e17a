"""Seconds of whole sweeps: `python -m tests.benchmarks.sweeps [--quick] [--data DIR] [--peer-trials N] [CASE ...]`.

nnrun beside Optuna driving PyTorch and beside Keras Tuner, one after the other, each a command of its own: from the
start of its process to the finished ledger. The settings of Optuna are tried on a few trials, the best one runs all.
Needs an otherwise idle machine: threads that wait for each other lose most when others use the cores.
"""

import argparse
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.commands import Finished, command
from tests.benchmarks.sweep_cases import MANY, QUICK_SHARE, SWEEPS, Sweep, export, many
from tests.benchmarks.training import machine

HEAD = (
    "sweep",
    "nnrun s",
    "compiled before s",
    "Optuna+PyTorch s",
    "ratio",
    "goal",
    "Keras Tuner s per trial",
    "all trials s",
    "ratio",
    "best loss: nnrun, Optuna, Keras",
)
MANY_HEAD = ("sweep", "seconds", "training s", "compiling s", "the rest, ms per trial", "goal", "peak MB", "goal")
MOST_MILLISECONDS, MOST_MEGABYTES = 10, 3000
KERAS_BACKENDS = ("torch", "jax")


class Setting(NamedTuple):
    """How Optuna and PyTorch use the machine."""

    threads: int
    jobs: int
    layout: str = "contiguous"

    def __str__(self) -> str:
        return f"threads {self.threads}, n_jobs {self.jobs}{', channels last' * (self.layout != 'contiguous')}"


class Peer(NamedTuple):
    """A peer that ended: seconds of the command, those of the search alone, its trials, and its best loss."""

    seconds: float
    search: float
    trials: int
    loss: float

    def whole(self, trials: int) -> float:
        """Seconds for so many trials, if the others take as long as those that ran."""
        return self.seconds + self.search * (trials / self.trials - 1)

    def text(self, trials: int) -> str:
        """The same; what did not run in full says so."""
        note = "" if self.trials == trials else f"extrapolated from {self.trials} trials"
        return f"{self.whole(trials):.1f} ({note})" if note else f"{self.whole(trials):.1f}"


def main() -> None:
    """Prints a table with a row per case, and one of the sweeps with many trials."""
    given = arguments()
    names = given.cases or [*SWEEPS, *MANY]
    packages = ", ".join(f"{name} {version(name)}" for name in ("optuna", "keras", "keras-tuner"))
    print(f"{machine()}, {packages}")
    for head, chosen, row in ((HEAD, SWEEPS, peers_row), (MANY_HEAD, MANY, many_row)):
        if not set(names) & set(chosen):
            continue
        print(f"\n| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
        for name in filter(names.__contains__, chosen):
            with tempfile.TemporaryDirectory() as folder:
                print(f"| {' | '.join(row(name, given, Path(folder)))} |", flush=True)


def arguments() -> argparse.Namespace:
    """The command line of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"1/{QUICK_SHARE} of the trials")
    parser.add_argument("--data", type=Path, help="folder with the files of fashion-MNIST; default nnrun's own")
    parser.add_argument("--peer-trials", type=int, metavar="N", help="trials of Optuna, scaled up; default all")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join([*SWEEPS, *MANY])}; default all")
    given = parser.parse_args()
    if unknown := set(given.cases) - {*SWEEPS, *MANY}:
        parser.error(f"there is no case {', '.join(unknown)}; choose from {', '.join([*SWEEPS, *MANY])}")
    return given


def peers_row(name: str, given: argparse.Namespace, folder: Path) -> list[str]:
    """The cells of a case: nnrun with nothing compiled, nnrun again, and the peers."""
    sweep = SWEEPS[name].quick() if given.quick else SWEEPS[name]
    export(sweep, given.data, folder / "data.npz")
    cold, again = (nnrun(sweep, given.data, folder, f"sweep{i}").seconds for i in range(2))
    setting, optuna = fastest_optuna(name, sweep, folder, min(given.peer_trials or sweep.trials, sweep.trials))
    backend, keras = fastest_keras(name, sweep, folder)
    case, losses = sweep.case, (best(folder / "sweep0"), optuna.loss, keras.loss)
    return [
        f"{sweep.trials} trials, {sweep.epochs} epochs: {case.title}, batch {case.batch}",
        f"{cold:.1f}",
        f"{again:.1f}",
        f"{optuna.text(sweep.trials)}; {setting}",
        f"{cold / optuna.whole(sweep.trials):.3f}",
        f"{case.goal}" + (f" and {sweep.most_seconds:.0f} s" if sweep.most_seconds else ""),
        f"{keras.search / keras.trials:.2f} (backend {backend})",
        keras.text(sweep.trials),
        f"{cold / keras.whole(sweep.trials):.3f}",
        " / ".join(f"{loss:.3g}" for loss in losses),
    ]


def many_row(name: str, given: argparse.Namespace, folder: Path) -> list[str]:
    """The cells of a sweep of short trials, nothing compiled before."""
    trials = MANY[name] // QUICK_SHARE if given.quick else MANY[name]
    found = nnrun(many(trials), given.data, folder, "sweep")
    training, compiling = parts(folder / "sweep")
    rest = 1000 * (found.seconds - training - compiling) / trials
    figures = [f"{value:.1f}" for value in (found.seconds, training, compiling, rest)]
    memory = [f"{found.megabytes:.0f}", f"{MOST_MEGABYTES}"]
    return [f"{trials} trials of one epoch: MLP 64-64, digits", *figures, f"{MOST_MILLISECONDS}", *memory]


def nnrun(sweep: Sweep, data: Path | None, folder: Path, name: str) -> Finished:
    """The command line, with a compilation cache of `folder`, into the sweep's folder `name` there."""
    return command([*sweep.command(data), f"hydra.sweep.dir={folder / name}"], folder, 0)


def fastest_optuna(name: str, sweep: Sweep, folder: Path, trials: int) -> tuple[Setting, Peer]:
    """The setting that was fastest on a few trials, and `trials` with it."""
    layouts = ("contiguous", "channels_last") if sweep.case.network == "cnn" else ("contiguous",)
    settings = [Setting(*chosen) for chosen in itertools.product((1, 2), (1, 2), layouts)]
    tried = {setting: peer("optuna", name, folder, sweep.probes, *setting) for setting in settings}
    setting = min(tried, key=lambda chosen: tried[chosen].search)
    return setting, tried[setting] if trials <= sweep.probes else peer("optuna", name, folder, trials, *setting)


def fastest_keras(name: str, sweep: Sweep, folder: Path) -> tuple[str, Peer]:
    """The backend that was faster, on a few trials."""
    tried = {}
    for backend in KERAS_BACKENDS:
        tried[backend] = peer("keras_tuner", name, folder, sweep.probes, KERAS_BACKEND=backend)
    backend = min(tried, key=lambda chosen: tried[chosen].search)
    return backend, tried[backend]


def peer(module: str, name: str, folder: Path, trials: int, *words: object, **variables: str) -> Peer:
    """Runs `sweep_with_<module>` on the exported data, in a fresh folder."""
    fresh = Path(tempfile.mkdtemp(dir=folder))
    arguments = [name, folder / "data.npz", fresh, trials, *words]
    call = [sys.executable, "-m", f"tests.benchmarks.sweep_with_{module}", *map(str, arguments)]
    environment = os.environ | {"KERAS_HOME": str(fresh)} | variables
    started = time.perf_counter()
    ended = subprocess.run(call, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise SystemExit(f"{' '.join(call)} ended with {ended.returncode}:\n{ended.stderr}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return Peer(seconds, answer["seconds"], trials, answer["loss"])


def best(sweep: Path) -> float:
    """The ledger's smallest loss."""
    return ledger(sweep, "min(objective)")


def parts(sweep: Path) -> tuple[float, float]:
    """Seconds of training by the ledger, and of compiling by the summaries; both are shares of a group's."""
    summaries = [json.loads(file.read_text()) for file in sweep.glob("[0-9]*/summary.json")]
    return ledger(sweep, "total(seconds)"), sum(summary["seconds"]["compile"] for summary in summaries)


def ledger(sweep: Path, value: str) -> float:
    """An aggregate over the trials of a sweep, all of which have ended."""
    connection = sqlite3.connect(sweep / "sweep.db")
    found, open_trials = connection.execute(
        f"select {value}, total(state in ('waiting', 'running')) from trials"
    ).fetchone()
    connection.close()
    if open_trials:
        raise SystemExit(f"{sweep} still has {open_trials:.0f} trials to do")
    return float(found)


if __name__ == "__main__":
    main()
