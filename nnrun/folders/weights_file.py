"""Safetensors files, never pickled: their one reader and writer, for weights, checkpoints and groups in training."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nnrun.host import disk

WEIGHTS = "model.safetensors"
"""The weights of a run, in its folder."""
LONGEST = 200
"""Characters of what the library says of a damaged file."""
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"}
DTYPES |= {f"{sign}{bits}": f"{name}{bits}" for sign, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)}
"""The format's names of types, and NumPy's."""


class Header(NamedTuple):
    """What a file says of an array before the array is read."""

    dtype: str
    shape: tuple[int, ...]


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree under their dotted names."""
    # JAX is imported where there is a tree: what reads headers alone, `nnrun show`, answers at once without it.
    import jax

    from nnrun.training.network import weight_names

    return dict(zip(weight_names(tree), jax.tree.leaves(tree), strict=True))


def encoded(tree: Any, metadata: dict[str, str] | None = None) -> bytes:
    """The content of a file that holds the leaves of a tree under their dotted names."""
    import jax

    # The library writes the memory of an array as it lies there: one in another order would come back transposed.
    return save({n: np.asarray(leaf, order="C") for n, leaf in jax.device_get(named(tree)).items()}, metadata)


def write(path: Path, tree: Any, notes: dict[str, Any] | None = None) -> None:
    """Writes a tree, whole or not at all, with `notes` as JSON beside it."""
    disk.write(path, encoded(tree, {"nnrun": json.dumps(notes or {})}))


def headers(path: Path) -> dict[str, Header]:
    """Type and shape of every array by name. Raises ValueError when the file is missing or damaged."""
    with _opened(path) as file:
        return _headers(file)


def notes(path: Path) -> dict[str, Any]:
    """What was written beside the tree. Raises ValueError when the file is missing or damaged."""
    with _opened(path) as file:
        found: dict[str, Any] = json.loads((file.metadata() or {}).get("nnrun", "{}"))
        return found


def read(path: Path, like: Any, stacked: bool = False, exactly: bool = False) -> Any:
    """A tree with the structure, shapes and types of `like`; nothing is read before the headers say that it is one.

    stacked: leading axes may have any size. exactly: the file must hold nothing else. Raises ValueError when it is
    missing, damaged or does not fit.
    """
    import jax

    wanted = {name: Header(str(leaf.dtype), leaf.shape) for name, leaf in named(like).items()}
    with _opened(path) as file:
        held = _headers(file)
        if fault := _other_version(held, wanted) if exactly else _other_network(held, wanted, stacked):
            raise ValueError(f"{path} {fault}.")
        return jax.tree.unflatten(jax.tree.structure(like), [file.get_tensor(name) for name in wanted])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # A pipe would be waited at for ever.
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is damaged (it is no file).")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise ValueError(f"{path} is missing.") from None
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({str(error)[:LONGEST]}).") from None


def _headers(file: Any) -> dict[str, Header]:
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    return {n: Header(DTYPES.get(s.get_dtype(), s.get_dtype()), tuple(s.get_shape())) for n, s in slices.items()}


def _other_version(held: dict[str, Header], wanted: dict[str, Header]) -> str:
    """The first difference of a file that must hold what is wanted and nothing else, or nothing."""
    difference = ""
    if lacking := [name for name in wanted if name not in held]:
        difference = f"it lacks {lacking[0]}"
    elif unknown := [name for name in held if name not in wanted]:
        difference = f"it holds {unknown[0]}, which is unknown here"
    elif others := [name for name in wanted if held[name] != wanted[name]]:
        found, right = (f"{one.dtype} of shape {one.shape}" for one in (held[others[0]], wanted[others[0]]))
        difference = f"{others[0]} is {found}, not {right}"
    return difference and f"was written by another version of nnrun: {difference}"


def _other_network(held: dict[str, Header], wanted: dict[str, Header], stacked: bool) -> str:
    """Which array that is wanted a file lacks or has in another form; nothing where it has them all."""
    for name, (dtype, shape) in wanted.items():
        found = held.get(name)
        if found is None or found.shape[stacked:] != shape[stacked:]:
            said = "is missing" if found is None else f"has the shape {found.shape}, not {shape}"
            return f"is of another network or version of nnrun: {name} {said}"
        if found.dtype != dtype:
            return f"must hold {name} as {dtype}, not {found.dtype}"
    return ""
