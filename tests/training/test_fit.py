"""The training loop, driven by a trainer that computes nothing."""

import math
import time
from types import SimpleNamespace

import pytest

from nnrun.config.run_config import EarlyStoppingConfig, TrainingConfig
from nnrun.errors import RunError
from nnrun.training import fit as module
from nnrun.training.fit import Epoch, Failure, Pace, Patience, Stretch, fit
from nnrun.training.objective import Objective

LOSS = Objective("val/loss", "minimize")
DATA = SimpleNamespace(val="val", folds=None)
TASK = SimpleNamespace(finish_all=lambda found, data: [{"accuracy": sums} for sums, _ in found])


class FakeTrainer:
    """Plays back losses of the validation part; a step trains 10 examples with a loss of 2 each."""

    train_steps = 4
    stopped = frozenset()

    def __init__(self, val_losses, position=0, train_loss=lambda position: 2.0):
        self.val_losses, self.position, self.train_loss = val_losses, position, train_loss
        self.ended, self.since_epoch = [], position % 4

    def steps(self, count):
        self.position, self.since_epoch = self.position + count, self.since_epoch + count
        loss = self.train_loss(self.position) * 10 * self.since_epoch
        return [SimpleNamespace(loss=loss, examples=10 * self.since_epoch, learning_rate=0.1)]

    def stop(self, members):
        pass

    def end_epoch(self, values, improved):
        self.ended.append((values[0], improved[0]))
        self.since_epoch = 0

    def evaluate(self, part, best=False):
        loss = self.val_losses[self.position // 4 - 1]
        return [SimpleNamespace(loss=loss, terms={"kl": 0.5}, sums=1 - loss, rows={})]


def train(losses, epochs=None, patience=None, objective=LOSS, history=(), **trainer):
    fake = FakeTrainer(losses, **trainer)
    config = TrainingConfig(epochs=epochs or len(losses), early_stopping=EarlyStoppingConfig(patience=patience))
    events = list(fit(fake, TASK, DATA, config, objective, [list(history)]))
    return fake, [event.outcomes[0] for event in events if isinstance(event, Epoch)], events


def test_a_row_is_a_line_of_metrics_csv():
    _, (epoch,), _ = train([0.25])
    assert list(epoch.row) == [
        *("epoch", "step", "learning_rate", "seconds", "train/loss", "val/loss", "val/kl", "val/accuracy")
    ]
    assert epoch.row | {"seconds": 0} == {
        "epoch": 1, "step": 4, "learning_rate": 0.1, "seconds": 0, "train/loss": 2.0, "val/loss": 0.25, "val/kl": 0.5,
        "val/accuracy": 0.75,
    }  # fmt: skip


def test_stretches_add_up_to_epochs_and_start_with_a_single_step():
    _, epochs, events = train([3.0, 2.0])
    stretches = [event for event in events if isinstance(event, Stretch)]
    assert stretches[0] == Stretch(epoch=1, done=1, loss=2.0)
    assert [s.done for s in stretches if s.done == 4] == [4, 4]
    assert [epoch.row["step"] for epoch in epochs] == [4, 8]


def test_the_best_epoch_is_the_first_of_the_lowest():
    fake, epochs, _ = train([3.0, 2.0, 2.5, 2.0, 1.0])
    assert [epoch.improved for epoch in epochs] == [True, True, False, False, True]
    assert fake.ended == [(3.0, True), (2.0, True), (2.5, False), (2.0, False), (1.0, True)]


def test_a_metric_to_maximize_is_a_cost_with_its_sign_changed():
    fake, epochs, _ = train([0.5, 0.7, 0.2], objective=Objective("val/accuracy", "maximize"))
    assert [epoch.improved for epoch in epochs] == [True, False, True]
    assert fake.ended[2][0] == pytest.approx(-0.8)


def test_patience_stops_after_so_many_epochs_without_improvement():
    _, epochs, _ = train([3.0, 2.0, 2.5, 2.5, 1.0], patience=2)
    assert [epoch.stop for epoch in epochs] == [False, False, False, True]


def test_an_undefined_objective_is_never_an_improvement():
    _, epochs, _ = train([math.nan, 2.0, math.nan])
    assert [epoch.improved for epoch in epochs] == [False, True, False]


def test_a_small_change_is_the_best_so_far_but_does_not_renew_patience():
    patience = Patience(LOSS, 2, minimum_change=0.1)
    seen = [(patience.see({"val/loss": value}), patience.over) for value in (1.0, 0.95, 0.89, 0.88, 0.9, 0.87)]
    assert seen == [(True, False), (True, False), (True, False), (True, False), (False, True), (True, True)]


def test_training_continues_in_the_middle_of_an_epoch():
    _, before, _ = train([3.0, 2.0, 2.5])
    _, after, events = train([3.0, 2.0, 2.5], history=[before[0].row], position=6)
    assert events[0] == Stretch(epoch=2, done=3, loss=2.0)
    assert [e.row | {"seconds": 0} for e in after] == [e.row | {"seconds": 0} for e in before[1:]]
    assert [e.improved for e in after] == [True, False]


def test_a_run_whose_patience_ran_out_does_not_continue():
    losses = [3.0, 2.0, 2.5, 2.5, 1.0]
    _, before, _ = train(losses, patience=2)
    assert train(losses, patience=2, history=[epoch.row for epoch in before], position=16)[2] == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_within_the_epoch(value):
    *_, last = train([3.0, 2.0], train_loss=lambda position: value if position >= 5 else 1.0)[2]
    assert last.unit == 0
    assert isinstance(last.error, RunError)
    assert str(last.error) == (
        "The training loss became NaN or infinite in epoch 2. Most likely the learning rate is too high: "
        "divide optimizer.learning_rate by 10, or set training.gradient_clip=1."
    )


def test_the_pace_grows_with_what_is_affordable_and_shrinks_again(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "STRETCH_SECONDS", 0.5)
    pace = Pace()

    def work(seconds_per_step):
        def steps(count):
            clock[0] += seconds_per_step * count

        count = pace.next(10**6)
        pace.timed(count, steps)
        return count

    assert [work(2**-10) for _ in range(4)] == [1, 16, 256, 512]
    work(1.0)
    assert [work(0.125), work(0.125)] == [1, 4]
    assert pace.next(2) == 2


def test_stretches_grow_until_what_each_costs_beside_its_steps_is_little(monkeypatch):
    clock, pace, lengths = [0.0], Pace(), []
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])

    def steps(count):
        clock[0] += 1.5 + 1e-4 * count

    for _ in range(12):
        lengths.append(pace.next(10**9))
        pace.timed(lengths[-1], steps)
    assert lengths[:4] == [1, 2, 32, 512]
    assert 1.5 / (1.5 + 1e-4 * lengths[-1]) == pytest.approx(module.OVERHEAD, rel=0.01)


class FakeGroup:
    """Plays back every member's losses of the validation part; a step trains 10 examples with a loss of 2 each."""

    train_steps = 4

    def __init__(self, val_losses, position=0, stopped=(), diverges=()):
        self.val_losses, self.position, self.stopped, self.diverges = val_losses, position, set(stopped), dict(diverges)
        self.stops, self.ended = [], []

    def steps(self, count):
        self.position += count
        examples = 10 * ((self.position - 1) % 4 + 1)
        lost = {member for member, step in self.diverges.items() if self.position >= step}
        losses = [math.nan if member in lost else 2.0 * examples for member in range(len(self.val_losses))]
        return [SimpleNamespace(loss=loss, examples=examples, learning_rate=0.1) for loss in losses]

    def stop(self, members):
        new = set(members) - self.stopped
        self.stopped |= new
        self.stops += [sorted(new)] if new else []

    def end_epoch(self, values, improved):
        self.ended.append((values, improved))

    def evaluate(self, part, best=False):
        losses = [listed[self.position // 4 - 1] for listed in self.val_losses]
        return [
            None if member in self.stopped else SimpleNamespace(loss=loss, terms={}, sums=1 - loss, rows={})
            for member, loss in enumerate(losses)
        ]


def train_group(losses, patience=None, histories=None, **trainer):
    """The trainer, every member's outcomes by epoch, and all events."""
    fake = FakeGroup(losses, **trainer)
    config = TrainingConfig(epochs=len(losses[0]), early_stopping=EarlyStoppingConfig(patience=patience))
    events = list(fit(fake, TASK, DATA, config, LOSS, histories or [[] for _ in losses]))
    epochs = [event for event in events if isinstance(event, Epoch)]
    outcomes = [{e.number: e.outcomes[i] for e in epochs if i in e.outcomes} for i in range(len(losses))]
    return fake, outcomes, events


THREE = [[3.0, 2.0, 1.0, 0.5], [1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 1.5, 1.5]]


def test_members_of_a_group_have_their_own_best_epochs():
    fake, outcomes, _ = train_group(THREE)
    improved = [[outcome.improved for outcome in member.values()] for member in outcomes]
    assert improved == [[True] * 4, [True, False, False, False], [True, True, False, False]]
    assert fake.ended[1] == ([2.0, 2.0, 1.0], [True, False, True])
    assert [outcome.row["val/loss"] for outcome in outcomes[2].values()] == THREE[2]


def test_patience_runs_out_member_by_member():
    fake, outcomes, _ = train_group(THREE, patience=2)
    assert [max(member) for member in outcomes] == [4, 3, 4]
    assert [[outcome.stop for outcome in member.values()] for member in outcomes] == [
        [False] * 4, [False, False, True], [False, False, False, True],
    ]  # fmt: skip
    assert fake.stops == [[1], [2]]
    values, improved = fake.ended[3]
    assert math.isnan(values[1])
    assert not improved[1]


def test_a_group_whose_members_all_stopped_trains_no_further():
    fake, outcomes, _ = train_group([[1.0, 2.0, 2.0, 2.0], [1.0, 3.0, 3.0, 3.0]], patience=1)
    assert [max(member) for member in outcomes] == [2, 2]
    assert fake.position == 8
    assert fake.stopped == {0, 1}


def test_a_member_that_diverges_fails_once_and_the_others_are_as_without_it():
    _, whole, _ = train_group(THREE)
    fake, outcomes, events = train_group(THREE, diverges={1: 6})
    failures = [event for event in events if isinstance(event, Failure)]
    assert [failure.unit for failure in failures] == [1]
    assert "in epoch 2" in str(failures[0].error)
    assert fake.stops == [[1]]
    assert list(outcomes[1]) == [1]
    for member in (0, 2):
        rows = [[o.row | {"seconds": 0} for o in found[member].values()] for found in (outcomes, whole)]
        assert rows[0] == rows[1]
    means = [event.loss for event in events if isinstance(event, Stretch)]
    assert all(mean == 2.0 for mean in means)


def train_units(losses, size, folds=1, **trainer):
    fake = FakeGroup(losses, **trainer)
    config = TrainingConfig(epochs=len(losses[0]), repeats=size // folds, folds=folds)
    data = DATA if folds == 1 else SimpleNamespace(val="val", folds=SimpleNamespace(divisions=range(folds)))
    seen = list(fit(fake, MEASURED, data, config, LOSS, [[] for _ in range(len(losses) // size)]))
    return fake, [event for event in seen if isinstance(event, Epoch)], seen


MEASURED = SimpleNamespace(finish_all=lambda found, data: [{"fold": -1 if data is DATA else data} for _ in found])
TWICE = [[3.0, 1.0, 2.0], [1.0, 2.0, 0.5], [1.0, 1.0, 1.0], [5.0, 4.0, 3.0]]
"""Two units of two members: the best of the first member is epoch 2, and of its unit epoch 3."""


def test_a_unit_is_judged_by_the_means_over_its_members():
    fake, epochs, _ = train_units(TWICE, 2)
    assert [epoch.outcomes[0].row["val/loss"] for epoch in epochs] == [2.0, 1.5, 1.25]
    assert [row["val/loss"] for row in epochs[1].outcomes[0].members] == [1.0, 2.0]
    assert [epoch.outcomes[0].improved for epoch in epochs] == [True, True, True]
    assert fake.ended[0] == ([2.0, 2.0, 3.0, 3.0], [True] * 4)
    row = epochs[2].outcomes[1].row
    assert (row["epoch"], row["step"]) == (3, 12)
    assert isinstance(row["epoch"], int)


def test_members_of_a_fold_are_measured_with_its_own_data():
    _, epochs, _ = train_units(TWICE * 2, 4, folds=2)
    assert [row["val/fold"] for row in epochs[0].outcomes[1].members] == [0, 0, 1, 1]


def test_a_member_that_diverges_takes_its_unit_with_it():
    fake, epochs, seen = train_units(TWICE, 2, diverges={1: 6})
    assert [event.unit for event in seen if isinstance(event, Failure)] == [0]
    assert [sorted(epoch.outcomes) for epoch in epochs] == [[0, 1], [1], [1]]
    assert fake.stopped == {0, 1}
    _, undisturbed, _ = train_units(TWICE, 2)
    ours, theirs = ([epoch.outcomes[1].row | {"seconds": 0} for epoch in found] for found in (epochs, undisturbed))
    assert ours == theirs


@pytest.mark.parametrize("kind", [Stretch, Epoch])
def test_whoever_consumes_the_events_may_let_members_leave_at_any_of_them(kind):
    fake, seen = FakeGroup(THREE), []
    for event in fit(fake, TASK, DATA, TrainingConfig(epochs=4), LOSS, [[], [], []]):
        seen.append(event)
        if isinstance(event, kind) and fake.position >= 8:
            fake.stop([1] if 1 not in fake.stopped else [0, 2])
    epochs = {event.number: sorted(event.outcomes) for event in seen if isinstance(event, Epoch)}
    # A member that leaves within an epoch has no row of it.
    assert epochs == ({1: [0, 1, 2], 2: [0, 2]} if kind is Stretch else {1: [0, 1, 2], 2: [0, 1, 2], 3: [0, 2]})
    assert isinstance(seen[-1], kind)


def test_when_every_member_diverges_nothing_more_is_trained():
    fake, outcomes, events = train_group(THREE, diverges={0: 2, 1: 2, 2: 2})
    assert [event.unit for event in events if isinstance(event, Failure)] == [0, 1, 2]
    assert outcomes == [{}, {}, {}]
    assert fake.position < 8


def test_a_group_continues_with_histories_of_different_lengths():
    _, whole, _ = train_group(THREE, patience=2, diverges={0: 6})
    cut = [[outcome.row for number, outcome in member.items() if number <= 3] for member in whole]
    assert [len(history) for history in cut] == [1, 3, 3]
    fake, outcomes, events = train_group(THREE, patience=2, histories=cut, position=14, stopped={0, 1})
    assert events[0] == Stretch(epoch=4, done=3, loss=2.0)
    assert outcomes[:2] == [{}, {}]
    (last,) = outcomes[2].values()
    assert last.row | {"seconds": 0} == whole[2][4].row | {"seconds": 0}
    assert (last.improved, last.stop) == (whole[2][4].improved, whole[2][4].stop)
    assert fake.stops == [[2]]


def test_the_seconds_of_an_epoch_are_shared_by_those_that_trained_in_it(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(FakeGroup, "end_epoch", lambda self, values, improved: clock.__setitem__(0, clock[0] + 6))
    _, outcomes, _ = train_group(THREE, patience=1)
    assert [[outcome.row["seconds"] for outcome in member.values()] for member in outcomes] == [
        [2.0, 2.0, 3.0, 6.0], [2.0, 2.0], [2.0, 2.0, 3.0],
    ]  # fmt: skip
