"""What a search is told before it begins: points to try first, and the trials of an earlier sweep."""

import json
import re
import shutil

import pytest

from nnrun.errors import ConfigError
from nnrun.search.bayes import Bayes, BayesConfig
from nnrun.search.compare import Compare, CompareConfig
from nnrun.search.grid import Grid, GridConfig
from nnrun.search.points import identity
from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Interval, Space, Steps
from tests.sweep_folders import SMALL, ledger, record

SPACE = Space(
    {
        "model": Categorical(("mlp", "cnn")),
        "kernel": Steps(3, 2, 3),
        "rate": Interval(0, 1),
        "n": Interval(1, 9, False, True),
    },
    ("model",),
    {("mlp",): frozenset({"kernel"})},
)
CNN, MLP = {"model": "cnn", "kernel": 5, "rate": 0.5, "n": 3}, {"model": "mlp", "rate": 1, "n": 9}
LISTED = Space({"a": Categorical((1, 2, 3)), "b": Categorical((True, False))})
WRONG = {
    "depth is not searched": {**CNN, "depth": 2},
    "model=rnn is none of the values that are tried": {**CNN, "model": "rnn"},
    "n=2.5 is none of the values that are tried": {**CNN, "n": 2.5},
    "rate=1.5 is none of the values that are tried": {**CNN, "rate": 1.5},
    "rate=True is none of the values that are tried": {**CNN, "rate": True},
    "kernel has no value": {**MLP, "model": "cnn"},
    "kernel does not apply": {**CNN, "model": "mlp"},
    "model has no value": {"rate": 0.5},
}


@pytest.mark.parametrize("make", [Random, Bayes], ids=["random", "bayes"])
def test_given_points_are_asked_for_first_once_and_in_their_own_types(make):
    config = (RandomConfig if make is Random else BayesConfig)(first=(CNN, MLP, CNN), trials=12)
    strategy = make(config, SPACE)
    points = strategy.ask(1) + strategy.ask(7)
    assert points[:2] == [CNN, MLP]
    assert type(points[1]["rate"]) is float
    assert len({identity(point) for point in points}) == len(points) == 8
    restored = make(config, SPACE)
    restored.restore(json.loads(json.dumps(points)))
    assert restored.ask(3) == strategy.ask(3)


def test_a_grid_leaves_out_what_was_asked_for_first():
    strategy = Grid(GridConfig(first=({"a": 2, "b": False},)), LISTED)
    points = strategy.ask(10)
    assert points[0] == {"a": 2, "b": False}
    assert len({identity(point) for point in points}) == len(points) == 6


def test_points_that_come_first_belong_to_none_of_the_searches_that_are_compared():
    strategy = Compare(CompareConfig(points=2, first=({"rate": 0.5}, {"rate": 1.0})), Space({"rate": Interval(0, 1)}))
    strategy.ask(5)
    assert [strategy.label(number) for number in range(5)] == ["first", "first", "grid", *["random, seed 0"] * 2]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_given_point_outside_the_space_is_refused(wrong):
    text = f"search.first[1] must be a point of the space that is searched, but {wrong}. Give a value to each of model"
    with pytest.raises(ConfigError, match=re.escape(text)):
        Random(RandomConfig(first=(CNN, WRONG[wrong]), trials=3), SPACE)


def test_trials_of_an_earlier_sweep_count_as_asked_for_and_told():
    space, config = Space({"x": Interval(0.0, 1.0)}), BayesConfig(initial_trials=3)
    known, fresh = Bayes(config, space), Bayes(config, space)
    known.know([({"x": place}, (place - 0.3) ** 2) for place in (0.1, 0.25, 0.4, 0.9)])
    assert abs(known.ask(1)[0]["x"] - 0.3) < 0.05 < abs(fresh.ask(1)[0]["x"] - 0.3)


RATE, BAYES = "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", ("search=bayes", "search.initial_trials=2")


@pytest.fixture(scope="module")
def earlier(command, tmp_path_factory):
    """A sweep of two trials, of which the second begins at a given rate."""
    folder = tmp_path_factory.mktemp("earlier")
    first = "search.first=[{optimizer.learning_rate:1e-2},{optimizer.learning_rate:2e-2}]"
    done = command(*SMALL, "search=random", "search.trials=2", RATE, first, folder=folder)
    assert done.code == 0, done
    return folder / "sweep"


def test_a_sweep_keeps_what_it_was_told_and_goes_on_without_the_earlier_folder(command, earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "old")
    rates = [{"optimizer.learning_rate": 1e-2}, {"optimizer.learning_rate": 2e-2}]
    assert [json.loads(row[2]) for row in ledger(earlier)[0]] == rates
    found = []
    for name, steps in {"once": ["search.trials=3"], "twice": ["search.trials=2", "search.trials=3"]}.items():
        words = (*SMALL[:-1], f"hydra.sweep.dir={name}", *BAYES, "search.parallel_trials=1", RATE, "search.from=old")
        done = command(*words, steps[0], folder=tmp_path)
        assert done.code == 0, done
        assert "Note: 2 of 2 completed trials of old lie in this space, and are known to the search.\n" in done.out
        (tmp_path / "old").rename(tmp_path / "moved")
        for more in steps[1:]:
            assert command("resume", name, more, folder=tmp_path).code == 0
        (tmp_path / "moved").rename(tmp_path / "old")
        found.append(ledger(tmp_path / name))
        assert [trial["params"] for trial in record(tmp_path / name)["earlier"]] == rates
    assert found[0] == found[1]


REFUSED = {
    "search.from=sweep is for strategies that learn, but search=random": ("search=random", RATE),
    "search.from=sweep has to have the objective of this sweep": (*BAYES, RATE, "objective.metric=val/accuracy"),
    "but 2 completed ones do not: of the first, optimizer.learning_rate=0.01 is none": (
        *BAYES,
        "optimizer.learning_rate=interval(0.5,1)",
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_an_earlier_sweep_that_says_nothing_is_refused_before_anything_is_made(command, earlier, text):
    before = sorted(earlier.parent.iterdir())
    words = (*SMALL[:-1], "hydra.sweep.dir=other", "search.from=sweep", *REFUSED[text])
    done = command(*words, folder=earlier.parent)
    assert (done.code, sorted(earlier.parent.iterdir())) == (2, before)
    assert text in done.err


def test_a_folder_that_is_no_sweep_is_refused(command, tmp_path):
    done = command(*SMALL, *BAYES, RATE, "search.from=nowhere", folder=tmp_path)
    text = "search.from=nowhere must be the folder of a sweep, but there is no sweep.yaml in it. nnrun runs has all."
    assert (done.code, done.err.strip()) == (2, f"nnrun: {text}")
