"""Drawing new data from a finished generative run."""

import math
import shutil
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from nnrun.errors import ConfigError
from nnrun.folders import columns_file
from nnrun.folders.run_folder import RunFolder
from nnrun.models.base import program_of
from nnrun.report.samples import grid
from nnrun.trained.prediction import block_size
from nnrun.trained.trained_run import TrainedRun

SECONDS_BETWEEN_LINES = 5.0
LARGEST = 2**33
"""Bytes of samples: more takes hours to pack, and is a slip of the keyboard."""
ON_DISK = 2
"""Copies of the samples that lie on the disk while their file is packed."""


def sample(run: TrainedRun, n: int, seed: int, say: Callable[[str], None]) -> None:
    """Writes `n` draws from the prior, in raw units, to samples.npz and figures/samples.png, and says so.

    Raises ConfigError for a network that draws nothing, and for more than can be written.
    """
    folder = run.folder
    if not hasattr(run.model, "sample"):
        raise ConfigError(f"{folder} holds a network that cannot draw new data. Train one that can: model=vae.")
    size, free = 4 * math.prod(run.preprocessing.spec.inputs), shutil.disk_usage(folder).free
    room = min(LARGEST, free // ON_DISK)
    if n * size > room:
        raise ConfigError(
            f"n must be <= {room // size}, whose {room / 1e9:.3g} GB are the most that is written here, but got {n}. "
            "Set for example n=16."
        )
    path, drawn, said = folder / "samples.npz", 0, time.monotonic()
    with columns_file.writing(path, overwrite=True) as write:
        for scaled in _blocks(run, n, seed):
            if not drawn:
                picture = grid(scaled, run.preprocessing.spec.kind, f"{n} samples from the prior")
            write({"samples": run.preprocessing.input_scaling.invert(scaled)})
            drawn += len(scaled)
            if time.monotonic() - said > SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                say(f"{drawn} of {n} samples, {drawn / n:.0%}" if drawn < n else "Packing the file.")
    RunFolder(folder).save_figure("samples", picture)
    say(f"{n} samples are in {path} and {folder / 'figures' / 'samples.png'}")


def _blocks(run: TrainedRun, n: int, seed: int) -> Iterator[np.ndarray]:
    """The draws (block, *inputs) in scaled units, every block after the first from a key of its own."""
    rows, key = min(n, block_size(run)), jax.random.key(seed)
    draw = program_of(run.model, lambda model, key: model.sample(key, rows))
    for start in range(0, n, rows):
        block = draw(jax.random.fold_in(key, start) if start else key)
        yield np.asarray(block)[: n - start]
