"""One run on its devices."""

import jax
import numpy as np
import pytest

from nnrun.errors import ConfigError
from nnrun.execution import devices
from nnrun.execution.prepared import prepare
from nnrun.execution.serial import SerialRun
from nnrun.folders import weights_file
from nnrun.models.mlp import MLP
from nnrun.training import batches

SMALL = {"dataset.limit": 60, "model.hidden_sizes": [8], "training.batch_size": 8, "training.epochs": 3}


@pytest.fixture(scope="module")
def data(make_config):
    config = make_config(SMALL, dataset="iris")
    return config.dataset.create().load()


@pytest.fixture(scope="module")
def make_run(make_config, data):
    return lambda **values: SerialRun(make_config(SMALL | values, dataset="iris"), data)


@pytest.fixture(scope="module")
def run(make_run):
    """A run after an epoch that improved and one that did not."""
    trained = make_run()
    for value, improved in ((1.0, True), (2.0, False)):
        trained.steps(trained.train_steps)
        trained.end_epoch([value], [improved])
    return trained


def test_position_and_steps_per_epoch(run, data):
    assert run.train_steps == -(-len(data.train["inputs"]) // 8)
    assert run.position == 2 * run.train_steps


def test_evaluation_counts_every_example_and_reads_the_weights_asked_for(run, data):
    current, best = run.evaluate(data.train)[0], run.evaluate(data.train, best=True)[0]
    assert current.sums["nnrun/count"] == best.sums["nnrun/count"] == len(data.train["inputs"])
    assert current.loss != best.loss
    logits = run.outputs(data.train).prediction
    assert logits.shape == (len(data.train["inputs"]), 3)
    log_odds = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert best.loss == pytest.approx(-log_odds[np.arange(len(logits)), data.train["targets"]].mean(), rel=1e-5)


def test_the_size_of_evaluations_batches_changes_nothing(run, make_run, data, monkeypatch):
    monkeypatch.setattr(batches, "EVALUATION_BATCH", 4)
    monkeypatch.setattr(batches, "CHUNK_ROWS", 8)
    small = make_run()
    small.restore(jax.device_get(run.state))
    for part in (data.train, data.val, data.test):
        assert small.evaluate(part)[0].loss == pytest.approx(run.evaluate(part)[0].loss, rel=1e-6)
    # A logit near zero is what is left of terms of order one, so float32's rounding of those bounds it from below.
    terms = np.abs(run.outputs(data.test).prediction).max()
    np.testing.assert_allclose(
        small.outputs(data.test).prediction, run.outputs(data.test).prediction, rtol=1e-6, atol=1e-7 * terms
    )


def test_the_model_alone_predicts_what_the_run_does(run, data):
    model = run.model()
    scaled = data.input_scaling.apply(data.test["inputs"]).astype(np.float32)
    np.testing.assert_allclose(model({"inputs": scaled})[0].prediction, run.outputs(data.test).prediction, atol=1e-5)


def test_two_devices_give_what_one_gives(make_run, data):
    one, two = make_run(**{"training.devices": 1}), make_run(**{"training.devices": 2})
    for trained in (one, two):
        trained.steps(2 * trained.train_steps)
    assert len(two.state.step.sharding.device_set) == 2
    assert two.evaluate(data.val)[0].loss == pytest.approx(one.evaluate(data.val)[0].loss, abs=1e-5)
    np.testing.assert_allclose(two.outputs(data.test).prediction, one.outputs(data.test).prediction, atol=1e-5)


def test_a_state_from_disk_continues_with_the_same_bits(make_run, tmp_path):
    first, second = make_run(**{"model.dropout": 0.2}), make_run(**{"model.dropout": 0.2})
    first.steps(3)
    weights_file.write(tmp_path / "state", first.state)
    first.steps(5)
    second.restore(weights_file.read(tmp_path / "state", second.state))
    assert second.position == 3
    second.steps(5)
    for ours, theirs in zip(jax.tree.leaves(first.state), jax.tree.leaves(second.state), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_number_that_is_new_needs_no_new_program(make_run):
    slow, fast = make_run(), make_run(**{"optimizer.learning_rate": 0.1, "seed": 3})
    assert slow.program is not fast.program
    lowered = [
        jax.jit(one.program.steps).lower(one.traced, one.state, one.compiled.feed.take(0)[0], np.int32(1)).as_text()
        for one in (slow, fast)
    ]
    assert lowered[0] == lowered[1]


def test_a_batch_far_larger_than_the_training_part_is_the_whole_of_it(make_config, data):
    def of(batch_size, count="auto"):
        values = SMALL | {"training.batch_size": batch_size, "training.devices": count}
        return prepare(make_config(values, dataset="iris"), data).config.training.batch_size

    examples = batches.count(data.train)
    assert [of(8), of(examples + 1), of(2 * examples)] == [8, examples + 1, 2 * examples]
    assert of(10**6) == of(10**6, count=1) == 2 * examples
    assert of(10**6, count=2) % 2 == 0


def test_devices_of_a_batch(make_config, monkeypatch):
    def of(**training):
        return devices.batch_devices(make_config({f"training.{key}": value for key, value in training.items()}))

    assert (of(), of(devices=1), of(devices=2)) == (1, 1, 2)
    monkeypatch.setattr(MLP, "split_over_devices", True)
    assert (of(), of(batch_size=33)) == (2, 1)
    with pytest.raises(ConfigError) as caught:
        of(devices=3)
    assert str(caught.value) == (
        "training.devices must be <= 2, the number of devices here, but got 3. Set training.devices=2."
    )
    with pytest.raises(ConfigError) as caught:
        of(devices=2, batch_size=33)
    assert str(caught.value) == (
        "training.batch_size must be a multiple of training.devices=2, but got 33. "
        "Set for example training.batch_size=34."
    )


def test_a_part_of_another_size_is_cut_to_its_examples(run, data):
    longer = {name: np.concatenate([values] * 6)[:50] for name, values in data.val.items()}
    assert run.evaluate(longer)[0].sums["nnrun/count"] == 50
    assert run.outputs(longer).prediction.shape == (50, 3)
