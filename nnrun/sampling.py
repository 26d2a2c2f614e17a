"""Drawing new data from a finished generative run."""

import jax
import numpy as np

from nnrun.errors import ConfigError
from nnrun.loading import LoadedRun
from nnrun.models.base import in_one_program
from nnrun.outputs import RunFolder
from nnrun.report.samples import grid


def sample(run: LoadedRun, n: int, seed: int) -> str:
    """Writes `n` draws from the prior, in raw units, to samples.npz and figures/samples.png; says so."""
    folder = run.folder
    if not hasattr(run.model, "sample"):
        raise ConfigError(f"{folder} holds a network that cannot draw new data. Train one that can: model=vae.")
    scaled = np.asarray(in_one_program(run.model, lambda model, key: model.sample(key, n), jax.random.key(seed)))
    written = RunFolder(folder)
    written.write_columns("samples", {"samples": run.preprocessing.input_scaling.invert(scaled)})
    written.save_figure("samples", grid(scaled, run.preprocessing.spec.kind, f"{n} samples from the prior"))
    return f"{n} samples are in {folder / 'samples.npz'} and {folder / 'figures' / 'samples.png'}"
