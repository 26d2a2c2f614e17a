"""Whether the gradient reaches the first layers of a deep network, and what the activation has to do with it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from matplotlib.figure import Figure

from nnrun.models.base import of_each
from nnrun.models.layers import Activation, DenseStack, activate
from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, headline, label, whole_numbers
from nnrun.tasks.baselines.scores import scaled

FEWEST = 3
"""Hidden layers from which there is something to see."""
EXAMPLES = 256
FLOOR = 1e-12


def draw(run: FinishedRun) -> Figure | None:
    """The activation and its derivative; over the hidden layers, at several epochs: its mean derivative, and the
    gradient of the loss with respect to the weights. None for networks of fewer layers."""
    stack = getattr(run.model, "hidden", None)
    if not isinstance(stack, DenseStack) or len(stack.dense) < FEWEST:
        return None
    picture = figure(11.5, 3.9)
    shape, slope, reach = picture.subplots(1, 3)
    z = jnp.linspace(-4, 4, 201)
    shape.plot(z, activate(stack.activation, z), color=COLOURS[0], label="φ(z)")
    shape.plot(z, _slope(stack.activation, z), color=COLOURS[1], label="φ′(z)")
    shape.legend(frameon=False)
    label(shape, f"{stack.activation} and its derivative", "z", "")
    names, models = _chosen(run)
    layers = np.arange(1, len(stack.dense) + 1)
    for name, (slopes, norms), colour in zip(names, measured(run, models), COLOURS, strict=False):
        slope.plot(layers, slopes, "o-", color=colour, label=name)
        reach.plot(layers, np.maximum(norms, FLOOR), "o-", color=colour, label=name)
    label(slope, "mean |φ′| of the units", "hidden layer", "")
    label(reach, "‖∂L/∂W‖ of the layer", "hidden layer", "")
    reach.set_yscale("log")
    for axes in (slope, reach):
        whole_numbers(axes)
        axes.legend(frameon=False, fontsize=8)
    slope.set_ylim(0, 1.05 * slope.dataLim.y1)
    headline(picture, f"{run.title}: what of the gradient reaches the first layers")
    return picture


def _chosen(run: FinishedRun) -> tuple[list[str], list[Any]]:
    """Names and networks of the first stage, one of the middle, and the last two, of which one is kept."""
    named = [("untrained" if epoch == 0 else f"epoch {epoch}", model) for epoch, model in run.stages.items()]
    named.append(("kept", run.model))
    places = sorted({0, len(named) // 2, max(0, len(named) - 2), len(named) - 1})
    return [named[i][0] for i in places], [named[i][1] for i in places]


def measured(run: FinishedRun, models: list[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each network (layers,) mean of |φ′(z)| over the units of each hidden layer, and (layers,) norm of the gradient
    of its kernel, for the mean loss of the first training examples."""
    part = {name: values[:EXAMPLES] for name, values in run.data.train.items()}
    inputs, targets = scaled(run.data, "train", slice(EXAMPLES))
    batch = {**part, "inputs": jnp.asarray(inputs, jnp.float32), "targets": targets, "mask": np.ones(len(targets))}

    def both(net: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
        graph, *parts = nnx.split(net, nnx.Param, ...)
        params, rest = parts

        def loss(params: Any) -> jax.Array:
            return run.task.loss(nnx.merge(graph, params, rest)(batch)[0], batch).mean()

        gradient = jax.grad(loss)(params)["hidden"]["dense"]
        slopes = [jnp.abs(_slope(net.hidden.activation, z)).mean() for z in net.hidden.inner(net.features(batch))]
        norms = [jnp.linalg.norm(gradient[i]["kernel"][...]) for i in range(len(slopes))]
        return jnp.stack(slopes), jnp.stack(norms)

    return [(np.asarray(slopes), np.asarray(norms)) for slopes, norms in of_each(models, both, batch)]


def _slope(activation: Activation, z: jax.Array) -> jax.Array:
    """φ′ of every element."""
    return jax.vmap(jax.grad(lambda one: activate(activation, one)))(z.ravel()).reshape(z.shape)
