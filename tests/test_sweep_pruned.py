"""Trials that leave early: the others are not disturbed, what was measured is kept, and nothing is lost in between."""

import json
import time

import pytest

from nnrun.folders.ledger import Ledger
from nnrun.search.random import Random
from nnrun.sweeps.sweep import Sweep
from tests.sweep_folders import assert_same, ledger, record, rows, summary, table

WORDS = ("-m", "dataset=iris", "training.epochs=4", "hydra.sweep.dir=sweep", "execution.batching=map")
WORDS = (*WORDS, "report.slow_baselines=false")
RATES = "optimizer.learning_rate=1e-5,1e-4,1e-3,1e-2,1e-1,0.2"
HALVING = ("search.pruning=successive_halving", "search.pruning_first_epoch=1", "search.pruning_factor=2")
ONE = (*WORDS, "model.hidden_sizes=[8]", RATES)
SEVERAL = (*WORDS, "model.hidden_sizes=[8],[4,4]", RATES)


def curves(folder):
    """val/loss after every epoch, by trial."""
    found = {}
    for trial, value in table(folder, "SELECT trial, value FROM metrics WHERE name = 'val/loss' ORDER BY trial, epoch"):
        found.setdefault(trial, []).append(value)
    return found


@pytest.fixture(scope="module")
def to_the_end(command, tmp_path_factory):
    """Curves of the same trials when none leaves."""
    folder = tmp_path_factory.mktemp("whole")
    assert command(*SEVERAL, folder=folder).code == 0
    return curves(folder / "sweep")


@pytest.fixture(scope="module")
def halved(command, tmp_path_factory):
    """A sweep of two groups, whose trials are judged together, and what it said."""
    folder = tmp_path_factory.mktemp("halved")
    done = command(*SEVERAL, *HALVING, folder=folder)
    assert done.code == 0, done
    return folder / "sweep", done.out


def expected(whole, first=1, factor=2, epochs=4):
    """How many epochs each trial gets: of those that are left, the best part at 1, 2, 4, ... epochs."""
    length, left, rung, kept = {}, list(whole), first, len(whole)
    while rung < epochs:
        kept //= factor
        left.sort(key=lambda number: (min(whole[number][:rung]), number))
        length |= dict.fromkeys(left[kept:], rung)
        left, rung = left[:kept], rung * factor
    return length | dict.fromkeys(left, epochs)


def test_groups_are_judged_together_and_survivors_are_those_of_an_undisturbed_sweep(halved, to_the_end):
    folder, _ = halved
    length = expected(to_the_end)
    assert sorted(length.values()) == [1] * 6 + [2] * 3 + [4] * 3
    assert len(record(folder)["groups"]) == 2
    assert {number: len(curve) for number, curve in curves(folder).items()} == length
    for number, curve in curves(folder).items():
        assert curve == to_the_end[number][: length[number]]
    assert not (folder / "groups").exists()


def test_a_pruned_trial_keeps_its_curve_its_folder_and_the_reason(halved):
    folder, _ = halved
    trials, _ = ledger(folder)
    states = {number: (state, error) for number, state, *_, error in trials}
    length = {number: len(curve) for number, curve in curves(folder).items()}
    assert {number for number, (state, _) in states.items() if state == "pruned"} == {
        number for number, epochs in length.items() if epochs < 4
    }
    number = next(number for number, epochs in length.items() if epochs == 2)
    assert states[number][1].endswith(" of 6 after epoch 2")
    found = summary(folder / str(number))
    assert (found["status"], found["epochs"], found["error"]) == ("pruned", 2, states[number][1])
    assert found["parameters"] > 0
    assert len(rows(folder / str(number) / "metrics.csv")) == 2
    (row,) = [row for row in rows(folder / "trials.csv") if row["number"] == str(number)]
    assert (row["state"], row["error"]) == states[number]


def test_the_end_says_how_many_left_and_ranks_those_that_did_not(halved):
    folder, out = halved
    assert "9 of 12 trials left before their last epoch, by search.pruning=successive_halving" in out
    winner = json.loads((folder / "best" / "summary.json").read_text())
    assert winner["status"] == "completed"


@pytest.mark.parametrize(("rule", "first"), [("successive_halving", 1), ("asha", 1)])
def test_one_group_is_judged_while_it_trains(nnrun, tmp_path, to_the_end, rule, first):
    done = nnrun(*ONE, f"search.pruning={rule}", f"search.pruning_first_epoch={first}", "search.pruning_factor=2")
    assert done.code == 0, done
    whole = {number: to_the_end[number] for number in range(6)}
    found = curves(tmp_path / "sweep")
    assert {number: len(curve) for number, curve in found.items()} == expected(whole, first)
    assert all(curve == whole[number][: len(curve)] for number, curve in found.items())


@pytest.mark.parametrize("stop", [3, 6])
def test_a_sweep_that_was_stopped_between_rungs_ends_as_if_it_never_had(nnrun, tmp_path, monkeypatch, halved, stop):
    recorded, calls = Ledger.record, []

    def fail(self, *given):
        calls.append(given)
        if len(calls) == stop:
            raise OSError("the disk is full")
        recorded(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", fail)
        assert nnrun(*SEVERAL, *HALVING).code == 1
    assert nnrun("resume", "sweep").code == 0
    assert_same(tmp_path / "sweep", halved[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("training.epochs=1", *HALVING), "lets trials go after an epoch that others follow, but training.epochs=1"),
        (("search.pruning=asha", "search.pruning_first_epoch=4"), "search.pruning_first_epoch=4 leaves none."),
        (("search.pruning=halving",), "search.pruning must be one of none, median, successive_halving, asha"),
        (("search.pruning=median", "hydra/launcher=basic"), "a launcher of Hydra's trains these to their end"),
    ],
)
def test_where_nobody_could_leave_it_is_refused(nnrun, tmp_path, words, said):
    done = nnrun(*ONE, *words)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "sweep" / "sweep.yaml").exists()


def test_what_a_pruned_trial_would_have_cost_is_told_before_more_are_asked_for(nnrun, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(Random, "propose", propose := Random.propose)
    monkeypatch.setattr(Random, "propose", lambda self, count: (told.append(dict(self.told)), propose(self, count))[1])
    words = ("search=random", "search.trials=6", "search.parallel_trials=3", *HALVING)
    done = nnrun(*WORDS, "model.hidden_sizes=[8]", "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", *words)
    assert done.code == 0, done
    found = curves(tmp_path / "sweep")
    before = [number for number in range(3) if len(found[number]) < 4]
    (whole,) = [number for number in range(3) if len(found[number]) == 4]
    assert sorted(told[1]) == [0, 1, 2]
    for number in before:
        epochs = len(found[number])
        gain = min(found[whole]) - min(found[whole][:epochs])
        assert told[1][number] == pytest.approx(min(found[number]) + gain)
        assert gain < 0


def test_patience_ends_a_sweep_that_no_longer_improves(nnrun, tmp_path):
    rates = "optimizer.learning_rate=1e-2,1e-5,1e-6,1e-7,1e-8"
    done = nnrun(*WORDS, "model.hidden_sizes=[8]", rates, "search.patience=2")
    assert done.code == 0, done
    assert "Note: None of the last 3 trials improved on trial 0, so the sweep ends: search.patience=2." in done.out
    assert len(ledger(tmp_path / "sweep")[0]) == 4
    assert record(tmp_path / "sweep")["status"] == "completed"


def test_where_the_time_is_short_the_best_finish_in_it(nnrun, tmp_path, monkeypatch):
    clock, sweeps = time.monotonic, []
    begin = Sweep._work
    monkeypatch.setattr(Sweep, "_work", lambda self, watch: (sweeps.append(self), begin(self, watch))[1])
    # An epoch of one trial takes ten seconds of a clock that nothing else moves.
    recorded, now = Ledger.record, [clock()]

    def record_epoch(self, found, *rest):
        for row in found.values():
            row["seconds"] = 10.0
        now[0] += 10.0 * len(found)
        recorded(self, found, *rest)

    monkeypatch.setattr(Ledger, "record", record_epoch)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    # After the first epoch of six trials 75 seconds are left: three more epochs of two trials.
    done = nnrun(*ONE, "search.timeout_seconds=135")
    assert done.code == 0, done
    trials, _ = ledger(tmp_path / "sweep")
    whole = [number for number, state, *_ in trials if state == "completed"]
    found = curves(tmp_path / "sweep")
    assert whole == sorted(sorted(found, key=lambda number: found[number][0])[:2])
    text = "search.timeout_seconds leaves time for 2 of 6 after epoch 1"
    assert [error for _, state, *_, error in trials if state == "pruned"] == [text] * 4
