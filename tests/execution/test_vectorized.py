"""A group of trials as one program."""

import dataclasses
from operator import attrgetter

import jax
import numpy as np
import pytest
from jax import monitoring

from nnrun.execution import vectorized
from nnrun.execution.devices import TrialPlacement
from nnrun.execution.serial import Judged, SerialRun
from nnrun.execution.vectorized import GroupRun, TrainedMember
from nnrun.folders import weights_file
from nnrun.training.fit import Epoch, Failure, fit
from tests.execution.lockstep import LONG_LOOP, ONE_STEP, Trials, assert_close

CHOICES = {"model": "mlp", "dataset": "iris", "optimizer": "adamw", "schedule": "reduce_on_plateau"}
VALUES = {
    "dataset.limit": 60,
    "model.hidden_sizes": [6],
    "model.normalization": "batch",
    "task.class_weights": "balanced",
    "training.epochs": 4,
    "training.batch_size": 8,
}
NUMBERS = {
    "optimizer.learning_rate": (1e-2, 3e-3, 1e-3, 2e-3),
    "optimizer.weight_decay": (0.1, 0.01, 0.2, 0.3),
    "model.dropout": (0.1, 0.3, 0.5, 0.2),
    "task.label_smoothing": (0.1, 0.2, 0.05, 0.3),
    "training.gradient_clip": (0.5, 1.0, 2.0, 0.1),
    "schedule.patience": (0, 1, 2, 3),
    "schedule.factor": (0.5, 0.1, 0.2, 0.3),
    "seed": (0, 1, 2, 3),
}
WAYS = [("map", 1), ("map", 2), ("vmap", 1)]
PARTS = (attrgetter("train"), attrgetter("val"), attrgetter("test"))


@pytest.fixture(scope="module")
def make_trials(make_config):
    def make(*members, **changed):
        one = [{name: values[i] for name, values in (NUMBERS | changed).items()} for i in members]
        return Trials([make_config(VALUES | values, **CHOICES) for values in one])

    return make


@pytest.fixture(scope="module")
def trials(make_trials):
    return make_trials(0, 1, 2)


@pytest.fixture(scope="module")
def compiled(trials):
    """Programs by the way of batching and the number of devices, compiled once."""
    return {way: trials.compiled(*way) for way in WAYS}


@pytest.fixture(scope="module")
def undisturbed(trials, compiled):
    """What three epochs bring in a group of three, and its trainer afterwards."""
    groups = {way: trials.group(compiled[way]) for way in WAYS}
    return {way: (trials.epochs(group, 3), group) for way, group in groups.items()}


@pytest.fixture(scope="module")
def alone(trials):
    """Three epochs of every trial on its own: what they bring, the weights, the predictions, and a run to predict."""
    runs = trials.alone()
    found = list(zip(*([epoch[0] for epoch in trials.epochs(run, 3)] for run in runs), strict=True))
    return found, [run.weights() for run in runs], [run.outputs(trials.data.test).prediction for run in runs], runs[0]


def slot(group, member):
    """The whole state of a member, copied."""
    return jax.tree.map(lambda leaf: np.array(np.asarray(leaf)[group._slot_of[member]]), group.state)


def test_under_map_on_one_device_every_bit_is_that_of_a_run_alone(undisturbed, alone):
    found, group = undisturbed["map", 1]
    assert_close(found, alone[0])
    for member in range(3):
        assert_close(group.weights(member), alone[1][member])


@pytest.mark.parametrize("way", WAYS[1:])
def test_elsewhere_numbers_are_those_of_a_run_alone_to_the_tolerance(undisturbed, alone, trials, way):
    found, group = undisturbed[way]
    run = alone[3]
    for member in range(3):
        for number, (ours, theirs) in enumerate(zip(found, alone[0], strict=True)):
            assert_close(ours[member][:2], theirs[member][:2], LONG_LOOP if number else ONE_STEP * group.train_steps)
        run.adopt(group.weights(member))
        predicted = run.outputs(trials.data.test).prediction
        np.testing.assert_allclose(predicted, alone[2][member], rtol=LONG_LOOP, atol=LONG_LOOP)


@pytest.mark.parametrize("way", WAYS)
def test_other_numbers_and_further_epochs_compile_nothing(make_trials, compiled, undisturbed, way):
    group = make_trials(3, 2, 1).group(compiled[way])
    group.compile()
    make_trials(3, 2, 1).epochs(group, 2)
    functions = compiled[way].steps, compiled[way].evaluate, compiled[way].end_epoch
    before = [function._cache_size() for function in functions]
    make_trials(1, 3, 0).epochs(make_trials(1, 3, 0).group(compiled[way]), 2)
    assert [function._cache_size() for function in functions] == before
    if way != ("vmap", 1):
        assert before == [1, 1, 1]


@pytest.mark.parametrize("way", WAYS)
def test_empty_slots_change_nothing_and_serve_groups_of_every_size(make_trials, undisturbed, way):
    programs = make_trials(0, 1, 2).compiled(*way)
    for members in ((0, 1, 2), (1,)):
        trials = make_trials(*members)
        group = GroupRun(trials.configs, programs, slots=4)
        found = []
        for _ in range(2):
            found.append(trials.epoch(group))
            group.repack()
        tolerance = 0.0 if way[0] == "map" else ONE_STEP
        for epoch, before in zip(found, undisturbed[way][0], strict=False):
            assert_close(epoch, [before[member] for member in members], tolerance)
    assert [function._cache_size() for function in (programs.steps, programs.evaluate)] == [1, 1]


@pytest.fixture
def compilations():
    """The compilations of XLA so far, in whichever thread."""
    seen = []

    def count(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(duration)

    monitoring.register_event_duration_secs_listener(count)
    yield seen
    monitoring.unregister_event_duration_listener(count)


@pytest.mark.parametrize("way", [("serial", 1), *WAYS])
def test_training_uses_what_was_compiled_ahead(make_trials, compilations, way):
    trials = make_trials(0, 1)
    trainer = trials.alone()[0] if "serial" in way else trials.group(trials.compiled(*way))
    compilations.clear()
    trainer.compile()
    assert len(compilations) == 4
    trials.epochs(trainer, 1)
    assert len(compilations) == 4


def test_a_report_uses_what_was_compiled_ahead(make_trials, compilations):
    trials = make_trials(0)
    trainer = Judged(trials.configs[0], trials.data)
    compilations.clear()
    trainer.compile()
    trainer.adopt(trainer.weights())
    trainer.evaluate(trials.data.test, best=True)
    trainer.outputs(trials.data.test)
    assert len(compilations) == 1


def test_trained_weights_are_judged_as_where_they_were_trained(make_trials):
    trials = make_trials(0)
    (trained,) = trials.alone()
    trials.epochs(trained, 1)
    elsewhere = Judged(trials.configs[0], trials.data)
    elsewhere.adopt(jax.device_get(trained.weights()))
    for part in (trials.data.val, trials.data.test, trials.data.val):
        (expected,), (found,) = trained.evaluate(part, best=True), elsewhere.evaluate(part, best=True)
        jax.tree.map(np.testing.assert_allclose, vars(found), vars(expected))
        jax.tree.map(np.testing.assert_allclose, elsewhere.outputs(part), trained.outputs(part))


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_member_is_judged_once_more_by_its_groups_program(make_trials, compilations, way):
    trials = make_trials(0, 1, 2)
    group = trials.group(trials.compiled(*way))
    group.compile()
    trials.epochs(group, 2)
    member = TrainedMember(trials.configs[1], trials.data, group.compiled, len(group.slots))
    kept = group.weights(1)
    compilations.clear()
    member.compile()
    member.adopt(kept)
    found = {part: member.evaluate(part(trials.data), best=True)[0] for part in PARTS}
    outputs = member.outputs(trials.data.test)
    assert not compilations
    for part, own in found.items():
        same = group.evaluate(part(trials.data), best=True)[1]
        jax.tree.map(np.testing.assert_array_equal, vars(own), vars(same))
    alone = Judged(trials.configs[1], trials.data)
    alone.adopt(kept)
    assert_close(outputs, alone.outputs(trials.data.test), ONE_STEP)


def test_only_small_answers_of_networks_judged_in_turn_come_with_the_evaluation(trials, monkeypatch):
    assert trials.compiled("map", 1).answers
    assert not trials.compiled("vmap", 1).answers
    monkeypatch.setattr(vectorized, "ANSWER_BYTES", 10)
    compiled = trials.compiled("map", 1)
    group = trials.group(compiled)
    (chunk,) = compiled.chunks(trials.data.val)
    active = np.ones(len(group.slots), bool)
    assert not compiled.answers
    assert compiled.evaluate(group.traced, group.state.to_judge(), active, chunk)[1] is None


def test_spreading_over_the_devices_again_compiles_nothing(trials, compiled, undisturbed):
    group = trials.group(compiled["map", 2])
    trials.epoch(group)
    group.stop([1])
    group.repack()
    trials.epoch(group)
    assert compiled["map", 2].steps._cache_size() == 1
    assert sorted(group.slots.reshape(2, 2).max(1)) == [0, 2]


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]])
def test_a_trial_that_diverges_fails_alone(make_trials, compiled, undisturbed, way):
    rates = list(NUMBERS["optimizer.learning_rate"])
    rates[1] = 1e20
    trials = make_trials(0, 1, 2, **{"optimizer.learning_rate": rates})
    group, loaded = trials.group(compiled[way]), trials.loaded[0]
    training = dataclasses.replace(loaded.config.training, epochs=3)
    events = list(fit(group, loaded.task, trials.data, training, loaded.objective, [[], [], []]))
    (failure,) = [event for event in events if isinstance(event, Failure)]
    assert failure.unit == 1
    assert "became NaN or infinite in epoch 1" in str(failure.error)
    assert group.stopped >= {1}
    epochs = [event for event in events if isinstance(event, Epoch)]
    for epoch, right in zip(epochs, undisturbed[way][0], strict=True):
        assert sorted(epoch.outcomes) == [0, 2]
        for member, outcome in epoch.outcomes.items():
            sums, statistics, _ = right[member]
            assert outcome.row["train/loss"] == sums.loss / sums.examples
            assert outcome.row["learning_rate"] == sums.learning_rate
            assert outcome.row["val/loss"] == statistics["nnrun/loss"] / statistics["nnrun/count"]


@pytest.mark.parametrize("way", WAYS)
def test_a_stopped_trial_stays_as_it_is_and_the_others_go_on(trials, compiled, undisturbed, way):
    tolerance = 0 if way[0] == "map" else LONG_LOOP
    expected, group = undisturbed[way][0], trials.group(compiled[way])
    trials.epoch(group)
    before, weights = slot(group, 1), group.weights(1)
    group.stop([1])
    assert group.stopped == {1}
    second = trials.epoch(group)
    assert_close(slot(group, 1), before)
    assert_close(group.weights(1), weights)
    assert second[1] is None
    assert_close([second[0], second[2]], [expected[1][0], expected[1][2]])
    kept = group.weights(2)
    group.repack()
    assert len(group.slots) == (2 if way[0] == "vmap" else 4)
    assert_close(group.weights(2), kept)
    assert group.stopped == {1}
    assert group.position == 2 * group.train_steps
    third = trials.epoch(group)
    assert third[1] is None
    for member in (0, 2):
        assert_close(third[member][:2], expected[2][member][:2], tolerance)
    group.stop([0, 1, 2])
    group.repack()
    assert group.stopped == {0, 1, 2}


def fitted(trials, trainer, leaves, repacked=False):
    """The outcomes by epoch and member of a whole training; `leaves`: {epoch: members that are stopped after it}."""
    loaded, found = trials.loaded[0], {}
    histories = [[] for _ in trials.configs[: getattr(trainer, "members", 1)]]
    for event in fit(trainer, loaded.task, trials.data, loaded.config.training, loaded.objective, histories):
        if isinstance(event, Epoch):
            found[event.number] = {i: outcome.row | {"seconds": 0.0} for i, outcome in event.outcomes.items()}
            trainer.stop(leaves.get(event.number, ()))
            if repacked:
                trainer.repack()
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_member_leaves_after_any_epoch_and_the_others_are_as_without_it(make_trials, compiled, undisturbed, way):
    trials = make_trials(0, 1, 2, 3)
    whole = fitted(trials, trials.group(compiled[way]), {})
    group = trials.group(compiled[way])
    found = fitted(trials, group, {2: [1]}, repacked=True)
    assert [sorted(epoch) for epoch in found.values()] == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 2, 3], [0, 2, 3]]
    assert found == {epoch: {i: rows[i] for i in found[epoch]} for epoch, rows in whole.items()}
    assert group.stopped == {1}
    first = fitted(trials, trials.group(compiled[way]), {1: [2], 2: [0, 1, 3]})
    assert first == {1: whole[1], 2: {i: whole[2][i] for i in (0, 1, 3)}}


def test_a_single_run_that_is_stopped_ends_with_what_it_has(make_trials):
    trials = make_trials(0)
    (whole,) = trials.alone()
    run = SerialRun(trials.configs[0], trials.data, whole.compiled)
    rows = fitted(trials, whole, {})
    assert list(rows) == [1, 2, 3, 4]
    assert fitted(trials, run, {2: [0]}) == {epoch: rows[epoch] for epoch in (1, 2)}
    assert run.stopped == {0}
    assert run.position == 2 * run.train_steps
    assert np.isfinite(run.evaluate(trials.data.test, best=True)[0].loss)


@pytest.mark.parametrize("way", WAYS)
def test_a_snapshot_continues_with_the_same_bits(trials, compiled, undisturbed, way, tmp_path):
    group, other = trials.group(compiled[way]), trials.group(compiled[way])
    trials.epoch(group)
    group.stop([0])
    group.repack()
    group.steps(3)
    state, layout = group.snapshot()
    weights_file.write(tmp_path / "group", state, layout)
    loaded = weights_file.read(tmp_path / "group", other.state, stacked=True)
    other.restore(loaded, weights_file.notes(tmp_path / "group"))
    assert (other.position, other.stopped) == (group.train_steps + 3, {0})
    rest = group.train_steps - 3
    assert_close(other.steps(rest), group.steps(rest))
    assert_close(trials.epochs(other, 1), trials.epochs(group, 1))
    for member in (1, 2):
        assert_close(other.weights(member), group.weights(member))


def test_slots_are_a_power_of_two_on_each_device():
    counts = (1, 2, 3, 4, 5, 8, 9)
    assert [TrialPlacement(1, "map").slots(n) for n in counts] == [1, 2, 4, 4, 8, 8, 16]
    assert [TrialPlacement(2, "map").slots(n) for n in counts] == [2, 2, 4, 4, 8, 8, 16]


def test_a_group_knows_the_size_of_one_network(undisturbed, alone):
    group = undisturbed["map", 2][1]
    assert group.parameters == alone[3].parameters
    assert group.members == 3
