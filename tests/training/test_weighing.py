"""A task whose mean loss is one per token: an example counts as often as it has valid steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.config.run_config import as_arrays
from nnrun.datasets.base import DataSpec
from nnrun.tasks.base import ArrayScaling
from nnrun.tasks.classification import Classification
from nnrun.training.program import Program
from nnrun.training.state import Fitted

EXAMPLES, TIME, CLASSES = 7, 5, 4
SPEC = DataSpec("series", (TIME, 2), (), "classification", classes=CLASSES, per_step=True, lengths=True)
FITTED = Fitted(ArrayScaling(jnp.zeros(2), jnp.ones(2)), None)
QUICK = {"xla_backend_optimization_level": "0"}


def compiled(function):
    return jax.jit(function, compiler_options=QUICK)


class PerToken(Classification):
    """Classification whose loss is a mean over tokens, not over sequences of them."""

    def weights(self, batch):
        return batch["mask"] * batch["lengths"]


@pytest.fixture(scope="module")
def part():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(EXAMPLES, TIME, 2)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (EXAMPLES, TIME)).astype(np.int32)
    return {"inputs": inputs, "targets": labels, "lengths": np.array([1, 5, 2, 5, 3, 1, 4], np.int32)}


@pytest.fixture(scope="module")
def make(make_config):
    """A program whose task is of the class, its numbers, and its first state."""

    def made(task, batch):
        values = {"model.hidden_size": 3, "training.batch_size": batch, "optimizer.learning_rate": 0.1}
        config = make_config(values, model="rnn", dataset="sine", task="classification", optimizer="sgd")
        static, traced = dataclasses.replace(config, task=dataclasses.replace(config.task, cls=task)).split()
        program, numbers = Program(static, SPEC, EXAMPLES), as_arrays(traced)
        return program, numbers, compiled(program.init)(numbers, FITTED)

    return made


def token_losses(logits, part):
    """(examples, time) cross-entropies, 0 for steps that are not valid."""
    found = -jnp.take_along_axis(jax.nn.log_softmax(logits), part["targets"][..., None], -1)[..., 0]
    return jnp.where(np.arange(TIME) < part["lengths"][:, None], found, 0)


def test_a_loss_is_a_mean_per_token_where_the_task_says_so(make, part):
    """In evaluation and in a step, which follows the gradient of that mean."""
    program, numbers, state = make(PerToken, batch=EXAMPLES)
    tokens = part["lengths"].sum()

    def mean(params):
        changed = state._replace(weights=state.weights._replace(params=params))
        return token_losses(program.forward(numbers, changed, part)[0].prediction, part).sum() / tokens

    value, gradient = compiled(jax.value_and_grad(mean))(state.weights.params)
    chunk = {name: np.resize(values, (2, 4, *values.shape[1:])) for name, values in part.items()}
    chunk["mask"] = (np.arange(8) < EXAMPLES).astype(np.float32).reshape(2, 4)
    sums = compiled(program.evaluate)(numbers, state, chunk).sums
    assert float(sums["nnrun/count"]) == tokens == 21
    assert float(sums["nnrun/loss"] / sums["nnrun/count"]) == pytest.approx(float(value), rel=1e-6)
    after = compiled(program.steps)(numbers, state, part, np.int32(1))
    assert float(after.sums.examples) == tokens
    assert float(after.sums.loss / after.sums.examples) == pytest.approx(float(value), rel=1e-6)
    wanted = jax.tree.map(lambda p, g: p - 0.1 * g, state.weights.params, gradient)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.weights.params, wanted)
