"""Strategies of other libraries: they learn, wait for whole generations, and are refused where not installed."""

import importlib.util

import pytest

from nnrun.errors import ConfigError
from nnrun.host import libraries
from nnrun.search.cmaes import Cmaes, CmaesConfig
from nnrun.search.nsga2 import Nsga2, Nsga2Config
from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Interval, Space
from nnrun.search.tpe import Tpe, TpeConfig

STRATEGIES = {
    "tpe": ("optuna", lambda space, **keys: Tpe(TpeConfig(**keys), space)),
    "nsga2": ("optuna", lambda space, **keys: Nsga2(Nsga2Config(population=8, **keys), space)),
    "cmaes": ("cmaes", lambda space, **keys: Cmaes(CmaesConfig(**keys), space)),
}
BOWL = Space({"x": Interval(-5.0, 10.0), "y": Interval(0.0, 15.0), "kind": Categorical(("a", "b", "c"))})


def cost(point):
    return (point["x"] - 2) ** 2 + 2 * (point["y"] - 5) ** 2 + 5 * (point["kind"] != "b")


def best(strategy, trials=64):
    costs = []
    while len(costs) < trials:
        for point in strategy.ask(8):
            costs.append(cost(point))
            strategy.tell(len(costs) - 1, costs[-1])
    return min(costs)


def made(name, space=BOWL, **keys):
    library, make = STRATEGIES[name]
    pytest.importorskip(library)
    return make(space, **keys)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_was_told_leads_to_better_points_than_chance_finds(name):
    chance = sorted(best(Random(RandomConfig(trials=64, seed=seed), BOWL)) for seed in range(5))
    learned = sorted(best(made(name, seed=seed)) for seed in range(5))
    assert learned[2] < chance[2] / 2


@pytest.mark.parametrize("name", ["cmaes", "nsga2"])
def test_a_generation_that_is_not_told_to_its_end_is_waited_for(name):
    strategies = {part: made(name) for part in (0, 2, 8)}
    for part, strategy in strategies.items():
        for number, point in enumerate(strategy.ask(8)):
            strategy.tell(number, cost(point))
        for number, point in enumerate(strategy.ask(8)[:part], 8):
            strategy.tell(number, cost(point))
    nothing, some, everything = (strategy.ask(2) for strategy in strategies.values())
    assert nothing == some != everything


def test_a_missing_library_is_named_before_anything_is_made(command, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: found(name) if name != "optuna" else None)
    done = command("-m", "search=tpe", "dataset=iris", "optimizer.learning_rate=interval(1e-3,1e-2)", folder=tmp_path)
    text = "search=tpe needs optuna, which is not installed: pip install '.[optuna]'. search=bayes needs nothing more."
    assert (done.code, done.err.strip(), list(tmp_path.iterdir())) == (2, f"nnrun: {text}", [])


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_endless_space_needs_a_number_of_trials(name):
    with pytest.raises(ConfigError, match=r"search\.trials must be an integer here"):
        made(name, trials=None)
