"""Drawing new data from a finished generative run."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from nnrun import checkpoint, config, schema
from nnrun.errors import ConfigError, RunError
from nnrun.outputs import RunFolder
from nnrun.training.program import Fitted, State, build


def sample(folder: Path, plain: dict[str, Any], choices: dict[str, str], n: int, seed: int) -> str:
    """Writes `n` draws from the prior into samples.npz and figures/samples.png; returns a sentence for the user."""
    built = config.build(plain)
    if not hasattr(built.model.locate(), "sample"):
        raise ConfigError(f"model={choices['model']} cannot draw new data. Train one that can, for example model=vae.")
    raise RunError("")
