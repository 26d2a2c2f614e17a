"""Every model on every data set whose kind it accepts, under debug=tiny: `python -m tests.smoke [PROCESSES]`.

Data sets that come as files get small made-up ones. A process that is done with a pair takes the next one.
"""

import contextlib
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from nnrun.commands import cli
from nnrun.compose import checked, compose
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.execution import devices
from tests import compiling
from tests.made_up_files import write_image_sets

LARGE = (
    ["model=resnet", "model.layout=18"],
    ["model=vgg", "model.layout=16", "model.width=8"],
    ["model=autoencoder", "model.encoder=convolutional"],
    ["model=gru", "model.reset_after=true"],
)
"""Other layouts, tried on one data set each."""
UNDRAWN = "could not be drawn"
"""What a run says of a figure that failed, which does not fail the run."""
DEEP = ("inception", "resnet", "vgg")
"""Those that compile longest, so that no process is left with one of them at the end."""
NARROW = {"vgg": ["model.width=8", "model.dense_sizes=[64,64]"]}
"""Words for networks whose weights take longer than all else."""


def main(processes: int = 1) -> int:
    """Runs all of them, and counts; 1 when one failed."""
    os.environ.setdefault("XLA_FLAGS", compiling.FLAGS)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        compose.prepare_imports()
        commands = [*large(), *pairs(write_image_sets(Path(folder)))]
        print(f"{len(commands)} pairs fit", flush=True)
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), begin, (folder,)) as pool:
            failed = list(pool.map(train, commands)).count(False)
        completed = [json.loads(p.read_text())["status"] for p in Path(folder).glob("outputs/runs/*/*/summary.json")]
        assert completed.count("completed") == len(commands) - failed
        undrawn = [path for path in Path(folder).glob("outputs/runs/*/*/run.log") if UNDRAWN in path.read_text()]
        assert not undrawn, undrawn[0].read_text()
    print(f"{len(commands) - failed} passed, {failed} failed")
    return 1 if failed else 0


def begin(folder: str) -> None:
    """Makes a new process ready to train in a folder."""
    os.chdir(folder)
    devices.prepare()


def train(overrides: list[str]) -> bool:
    """Trains one of the commands; whether that went well."""
    started = time.time()
    code = cli.run(["debug=tiny", *overrides])
    print(f"{'ok' if code == 0 else 'FAILED'} {time.time() - started:5.1f} s  {' '.join(overrides)}", flush=True)
    return code == 0


def pairs(roots: dict[str, dict[str, str]]) -> list[list[str]]:
    """`model=... dataset=...` for every fit, slow ones first: its kind of data, and no image too small for it."""
    found = []
    slow_first = sorted(choices.choices("model"), key=lambda model: model not in DEEP)
    for model, name in itertools.product(slow_first, choices.choices("dataset")):
        of_files = (f"dataset.{k}={v}" for k, v in roots.get(name, {}).items())
        words = [f"model={model}", *NARROW.get(model, []), f"dataset={name}", *of_files]
        (composed,) = compose.compose_all(words, multirun=False)
        with contextlib.suppress(ConfigError):
            checked.check([checked.build(composed)])
            found.append(words)
    return found


def large() -> list[list[str]]:
    """The other layouts."""
    image = ["dataset=shapes", "dataset.image_size=32"]
    return [[*words, *(["dataset=sine"] if "model=gru" in words else image)] for words in LARGE]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
