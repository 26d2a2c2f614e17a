"""How well a naive predictor does, by the same code that judges the network."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import Data
from nnrun.models.base import Batch, Outputs
from nnrun.tasks.base import ArrayScaling, Statistics, Task


def scaled(data: Data, part: str, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a part as the network and the loss see them, in float64; labels stay integers."""
    raw = {name: values[rows] for name, values in getattr(data, part).items()}
    inputs, targets = data.input_scaling.apply(raw["inputs"].astype(np.float64)), raw["targets"]
    if data.target_scaling is None or data.spec.classes is not None:
        return inputs, targets
    return inputs, data.target_scaling.apply(targets.astype(np.float64))


def score(task: Task, prediction: np.ndarray, data: Data) -> dict[str, float]:
    """The loss and the metrics of a prediction for the whole test part: (n, *shape), scaled units or logits."""
    scaling = data.target_scaling
    unit = None if scaling is None else ArrayScaling(scaling.offset, scaling.scale)
    _, targets = scaled(data, "test")
    batch: Batch = {"targets": jnp.asarray(targets), "mask": jnp.ones(len(targets))}
    if (lengths := data.spec.example["targets"].lengths) is not None:
        batch[lengths] = jnp.asarray(data.test[lengths])

    loss, found = _judge(task, Outputs(jnp.asarray(prediction)), batch, unit)
    sums, rows = jax.tree.map(np.asarray, tuple(found))
    return {"loss": float(loss), **task.finish(sums, rows, data), **task.details(sums, rows, data)}


@partial(jax.jit, static_argnums=0)
def _judge(task: Task, outputs: Outputs, batch: Batch, unit: ArrayScaling | None) -> tuple[jax.Array, Statistics]:
    losses, counts = task.loss(outputs, batch), task.weights(batch)
    # The mask is all ones here; weighing by it would round otherwise than the plain mean.
    mean = losses.mean() if counts is batch["mask"] else jnp.average(losses, weights=counts)
    return mean, task.statistics(outputs, batch, unit)
