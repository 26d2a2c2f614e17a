"""Tasks that say what of a network's Outputs leaves the device, or decode in a way of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.execution.devices import TrialPlacement
from nnrun.execution.serial import Judged, SerialRun
from nnrun.execution.vectorized import CompiledGroup
from nnrun.models.base import Outputs
from nnrun.tasks.base import Statistics
from nnrun.tasks.classification import Classification
from nnrun.tasks.regression import Regression

TIME, WORDS, PROMPT = 6, 700, 2
WORDS_SPEC = DataSpec("series", (TIME, 1), (), "classification", classes=WORDS, per_step=True)
VALUES_SPEC = DataSpec("series", (TIME, 1), (1,), "regression", per_step=True)


class Words(Classification):
    """Tells one of many words at every step, and reports the most likely one alone with its log-probability."""

    def metric_names(self):
        return ("hits",)

    def statistics(self, outputs, batch, targets):
        hits = (outputs.prediction.argmax(-1) == batch["targets"]).mean(-1) * batch["mask"]
        return Statistics({"hits": hits.sum(), "examples": batch["mask"].sum()}, {})

    def finish_all(self, found, data):
        return [{"hits": float(sums["hits"] / sums["examples"])} for sums, _ in found]

    def condense(self, outputs, batch):
        scores = jax.nn.log_softmax(outputs.prediction)
        return Outputs(scores.argmax(-1).astype(jnp.int32), kept={"log_probability": scores.max(-1)})

    def decode(self, outputs, data):
        return {"word": outputs.prediction, "log_probability": outputs.kept["log_probability"]}


class RollOut(Regression):
    """Trained to tell the next value from those before; predicts a whole series from its first values alone."""

    def generate(self, model, batch, rngs):
        def step(known, now):
            carry, before = known
            given, position = now
            x = jnp.where(position < PROMPT, given, before)
            outputs, carry = model({"inputs": x[:, None]}, None, carry)
            return (carry, outputs.prediction[:, 0]), outputs.prediction[:, 0]

        steps = jnp.swapaxes(batch["inputs"], 0, 1)
        (first, carry), rest = model({"inputs": steps[0][:, None]}), jnp.arange(1, TIME)
        start = first.prediction[:, 0]
        _, found = jax.lax.scan(step, (carry, start), (steps[1:], rest))
        return Outputs(jnp.swapaxes(jnp.concatenate([start[None], found]), 0, 1))


def made_up(spec, counts=(9, 5, 7)):
    rng, parts = np.random.default_rng(0), []
    for n in counts:
        values = rng.normal(size=(n, TIME + 1, 1)).astype(np.float32)
        words = rng.integers(0, WORDS, (n, TIME)).astype(np.int32)
        parts.append({"inputs": values[:, :-1], "targets": words if spec.classes else values[:, 1:]})
    nothing = Scaling(np.zeros(1, np.float32), np.ones(1, np.float32))
    return Data(spec, *parts, nothing, None if spec.classes else nothing)


@pytest.fixture(scope="module")
def make(make_config):
    """A run of a small recurrent network with the task, and its data."""

    def made(task, spec, name):
        values = {"model.hidden_size": 4, "training.batch_size": 4, "training.devices": 1}
        config = make_config(values, model="rnn", dataset="sine", task=name)
        config = dataclasses.replace(config, task=dataclasses.replace(config.task, cls=task))
        data = made_up(spec)
        return SerialRun(config, data), data, config

    return made


@pytest.fixture(scope="module")
def words(make):
    return make(Words, WORDS_SPEC, "classification")


@pytest.fixture(scope="module")
def rolled(make):
    return make(RollOut, VALUES_SPEC, "regression")


def test_what_a_task_condenses_is_all_that_leaves_the_device(words):
    run, data, config = words
    chunk = next(iter(run.compiled.chunks(data.test)))
    for function in (run.program.judge, run.program.outputs):
        shapes = jax.tree.leaves(jax.eval_shape(function, run.traced, run.state, chunk))
        assert max(np.prod(leaf.shape) for leaf in shapes) == len(chunk["mask"].reshape(-1)) * TIME
    outputs = run.outputs(data.test)
    found = config.task.cls(config.task.config, WORDS_SPEC).decode(outputs, data)
    model = run.model()
    scores = np.asarray(jax.nn.log_softmax(model({"inputs": data.test["inputs"]})[0].prediction))
    np.testing.assert_array_equal(found["word"], scores.argmax(-1))
    np.testing.assert_allclose(found["log_probability"], scores.max(-1), rtol=1e-5)
    assert found["word"].shape == (7, TIME)


def test_a_task_may_decode_step_by_step_what_it_was_not_trained_to(rolled):
    run, data, _ = rolled
    model, given = run.model(), data.test["inputs"]
    x, carry, expected = given[:, :1], None, []
    for position in range(TIME):
        outputs, carry = model({"inputs": x}, None, carry)
        expected.append(np.asarray(outputs.prediction[:, 0]))
        x = given[:, position + 1 : position + 2] if position + 1 < PROMPT else outputs.prediction
    found = run.outputs({"inputs": given}).prediction
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-5)
    taught = np.asarray(model({"inputs": given})[0].prediction)
    np.testing.assert_allclose(found[:, :PROMPT], taught[:, :PROMPT], atol=1e-5)
    assert not np.allclose(found[:, PROMPT:], taught[:, PROMPT:], atol=1e-3)


def test_only_what_is_predicted_is_generated_and_by_one_program(rolled, make):
    run, data, config = rolled
    plain, _, other = make(Regression, VALUES_SPEC, "regression")
    texts = [[program.as_text() for program in one._lowered()] for one in (run, plain)]
    assert texts[0] == texts[1]
    run.outputs(data.test)
    before = run.compiled.outputs._cache_size()
    assert [len(run.outputs(part).prediction) for part in (data.val, data.test)] == [5, 7]
    assert run.compiled.outputs._cache_size() == before
    trained = Judged(config, data)
    assert len(list(trained._lowered())) == 2
    trained.adopt(run.weights())
    np.testing.assert_array_equal(trained.outputs(data.test).prediction, run.outputs(data.test).prediction)
    assert trained.evaluate(data.test, best=True)[0].loss == run.evaluate(data.test, best=True)[0].loss
    statics = [one.split()[0] for one in (config, other)]
    assert [CompiledGroup(one, data, TrialPlacement(1, "map")).answers for one in statics] == [False, True]
