import dataclasses

import numpy as np
import pytest

from nnrun.datasets.part import is_mapped
from nnrun.execution import feed as feeds
from nnrun.execution.devices import Placement
from nnrun.execution.feed import Streamed, feed
from nnrun.training.program import Chunk
from tests.execution.lockstep import Trials, assert_close


def mapped(folder, rows, width=3):
    values = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    return on_disk(folder, {"inputs": values, "targets": np.arange(rows, dtype=np.int32)})


def epoch_of(streamed, steps, epoch=0):
    """Row numbers in the order in which the steps of an epoch see them, padding included."""
    seen, step = [], epoch * steps
    while step < (epoch + 1) * steps:
        chunk, lasting = streamed.take(step)
        for _ in range(lasting):
            seen.append(np.asarray(chunk.rows["targets"])[step - int(chunk.first)])
            step += 1
    return np.concatenate(seen)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(feeds, "CHUNK_BYTES", 16 * 16 * 4)
    monkeypatch.setattr(feeds, "BLOCK_BYTES", 5 * 16)


@pytest.mark.parametrize(("rows", "batch"), [(1000, 16), (1003, 16), (7, 16), (33, 8)])
def test_every_row_is_seen_once_in_an_epoch(small, tmp_path, rows, batch):
    streamed = Streamed(mapped(tmp_path, rows), batch, 0, Placement(1))
    seen = epoch_of(streamed, -(-rows // batch))
    assert sorted(seen[:rows]) == list(range(rows))


def test_the_order_is_shuffled_differs_between_epochs_and_depends_on_the_seed_alone(small, tmp_path):
    part = mapped(tmp_path, 1000)
    orders = [epoch_of(Streamed(part, 16, seed, Placement(1)), 63, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not any((a == b).mean() > 0.1 for a, b in ((orders[0], orders[1]), (orders[0], orders[2])))
    again = Streamed(part, 16, 0, Placement(1))
    assert np.array_equal(epoch_of(again, 63, 1), orders[1])
    assert np.array_equal(epoch_of(again, 63, 0), orders[0])
    assert abs(np.corrcoef(orders[0][:1000], np.arange(1000))[0, 1]) < 0.2


def test_inputs_and_targets_stay_together_and_a_chunk_may_be_entered_anywhere(small, tmp_path):
    streamed = Streamed(mapped(tmp_path, 1000), 16, 0, Placement(1))
    for step in (0, 5, 62, 63, 100):
        chunk, lasting = streamed.take(step)
        assert 1 <= lasting <= len(chunk.rows["targets"])
        assert int(chunk.first) <= step < int(chunk.first) + len(chunk.rows["targets"])
        assert np.array_equal(chunk.rows["inputs"][..., 0], 3 * np.asarray(chunk.rows["targets"]))


def test_only_mapped_parts_are_streamed(tmp_path):
    part = mapped(tmp_path, 40)
    loaded = {name: np.array(values) for name, values in part.items()}
    assert is_mapped(part)
    assert is_mapped({name: values[3:] for name, values in part.items()})
    assert not is_mapped({name: values[[3, 1]] for name, values in part.items()})
    assert isinstance(feed(part, 8, 0, Placement(1)).take(0)[0], Chunk)
    assert set(feed(loaded, 8, 0, Placement(1)).take(3)[0]) == {"inputs", "targets"}
    assert feed(loaded, 8, 0, Placement(1)).take(3)[1] == 2


def test_trials_of_a_group_and_single_runs_train_alike_on_mapped_files(small, tmp_path, make_config):
    values = {"model.hidden_sizes": [6], "dataset.limit": 300, "training.batch_size": 8}
    chosen = {"model": "mlp", "dataset": "digits", "optimizer": "adam"}
    trials = Trials([make_config(values | {"seed": seed}, **chosen) for seed in (0, 1, 2)])
    resident = trials.epochs(trials.alone()[0], 3)
    trials.data = dataclasses.replace(trials.data, train=on_disk(tmp_path, trials.data.train))
    alone = [trials.epochs(run, 3) for run in trials.alone()]
    grouped = trials.epochs(trials.group(trials.compiled()), 3)
    assert_close([[one[i] for one in grouped] for i in range(3)], [[one for (one,) in run] for run in alone])
    (last,) = alone[0][-1]
    (other,) = resident[-1]
    assert last[0].examples == other[0].examples
    assert last[0].loss != other[0].loss
    assert last[0].loss == pytest.approx(other[0].loss, rel=0.2)


def on_disk(folder, part):
    for name, values in part.items():
        np.save(folder / f"{name}.npy", values)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in part}
