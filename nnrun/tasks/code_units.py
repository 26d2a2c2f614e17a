"""What the units of a sparse code stand for."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import Data
from nnrun.models.base import Model, Outputs, in_one_program
from nnrun.tasks.losses import ACTIVE

NAMED = 5
"""Inputs that are named of each unit."""


def table(model: Model, outputs: Outputs, data: Data) -> dict[str, np.ndarray]:
    """A row per unit of the code, by how much the reconstruction owes to it.

    active_share: of the test examples in which the unit counts; effect: the length of what the unit adds to the
    reconstruction at its mean size where it is active, in scaled units; inputs: those that it moves most, with signs.
    """
    code = np.asarray(outputs.latent)
    active = np.abs(code) > ACTIVE * np.abs(code).max(-1, keepdims=True)
    mean = np.where(active, code, 0).sum(0) / np.maximum(active.sum(0), 1)
    moved = np.array(in_one_program(model, _moved, jnp.asarray(mean))).reshape(len(mean), -1)
    # What two ways of summing the same leave is no effect.
    moved[~active.any(0)] = 0
    effect, names = np.linalg.norm(moved, axis=1), _names(data)
    order = np.argsort(-effect * active.mean(0), kind="stable")
    strongest = np.argsort(-np.abs(moved), axis=1, kind="stable")[:, :NAMED]
    named = [
        ", ".join(f"{'+' if moved[unit, i] > 0 else '-'}{names[i]}" for i in strongest[unit] if moved[unit, i])
        for unit in order
    ]
    return {
        "unit": order + 1,
        "active_share": active.mean(0)[order],
        "effect": effect[order],
        "inputs": np.array(named),
    }


def _moved(model: Any, mean: jax.Array) -> jax.Array:
    """(units, *inputs) what the decoder makes of each unit alone at its mean size, beside what it makes of nothing."""
    return model.decoder(jnp.diag(mean)) - model.decoder(jnp.zeros_like(mean)[None])


def _names(data: Data) -> list[str]:
    """A name for every element of the inputs; those of images and series tell the place, counted from 1."""
    shape, names = data.spec.inputs, data.input_names
    if len(shape) == 1:
        return list(names) or [f"input_{i + 1}" for i in range(shape[0])]
    places = ["/".join(str(i + 1) for i in place) for place in np.ndindex(*shape[:-1])]
    channels = names if len(names) == shape[-1] else [f"channel_{i + 1}" for i in range(shape[-1])]
    return [place if shape[-1] == 1 else f"{place} {channel}" for place in places for channel in channels]
