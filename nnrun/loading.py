"""A finished run, back from its folder: no code from it is executed, no data is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nnrun import checkpoint, config, preprocessing
from nnrun.config import RunConfig
from nnrun.errors import ConfigError
from nnrun.preprocessing import Preprocessing
from nnrun.tasks.base import ArrayScaling
from nnrun.training.program import Fitted, Weights, build


@dataclass(frozen=True)
class LoadedRun:
    """A trained network (`model({"inputs": scaled})`) and what turns raw inputs into scaled ones."""

    config: RunConfig
    model: Any
    preprocessing: Preprocessing


def load(folder: Path, plain: dict[str, Any]) -> LoadedRun:
    """Rebuilds the network of a checked config with the folder's weights.

    Raises ConfigError when weights or preprocessing are missing, damaged or of another network.
    """
    built = config.build(plain)
    fitted = preprocessing.load(folder)
    static, traced = built.split()
    program, numbers = build(static, fitted.spec, 1), config.as_arrays(traced)
    nothing = ArrayScaling(np.float32(0), np.float32(1))
    state = jax.eval_shape(program.init, numbers, Fitted(nothing, None))
    path = folder / "model.safetensors"
    try:
        saved, _ = checkpoint.load_tree(path, {"weights": state.weights, "numbers": state.numbers})
    except ValueError as error:
        raise ConfigError(f"{error} Train again: nnrun repeat {folder}") from None
    restored = state._replace(weights=Weights(*saved["weights"]), numbers=saved["numbers"])
    return LoadedRun(built, program.model(numbers, restored), fitted)
