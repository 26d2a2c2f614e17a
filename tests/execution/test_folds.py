"""Folds and repeats of a setting as members of one program."""

import dataclasses

import numpy as np
import pytest

from nnrun.datasets.parts.folds import checked_refit, divide
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.prepared import prepare
from nnrun.execution.serial import SerialRun
from nnrun.execution.vectorized import CompiledGroup, GroupRun
from tests.execution.lockstep import LONG_LOOP, assert_close

VALUES = {"dataset.limit": 60, "model.hidden_sizes": [6], "model.normalization": "batch", "training.epochs": 3}
BATCH = {"training.batch_size": 8}
DROPOUT = {"model.dropout": 0.2}


def group(config, data=None, batching="map"):
    loaded = prepare(config, data)
    static = loaded.config.split()[0]
    return GroupRun([loaded.config], CompiledGroup(static, loaded.data, TrialPlacement(1, batching))), loaded.data


def epoch(trainer, part):
    sums, found = trainer.steps(trainer.train_steps), trainer.evaluate(part)
    trainer.end_epoch([one.loss for one in found], [True] * len(found))
    return [(one, two.sums, two.rows) for one, two in zip(sums, found, strict=True)]


@pytest.fixture(scope="module")
def alone(make_config):
    """Three epochs of a run on the parts of each of three folds, with each of two seeds; and its weights."""
    config = make_config(VALUES | BATCH | DROPOUT | {"training.folds": 3}, dataset="iris")
    divisions = prepare(config).data.folds.divisions
    found = []
    for division in divisions:
        for seed in (0, 1):
            one = make_config(VALUES | BATCH | DROPOUT | {"seed": seed}, dataset="iris")
            loaded = prepare(one, division)
            compiled = Compiled(loaded.config.split()[0], division, Placement(1))
            run = SerialRun(loaded.config, division, compiled)
            found.append(([epoch(run, division.val)[0] for _ in range(3)], run.weights()))
    return found


@pytest.mark.parametrize(("batching", "tolerance"), [("map", 0.0), ("vmap", LONG_LOOP)])
def test_a_fold_is_a_run_on_its_parts(make_config, alone, batching, tolerance):
    values = VALUES | BATCH | DROPOUT | {"training.folds": 3, "training.repeats": 2}
    trainer, data = group(make_config(values, dataset="iris"), batching=batching)
    assert trainer.members == 6
    epochs = [epoch(trainer, data.val) for _ in range(3)]
    for member, (expected, weights) in enumerate(alone):
        assert_close([found[member] for found in epochs], expected, tolerance)
        assert_close(trainer.weights(member), weights, tolerance)


@pytest.mark.parametrize("dataset", ["iris", "diabetes"])
def test_a_fold_learns_nothing_from_what_it_holds_out(make_config, dataset):
    config = make_config(VALUES | BATCH | {"training.folds": 3}, dataset=dataset)
    whole = prepare(config).data
    weights = []
    rows = whole.folds.val[1]
    inputs = len(whole.train["inputs"])
    changed = {name: values.copy() for name, values in whole.folds.pool.items()}
    for values in changed.values():
        # Labels say which examples are held out.
        if values.dtype != np.int32:
            values[rows] = 7 - 3 * values[rows]
    parts = [{name: values[part] for name, values in changed.items()} for part in (slice(inputs), slice(inputs, None))]
    other = dataclasses.replace(whole, train=parts[0], val=parts[1], folds=None)
    kind = config.dataset.config.scaling
    refit = checked_refit(dataclasses.replace(whole, folds=None), kind)
    other = dataclasses.replace(other, folds=divide(other, 3, config.dataset.config.seed, refit))
    np.testing.assert_array_equal(other.folds.val, whole.folds.val)
    for data in (whole, other):
        trainer, _ = group(config, data)
        epoch(trainer, data.val)
        weights.append([trainer.weights(member) for member in range(3)])
    assert_close(weights[0][1], weights[1][1])
    for member in (0, 2):
        with pytest.raises(AssertionError):
            assert_close(weights[0][member], weights[1][member])


@pytest.mark.parametrize("batching", ["map", "vmap"])
def test_folds_of_unequal_sizes_train_on_all_they_have_and_on_nothing_else(make_config, batching):
    # 51 examples: the last fold learns from 39, one more than the others, and alone has a third batch.
    config = make_config(VALUES | {"training.folds": 4, "training.batch_size": 19}, dataset="iris")
    trainer, data = group(config, batching=batching)
    assert trainer.train_steps == 3
    for found in (epoch(trainer, data.val), epoch(trainer, data.val)):
        assert [sums.examples for sums, _, _ in found] == [38, 38, 38, 39]
        assert [len(rows["labels"]) for _, _, rows in found] == [13, 13, 13, 12]
        assert np.isfinite([sums.loss for sums, _, _ in found]).all()
    for member, division in enumerate(data.folds.divisions):
        labels = found[member][2]["labels"]
        np.testing.assert_array_equal(labels, division.val["targets"])


def test_a_fold_that_is_smaller_is_a_run_on_its_parts_where_a_batch_is_all(make_config):
    # Without a normalization, under which biases have gradients that are nothing but rounding, which Adam enlarges.
    values = VALUES | {"training.batch_size": 39, "model.normalization": "none"}
    trainer, data = group(make_config(values | {"training.folds": 4}, dataset="iris"))
    found = [epoch(trainer, data.val) for _ in range(2)][-1]
    for member, division in enumerate(data.folds.divisions):
        run = SerialRun(prepare(make_config(values, dataset="iris"), division).config, division)
        expected = [epoch(run, division.val)[0] for _ in range(2)][-1]
        assert_close(found[member][:2], expected[:2], LONG_LOOP)


def test_every_example_outside_the_test_part_is_held_out_once(make_config):
    data = prepare(make_config(VALUES | {"training.folds": 4}, dataset="iris")).data
    held_out = np.sort(data.folds.val[data.folds.val >= 0])
    np.testing.assert_array_equal(held_out, np.arange(51))
    for train, val in zip(data.folds.train, data.folds.val, strict=True):
        assert not np.intersect1d(train[train >= 0], val[val >= 0]).size
        labels = data.folds.pool["targets"][val[val >= 0]]
        assert np.ptp(np.bincount(labels)) <= 1
