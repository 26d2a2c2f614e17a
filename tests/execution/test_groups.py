"""How trials are grouped and batched."""

import jax
import pytest

from nnrun.execution import groups
from nnrun.execution.groups import Group, plan, sizes
from nnrun.execution.serial import SerialRun
from nnrun.execution.settings import ExecutionConfig, GroupSettings

AUTO = ExecutionConfig()


@pytest.fixture
def make(make_config):
    """`count` configs that differ in their seed."""

    def many(count, values=(), **choices):
        return [make_config({**dict(values), "seed": seed}, **{"dataset": "iris", **choices}) for seed in range(count)]

    return many


def shape(found):
    return [(group.members, group.batching, group.devices) for group in found]


def test_equal_static_configs_train_together_in_the_order_of_their_first(make):
    small, wide = make(3, {"model.hidden_sizes": [4]}), make(2, {"model.hidden_sizes": [128, 64]})
    found = plan([wide[0], small[0], small[1], wide[1], small[2]], AUTO)
    assert shape(found) == [((0, 3), "map", 2), ((1, 2, 4), "vmap", 2)]
    assert found[1].static == small[0].split()[0]
    assert plan([wide[0], small[0], small[1], wide[1], small[2]], AUTO) == found


def test_tiny_networks_run_under_vmap_unless_recurrent_or_asked_otherwise(make, monkeypatch):
    tiny = make(2, {"model.hidden_sizes": [4]})
    assert plan(tiny, AUTO)[0].batching == "vmap"
    assert plan(tiny, ExecutionConfig(batching="map"))[0].batching == "map"
    assert plan(make(2, {"model.hidden_size": 2}, model="lstm", dataset="sine"), AUTO)[0].batching == "map"
    monkeypatch.setattr(groups, "VMAP_INPUTS", 3)
    assert plan(tiny, AUTO)[0].batching == "map"
    monkeypatch.setattr(groups, "VMAP_INPUTS", 4)
    assert plan(tiny, AUTO)[0].batching == "vmap"
    parameters, _ = sizes(tiny[0].split()[0], tuple(tiny[0].split()[1]))
    monkeypatch.setattr(groups, "VMAP_PARAMETERS", parameters - 1)
    assert plan(tiny, AUTO)[0].batching == "map"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert plan(tiny, AUTO)[0].batching == "vmap"


def test_a_trial_on_its_own_or_with_devices_of_its_own_runs_alone(make):
    recurrent = {"model": "lstm", "dataset": "sine"}
    assert shape(plan(make(1), AUTO)) == [((0,), "serial", 1)]
    assert shape(plan(make(1, **recurrent), AUTO)) == [((0,), "serial", 2)]
    assert shape(plan(make(2, {"training.devices": 2}), AUTO)) == [((0,), "serial", 2), ((1,), "serial", 2)]
    assert shape(plan(make(2, {"training.devices": 1}), AUTO)) == [((0, 1), "map", 2)]
    assert shape(plan(make(2), ExecutionConfig(mode="serial"))) == [((0,), "serial", 1), ((1,), "serial", 1)]


def test_trials_that_others_follow_have_the_same_slots_however_many_are_alike(make):
    configs = [*make(3, {"model.hidden_sizes": [64]}), *make(1, {"model.hidden_sizes": [65]})]
    found = plan(configs, AUTO, batch=8)
    assert shape(found) == [((0, 1, 2), "vmap", 2), ((3,), "vmap", 2)]
    assert [group.slots for group in found] == [8, 8]
    assert found[0].settings(5) == GroupSettings(5, "vmap", 3, 2, 8)
    assert plan(configs, AUTO, batch=1) == plan(configs, AUTO)
    assert [group.slots for group in plan(configs, AUTO, batch=1000)] == [groups.MOST_ROOM] * 2
    assert shape(plan(configs, ExecutionConfig(mode="serial"), batch=8)) == [((i,), "serial", 1) for i in range(4)]


def test_chunks(make, monkeypatch):
    configs = make(9)
    assert [group.members for group in plan(configs, ExecutionConfig(chunk=4))] == [(0, 1, 2, 3), (4, 5, 6, 7), (8,)]
    assert [group.batching for group in plan(configs, ExecutionConfig(chunk=4))][1:] == ["map", "serial"]
    monkeypatch.setattr(groups, "MOST_TRIALS", 5)
    assert [len(group.members) for group in plan(configs, AUTO)] == [5, 4]


def test_the_states_of_a_chunk_fit_the_limit(make, monkeypatch):
    configs = make(9)
    _, size = sizes(configs[0].split()[0], tuple(configs[0].split()[1]))
    for room, lengths in ((1, [1] * 9), (2, [2, 2, 2, 2, 1]), (7, [4, 4, 1]), (8, [8, 1]), (100, [9])):
        monkeypatch.setitem(groups.STATE_BYTES, "cpu", room * size)
        found = plan(configs, AUTO)
        assert [len(group.members) for group in found] == lengths
        assert all(group.bytes <= 2 * room * size for group in found)


def test_sizes_are_those_of_a_run(make):
    (config,) = make(1)
    run = SerialRun(config, config.dataset.create().load())
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(run.state))
    parameters, size = sizes(config.split()[0], tuple(config.split()[1]))
    assert parameters == run.parameters
    assert abs(size - held) <= 64, "but for the scaling, of which only the fitted one knows the size"
    assert plan([config], AUTO) == [Group(config.split()[0], (0,), "serial", 1, 2 * size)]
