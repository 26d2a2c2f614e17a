"""Weights to start from: arrays of a safetensors file, by the names that a network's weights have."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from nnrun.errors import ConfigError
from nnrun.schema import nearest
from nnrun.training.network import weight_names
from nnrun.training.state import Weights

FILE = "model.safetensors"
"""What a run's folder calls its weights."""
PREFIXES = ("weights.params.", "weights.statistics.")
"""Words in front of the names in a run's own file; what else lies beside these belongs to the run, not to a network."""
KINDS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
"""Types that become those of the weights; an array of another type is of something else."""
ENCODER = "encoder."
"""Word in front of the names of an autoencoder's weights from which a network with another head can start."""
NAMED = 5
"""Names that a sentence lists before it counts the rest."""

Header = dict[str, tuple[str, tuple[int, ...], str]]
"""Name of a weight -> the name in the file, the shape, and the type."""


class Initial:
    """What networks start from: the arrays of `source` that fit by name and shape; without a source, nothing.

    source: a safetensors file, or the folder of a run. It is opened when the arrays are asked for, so that a run which
    goes on from a checkpoint needs it no more; `remarks` then say what was taken and what not. The shapes of the
    network's weights come from a function, which is not called in vain.
    """

    def __init__(self, source: str | None) -> None:
        self._source = source
        self.remarks: tuple[str, ...] = ()

    def arrays(self, shapes: Callable[[], Weights]) -> dict[str, np.ndarray]:
        """The arrays by name, in the types of the weights. Raises ConfigError where `check` does."""
        if self._source is None:
            return {}
        path, header, wanted, fitting = _matched(self._source, shapes())
        self.remarks = (_said(path, header, wanted, fitting),)
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(header[name][0]).astype(wanted[name].dtype) for name in fitting}

    def like(self, shapes: Callable[[], Weights]) -> dict[str, jax.ShapeDtypeStruct]:
        """What `arrays` would give, as shapes alone; nothing where the file can no more be used."""
        if self._source is None:
            return {}
        try:
            _, _, wanted, fitting = _matched(self._source, shapes())
        except ConfigError:
            return {}
        return {name: jax.ShapeDtypeStruct(wanted[name].shape, wanted[name].dtype) for name in fitting}


def check(source: str, shapes: Weights) -> None:
    """Raises ConfigError when there is no such file, it is damaged, or nothing in it fits a network of these shapes."""
    _matched(source, shapes)


def started(weights: Weights, given: Mapping[str, Any]) -> Weights:
    """Weights with the arrays of these names in the place of what was drawn."""
    if not given:
        return weights
    leaves, structure = jax.tree.flatten(weights)
    return jax.tree.unflatten(
        structure, [jnp.asarray(given.get(name, leaf)) for name, leaf in zip(_names(weights), leaves, strict=True)]
    )


def _names(weights: Weights) -> list[str]:
    return [*weight_names(weights.params), *weight_names(weights.statistics)]


def _path(source: str) -> Path:
    path = Path(source).expanduser()
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            f"training.initial must name a safetensors file or the folder of a run, but there is no {path}. "
            f"Set for example training.initial=outputs/runs/DATE/TIME_mlp_digits/{FILE}."
        )
    return path


def _header(path: Path) -> Header:
    try:
        with safe_open(path, framework="numpy") as file:
            keys = list(file.keys())
            own = [key for key in keys if key.startswith(PREFIXES)]
            slices = {key: file.get_slice(key) for key in own or keys}
            kinds = {key: (tuple(one.get_shape()), one.get_dtype()) for key, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"training.initial must be a safetensors file, but {path} is not, or is damaged ({str(error)[:200]}). "
            "Name another one, or the folder of a run."
        ) from None
    return {key.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1]): (key, *kind) for key, kind in kinds.items()}


def _matched(source: str, shapes: Weights) -> tuple[Path, Header, dict[str, Any], list[str]]:
    """The file, what it holds, the network's weights by name, and the names of those that the file has in their shape.

    Raises ConfigError when it has none.
    """
    path = _path(source)
    header, wanted = _header(path), dict(zip(_names(shapes), jax.tree.leaves(shapes), strict=True))
    if not any(name.startswith(ENCODER) for name in wanted):
        header = {_of_classifier(name): entry for name, entry in header.items()}
    fitting = [name for name in wanted if name in header and not _difference(header[name], wanted[name])]
    if not fitting:
        shared = [name for name in wanted if name in header]
        reason = _reason(shared[0], header, wanted) if shared else nearest(min(header, default=""), wanted)
        held = _some(header) or "nothing"
        raise ConfigError(
            f"training.initial={path} has no weight of this network in its shape: it holds {held}. {reason}"
        )
    return path, header, wanted, fitting


def _of_classifier(name: str) -> str:
    """The name that a weight of an autoencoder's encoder has in a network of the same layers with another head: an mlp
    has the dense ones, a cnn the convolutional ones."""
    if not name.startswith(ENCODER):
        return name
    return re.sub(r"^blocks\.(\d+)\.(?=kernel$|bias$)", r"blocks.\1.conv.", name.removeprefix(ENCODER))


def _difference(found: tuple[str, tuple[int, ...], str], leaf: Any) -> str:
    _, shape, kind = found
    if shape != leaf.shape:
        return f"{shape} there, {leaf.shape} here"
    return "" if kind in KINDS and jnp.issubdtype(leaf.dtype, jnp.floating) else f"{kind} there, {leaf.dtype} here"


def _reason(name: str, header: Header, wanted: dict[str, Any]) -> str:
    return f"{name} ({_difference(header[name], wanted[name]) if name in header else 'not there'})"


def _said(path: Path, header: Header, wanted: dict[str, Any], fitting: list[str]) -> str:
    said = f"{len(fitting)} of {len(wanted)} arrays of the network start as in {path}."
    if missing := [_reason(name, header, wanted) for name in wanted if name not in fitting]:
        said += f" The others start anew: {_some(missing)}."
    unused = [name for name in header if name not in wanted]
    return f"{said} Not used: {_some(unused)}." if unused else said


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
