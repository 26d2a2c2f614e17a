"""A network over streams: what it carries from batch to batch, in training, in evaluation and over a checkpoint."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.config.run_config import as_arrays
from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.execution import feed as feeds
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.serial import SerialRun
from nnrun.execution.vectorized import CompiledGroup, GroupRun
from nnrun.folders import weights_file
from nnrun.models.rnn import RNN
from nnrun.training.program import Program

ROWS, STEPS, TIME, HIDDEN = 4, 12, 2, 6
EXAMPLES = ROWS * STEPS - 3
"""The last stream ends three examples early."""
SPEC = DataSpec("series", (TIME, 1), (1,), "regression", per_step=True)


class Stateful(RNN):
    """An Elman network that reads streams: its hidden state goes from a piece to the next."""

    @classmethod
    def streams(cls, config, data):
        return True

    def initial_carry(self, rows):
        return ((jnp.zeros((rows, HIDDEN)),),)


def stream(examples, seed):
    """Pieces of one sequence of signs; the target is the sign before, half of which lie in the piece before."""
    signs = np.random.default_rng(seed).choice(np.float32([-1, 1]), examples * TIME + 1)
    inputs, targets = signs[1:].reshape(-1, TIME, 1), signs[:-1].reshape(-1, TIME, 1)
    return {"inputs": inputs, "targets": targets}


def made_up(train=EXAMPLES):
    nothing = Scaling(np.zeros(1, np.float32), np.ones(1, np.float32))
    return Data(SPEC, stream(train, 0), stream(31, 1), stream(17, 2), nothing, nothing)


@pytest.fixture(scope="module")
def make(make_config):
    """A config of an Elman network of the class."""

    def made(kind, seed=0, rate=0.1):
        values = {"model.hidden_size": HIDDEN, "training.batch_size": ROWS, "training.epochs": 30}
        values |= {"seed": seed, "optimizer.learning_rate": rate, "training.devices": 1}
        config = make_config(values, model="rnn", dataset="sine", task="regression")
        return dataclasses.replace(config, model=dataclasses.replace(config.model, cls=kind))

    return made


@pytest.fixture(scope="module")
def data():
    return made_up()


@pytest.fixture(scope="module")
def compiled(make, data):
    """The programs of the network over streams, and those of one that takes every piece for a whole."""
    return {kind: Compiled(make(kind).split()[0], data, Placement(1)) for kind in (Stateful, RNN)}


def epoch(trainer, data):
    sums, found = trainer.steps(trainer.train_steps), trainer.evaluate(data.val)
    trainer.end_epoch([one.loss for one in found], [True] * len(found))
    return sums, [one.loss for one in found]


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_equal(first, second):
    for one, other in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_piece_does_not_tell_is_learnt_with_a_carry(make, data, compiled):
    losses = {}
    for kind in (Stateful, RNN):
        run = SerialRun(make(kind), data, compiled[kind])
        for _ in range(15):
            losses[kind] = epoch(run, data)[1][0]
        assert (run.state.carry is None) == (kind is RNN)
    assert losses[RNN] > 0.45
    assert losses[Stateful] < 0.6 * losses[RNN]


def test_rows_follow_one_another_and_padding_keeps_its_carry(make, data, compiled):
    """Two batches equal the two pieces in one sequence; the carry of the last row stays where its stream ended."""
    run = SerialRun(make(Stateful, rate=1e-20), data, compiled[Stateful])
    model = run.program.model(run.traced, jax.device_get(run.state))

    def walked(pieces):
        return model({"inputs": pieces.reshape(1, -1, 1)})[1][0][0][0]

    run.steps(2)
    streams = [data.train["inputs"][row * STEPS : (row + 1) * STEPS] for row in range(ROWS)]
    for row, own in enumerate(streams):
        np.testing.assert_allclose(run.state.carry[0][0][row], walked(own[:2]), atol=1e-5)
    run.steps(STEPS - 2)
    assert [len(own) for own in streams] == [STEPS] * 3 + [STEPS - 3]
    for row, own in enumerate(streams):
        np.testing.assert_allclose(run.state.carry[0][0][row], walked(own), atol=1e-5)
    run.end_epoch([1.0], [True])
    assert not np.any(run.state.carry[0][0])


def test_evaluation_reads_a_part_as_streams_and_answers_in_its_order(make, data, compiled):
    run = SerialRun(make(Stateful), data, compiled[Stateful])
    run.steps(5)
    run.end_epoch([1.0], [True])
    rows, (batches, _) = ROWS, compiled[Stateful]._shape
    inputs, model = data.val["inputs"], run.model()
    padded = np.concatenate([inputs, np.zeros((rows * batches - len(inputs), TIME, 1), np.float32)])
    expected = np.asarray(model({"inputs": padded.reshape(rows, -1, 1)})[0].prediction).reshape(-1, TIME, 1)
    found = run.outputs(data.val).prediction
    np.testing.assert_allclose(found, expected[: len(inputs)], atol=1e-5)
    loss = ((found - data.val["targets"]) ** 2).mean()
    assert run.evaluate(data.val, best=True)[0].loss == pytest.approx(loss, rel=1e-5)


def test_a_checkpoint_within_an_epoch_continues_with_the_same_bits(make, data, compiled, tmp_path):
    first, second = (SerialRun(make(Stateful), data, compiled[Stateful]) for _ in range(2))
    epoch(first, data)
    first.steps(5)
    weights_file.write(tmp_path / "state", first.state)
    second.restore(weights_file.read(tmp_path / "state", second.state, exactly=True))
    assert np.any(second.state.carry[0][0])
    for run in (first, second):
        run.steps(STEPS - 5)
    assert_equal(first.state, second.state)


@pytest.mark.parametrize("batching", ["map", "vmap"])
def test_members_of_a_group_carry_what_runs_alone_do(make, data, compiled, batching):
    configs = [make(Stateful, seed=seed) for seed in (0, 1, 2)]
    group = GroupRun(configs, CompiledGroup(configs[0].split()[0], data, TrialPlacement(1, batching)))
    alone = [SerialRun(config, data, compiled[Stateful]) for config in configs]
    epoch(group, data)
    group.stop([1])
    group.steps(5)
    group.repack()
    group.steps(2)
    for member, run in enumerate(alone):
        epoch(run, data)
        if member == 1:
            # It left after the epoch, and under vmap its slot is gone.
            continue
        run.steps(7)
        own = jax.tree.map(lambda leaf, at=group._slot_of[member]: np.asarray(leaf)[at], group.state)
        for one, other in zip(leaves(own), leaves(run.state), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=0 if batching == "map" else 1e-5)


def test_a_carry_whose_batch_is_split_compiles_nothing_twice(make, data, compiled):
    config = make(Stateful)
    two = dataclasses.replace(config, training=dataclasses.replace(config.training, devices=2))
    split, whole = SerialRun(two, data), SerialRun(config, data, compiled[Stateful])
    for run in (split, whole):
        for _ in range(2):
            run.steps(5)
            run.steps(STEPS - 5)
            run.end_epoch([1.0], [True])
    functions = split.compiled.steps, split.compiled.end_epoch
    assert [function._cache_size() for function in functions] == [1, 1]
    assert len(split.placement.devices) == 2
    for one, other in zip(leaves(split.state), leaves(whole.state), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_mapped_files_are_read_in_the_same_order(make, data, compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "CHUNK_BYTES", 5 * ROWS * 2 * TIME * 4)
    for name, values in data.train.items():
        np.save(tmp_path / f"{name}.npy", values)
    part = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in data.train}
    resident = SerialRun(make(Stateful), data, compiled[Stateful])
    streamed = SerialRun(make(Stateful), dataclasses.replace(data, train=part))
    assert isinstance(streamed.compiled.feed, feeds.Streamed)
    for run in (resident, streamed):
        epoch(run, data)
        run.steps(7)
    assert_equal(resident.state, streamed.state)


def test_a_network_that_reads_no_streams_carries_nothing(make):
    static, traced = make(RNN).split()
    shapes = jax.eval_shape(Program(static, SPEC, EXAMPLES).init, as_arrays(traced), None)
    assert shapes.carry is None
