"""What every strategy keeps to: bounds, plain values, the seed, failures, resuming, conditional keys."""

import importlib.util
import json
import math
import subprocess
import sys

import pytest

from nnrun.search.bayes import Bayes, BayesConfig
from nnrun.search.cmaes import Cmaes, CmaesConfig
from nnrun.search.grid import Grid, GridConfig
from nnrun.search.nsga2 import Nsga2, Nsga2Config
from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Interval, Space, Steps
from nnrun.search.tpe import Tpe, TpeConfig


def model_based(space, initial_trials, estimator="gp", acquisition="log_ei", **keys):
    return Bayes(
        BayesConfig(estimator=estimator, acquisition=acquisition, initial_trials=initial_trials, **keys), space
    )


STRATEGIES = {
    "grid": lambda space, **keys: Grid(GridConfig(**keys), space),
    "uniform": lambda space, **keys: Random(RandomConfig(**keys), space),
    "sobol": lambda space, **keys: Random(RandomConfig(sequence="sobol", **keys), space),
    "halton": lambda space, **keys: Random(RandomConfig(sequence="halton", **keys), space),
    "latin_hypercube": lambda space, **keys: Random(RandomConfig(sequence="latin_hypercube", **keys), space),
    "bayes": lambda space, **keys: model_based(space, 5, **keys),
    "forest": lambda space, **keys: model_based(space, 8, "rf", "ei", **keys),
    "extra_trees": lambda space, **keys: Bayes(
        BayesConfig(estimator="et", acquisition="lcb", initial_trials=8, **keys), space
    ),
}
IF_INSTALLED = {
    "tpe": ("optuna", lambda space, **keys: Tpe(TpeConfig(initial_trials=5, **keys), space)),
    "nsga2": ("optuna", lambda space, **keys: Nsga2(Nsga2Config(population=5, **keys), space)),
    "cmaes": ("cmaes", lambda space, **keys: Cmaes(CmaesConfig(population=5, **keys), space)),
}
STRATEGIES |= {name: make for name, (library, make) in IF_INSTALLED.items() if importlib.util.find_spec(library)}
DIMENSIONS = {
    "real": Interval(-2, 3),
    "log": Interval(1e-5, 1e-1, log=True),
    "whole": Interval(3, 9, integer=True),
    "powers": Interval(1, 512, log=True, integer=True),
    "steps": Steps(0.5, 0.25, 5),
    "even": Steps(2, 2, 4),
    "sizes": Categorical((64, 8, 16)),
    "flag": Categorical((True, False)),
    "layers": Categorical(((8,), (16, 16), None, "auto")),
}
MIXED = Space(DIMENSIONS, (), {(): frozenset()})
LISTED = Space({name: d for name, d in DIMENSIONS.items() if not isinstance(d, Interval)})
SMALL = Space({"member": Categorical(("a", "b", "c")), "on": Categorical((True, False)), "n": Steps(1, 1, 2)})
CONDITIONAL = Space(
    {"model": Categorical(("mlp", "cnn")), "kernel": Steps(3, 2, 3), "width": Categorical((8, 16))},
    ("model",),
    {("mlp",): frozenset({"kernel"})},
)

every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def space_for(name):
    return LISTED if name == "grid" else MIXED


def cost(point):
    return sum(len(str(value)) for value in point.values()) + point.get("real", 0.0) ** 2


def play(strategy, trials, batch=1, outcome=cost):
    """Asks and tells until `trials` are asked for or no more come."""
    while len(strategy.asked) < trials:
        start = len(strategy.asked)
        points = strategy.ask(min(batch, trials - start))
        for number, point in enumerate(points, start):
            strategy.tell(number, outcome(point))
        if not points:
            break
    return strategy.asked


def distinct(points):
    return len({json.dumps(point, sort_keys=True) for point in points}) == len(points)


@every_strategy
@pytest.mark.parametrize("batch", [1, 8])
def test_points_lie_in_the_space_are_plain_and_differ(name, batch):
    space = space_for(name)
    points = play(STRATEGIES[name](space, trials=13), 13, batch)
    assert len(points) == 13
    assert distinct(points)
    for point in points:
        assert list(point) == list(space)
        for key, value in point.items():
            dimension = space.dimensions[key]
            if isinstance(dimension, Interval):
                assert type(value) is (int if dimension.integer else float)
                assert dimension.low <= value <= dimension.high
            else:
                assert any(value is known or (type(value), value) == (type(known), known) for known in dimension.values)


@every_strategy
def test_a_log_scale_is_covered_evenly_by_ratio(name):
    if name == "grid":
        pytest.skip("a grid takes no interval")
    values = [p["x"] for p in STRATEGIES[name](Space({"x": Interval(1e-6, 1.0, log=True)}), trials=64).ask(64)]
    assert 12 <= sum(value < 1e-4 for value in values) <= 32
    assert 12 <= sum(value > 1e-2 for value in values) <= 32


@every_strategy
def test_the_whole_of_a_small_space_comes_once_and_then_nothing(name):
    strategy = STRATEGIES[name](SMALL, trials=64)
    points = play(strategy, 64, 5)
    assert len(points) == 12
    assert distinct(points)
    assert strategy.ask(3) == []


@every_strategy
def test_keys_that_do_not_apply_are_left_out_and_equal_trials_come_once(name):
    points = play(STRATEGIES[name](CONDITIONAL, trials=64), 64, 3)
    assert len(points) == 2 + 6
    assert distinct(points)
    assert all(("kernel" in point) == (point["model"] == "cnn") for point in points)


@every_strategy
def test_an_empty_space_is_one_trial(name):
    strategy = STRATEGIES[name](Space({}), trials=4)
    assert strategy.ask(4) == [{}]
    strategy.tell(0, 1.0)
    assert strategy.ask(1) == []


@every_strategy
def test_failed_trials_are_accepted(name):
    outcomes = iter([None, 1.0, math.nan, 0.5, 1e300, -1e300, math.inf, -math.inf] * 2)
    points = play(STRATEGIES[name](space_for(name), trials=14), 14, 4, lambda point: next(outcomes))
    assert distinct(points)
    assert len(points) == 14


@every_strategy
def test_a_search_in_which_everything_failed_goes_on(name):
    assert len(play(STRATEGIES[name](space_for(name), trials=16), 16, 4, lambda point: None)) == 16


@every_strategy
@pytest.mark.parametrize("told", [0, 7, 12])
def test_a_restored_search_asks_as_if_it_had_never_stopped(name, told):
    space, undisturbed = space_for(name), STRATEGIES[name](space_for(name), trials=40, seed=3)
    play(undisturbed, told)
    running = undisturbed.ask(2)
    restored = STRATEGIES[name](space, trials=40, seed=3)
    restored.restore(json.loads(json.dumps(undisturbed.asked)))
    for number in reversed(range(told)):
        restored.tell(number, undisturbed.told[number])
    assert restored.ask(3) == undisturbed.ask(3)
    restored.tell(told, cost(running[0]))
    undisturbed.tell(told, cost(running[0]))
    assert restored.ask(1) == undisturbed.ask(1)


@every_strategy
def test_another_seed_draws_otherwise(name):
    if name == "grid":
        pytest.skip("a grid draws nothing")
    assert STRATEGIES[name](MIXED, trials=8, seed=1).ask(8) != STRATEGIES[name](MIXED, trials=8, seed=2).ask(8)


def test_another_process_asks_for_the_same_trials():
    """All strategies in one process with another hash seed."""
    code = (
        "import json, sys; sys.path.insert(0, 'tests/search'); import test_conformance as t;"
        "print(json.dumps(t.played_by_all()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(played_by_all()))


def played_by_all():
    return {name: play(make(space_for(name), trials=12, seed=7), 12, 4) for name, make in STRATEGIES.items()}
