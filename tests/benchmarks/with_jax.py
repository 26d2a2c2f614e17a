"""Bare JAX: plain functions over dicts of weights, nnrun's kernels, the whole epoch in one compiled scan."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from nnrun.models.blocks.convolution import product_convolution
from nnrun.models.blocks.recurrent import FEATURES_FIRST
from nnrun.models.gru import ResetBeforeCell
from nnrun.models.kernels.layout import StepLayout
from nnrun.models.kernels.scan import Rule, recurrence
from nnrun.models.lstm import LSTMCell
from tests.benchmarks.cases import FILTERS, LEARNING_RATE, Case, arrays

Weights = dict[str, jax.Array]
SAME = ((1, 1), (1, 1))
CELLS = {"lstm": LSTMCell(), "gru": ResetBeforeCell()}


def build(case: Case, threads: int) -> Callable[[], float]:
    """An epoch of training as a function that returns its mean loss; the batch is shared by `threads` devices."""
    jax.config.update("jax_num_cpu_devices", threads)
    mesh = jax.make_mesh((threads,), ("batch",), axis_types=(AxisType.Auto,))
    everywhere, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("batch"))
    weights, optimizer = initial(case), optax.adam(LEARNING_RATE)
    x, y = jax.device_put(arrays(case), everywhere)
    state = jax.device_put((weights, optimizer.init(weights), jax.random.key(1)), everywhere)

    def objective(weights: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
        prediction = predict(case, weights, x)
        if case.classes:
            return optax.softmax_cross_entropy_with_integer_labels(prediction, y).mean()
        return jnp.square(prediction - y).mean()

    def shard(tree: Any) -> Any:
        return jax.lax.with_sharding_constraint(tree, split) if threads > 1 else tree

    def step(carry: Any, index: jax.Array) -> Any:
        weights, memory = carry
        batch = shard((x[shard(index)], y[shard(index)]))
        loss, gradient = jax.value_and_grad(objective)(weights, *batch)
        update, memory = optimizer.update(gradient, memory, weights)
        return (optax.apply_updates(weights, update), memory), loss

    def epoch(state: Any) -> Any:
        weights, memory, key = state
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, case.examples).reshape(-1, case.batch)
        (weights, memory), losses = jax.lax.scan(step, (weights, memory), order)
        return (weights, memory, key), losses.mean()

    compiled = jax.jit(epoch, donate_argnums=0)

    def run() -> float:
        nonlocal state
        state, loss = compiled(state)
        return float(loss)

    return run


def initial(case: Case) -> Weights:
    """Weights by name, `dense0.kernel`, `dense0.bias`, ..., the head last; kernels He normal, of a state orthogonal."""
    shapes: dict[str, tuple[int, ...]] = {}
    features, dense = case.inputs[-1], case.hidden
    if case.network == "cnn":
        for i, filters in enumerate(FILTERS):
            shapes[f"conv{i}"] = (3, 3, features, filters)
            features = filters
        features *= (case.inputs[0] // 4) * (case.inputs[1] // 4)
    elif case.recurrent:
        dense = ()
        shapes["input"] = (features, CELLS[case.network].blocks * case.hidden[0])
        features = case.hidden[0]
    for i, units in enumerate((*dense, case.classes or 1)):
        shapes[f"dense{i}"] = (features, units)
        features = units
    init, orthogonal = jax.nn.initializers.he_normal(), jax.nn.initializers.orthogonal()
    key, *keys = jax.random.split(jax.random.key(0), len(shapes) + 1)
    weights = {f"{name}.kernel": init(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}
    if case.recurrent:
        square = (case.hidden[0], case.hidden[0])
        blocks = [orthogonal(k, square) for k in jax.random.split(key, CELLS[case.network].blocks)]
        weights["recurrent.kernel"] = jnp.concatenate(blocks, 1)
    return weights | {f"{name}.bias": jnp.zeros(shape[-1]) for name, shape in shapes.items()}


def predict(case: Case, weights: Weights, x: jax.Array) -> jax.Array:
    """(batch, *inputs) -> (batch, classes) logits or (batch, 1) values."""
    if case.network == "cnn":
        x = convolutional(weights, x)
    elif case.recurrent:
        x = recurrent(case, weights, x)
    last = sum(name.startswith("dense") for name in weights) // 2 - 1
    for i in range(last):
        x = jax.nn.relu(x @ weights[f"dense{i}.kernel"] + weights[f"dense{i}.bias"])
    return x @ weights[f"dense{last}.kernel"] + weights[f"dense{last}.bias"]


def convolutional(weights: Weights, x: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> (batch, features)."""
    for i in range(len(FILTERS)):
        x = product_convolution(x, weights[f"conv{i}.kernel"], (1, 1), SAME, pool=(2, 2))
        x = jax.nn.relu(x + weights[f"conv{i}.bias"])
    return x.reshape(x.shape[0], -1)


def recurrent(case: Case, weights: Weights, x: jax.Array) -> jax.Array:
    """(batch, time, channels) -> (batch, units), the last hidden state."""
    cell, units = CELLS[case.network], case.hidden[0]
    layout = StepLayout(units >= FEATURES_FIRST)
    projected = layout.project(layout.sequence(x), weights["input.kernel"], weights["input.bias"])
    initial = (layout.turn(jnp.zeros((len(x), units))),) * cell.states
    kernels = cell.split_weights(weights["recurrent.kernel"], None)
    _, final = recurrence(Rule(cell, layout), projected, kernels, initial, None)
    return layout.turn(final[0])
