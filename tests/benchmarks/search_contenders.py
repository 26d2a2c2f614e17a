"""The searches that are compared, each as: ask for points, tell their costs."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import nnrun.search
from nnrun.search.bayes import Bayes, BayesConfig
from nnrun.search.cmaes import Cmaes, CmaesConfig
from nnrun.search.nsga2 import Nsga2, Nsga2Config
from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Dimension, Params, Space, Steps
from nnrun.search.tpe import Tpe, TpeConfig


class Search(Protocol):
    """One search of one objective."""

    def ask(self, count: int) -> list[Params]: ...

    def tell(self, number: int, cost: float) -> None: ...


class Optuna:
    """A study of Optuna, with the same dimensions as its distributions."""

    def __init__(self, sampler: Any, space: Space) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        self.study = optuna.create_study(sampler=sampler)
        self.distributions = {name: distribution(d) for name, d in space.dimensions.items()}
        self.trials: list[Any] = []

    def ask(self, count: int) -> list[Params]:
        trials = [self.study.ask(self.distributions) for _ in range(count)]
        self.trials += trials
        return [dict(trial.params) for trial in trials]

    def tell(self, number: int, cost: float) -> None:
        self.study.tell(self.trials[number], cost)


def distribution(dimension: Dimension) -> Any:
    from optuna import distributions as optuna

    if isinstance(dimension, Categorical):
        return optuna.CategoricalDistribution(dimension.values)
    if isinstance(dimension, Steps):
        return optuna.FloatDistribution(dimension.values[0], dimension.values[-1], step=dimension.step)
    kind = optuna.IntDistribution if dimension.integer else optuna.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


def optuna_gp(space: Space, trials: int, batch: int, seed: int) -> Search:
    import optuna

    return Optuna(optuna.samplers.GPSampler(seed=seed), space)


def optuna_tpe(space: Space, trials: int, batch: int, seed: int) -> Search:
    import optuna

    return Optuna(optuna.samplers.TPESampler(seed=seed, constant_liar=batch > 1), space)


def optuna_cmaes(space: Space, trials: int, batch: int, seed: int) -> Search:
    import optuna

    return Optuna(optuna.samplers.CmaEsSampler(seed=seed), space)


def bayes(space: Space, trials: int, batch: int, seed: int) -> Search:
    return Bayes(BayesConfig(trials=trials, seed=seed), space)


def tpe(space: Space, trials: int, batch: int, seed: int) -> Search:
    return Tpe(TpeConfig(trials=trials, seed=seed), space)


def nsga2(space: Space, trials: int, batch: int, seed: int) -> Search:
    return Nsga2(Nsga2Config(trials=trials, seed=seed, population=8), space)


def cmaes(space: Space, trials: int, batch: int, seed: int) -> Search:
    return Cmaes(CmaesConfig(trials=trials, seed=seed), space)


def random(space: Space, trials: int, batch: int, seed: int) -> Search:
    return Random(RandomConfig(trials=trials, seed=seed), space)


CONTENDERS: dict[str, Callable[[Space, int, int, int], Search]] = {
    "bayes": bayes,
    "optuna_gp": optuna_gp,
    "optuna_tpe": optuna_tpe,
    "random": random,
    "tpe": tpe,
    "nsga2": nsga2,
    "cmaes": cmaes,
    "optuna_cmaes": optuna_cmaes,
}


OUR_MODULES = ("encoding", "points", "random", "guided")
OWN_MODULES = {
    "bayes": ("bayes", "gaussian_process", "acquisition", "proposal", "evidence"),
    "tpe": ("tpe", "study"),
    "nsga2": ("nsga2", "study"),
    "cmaes": ("cmaes",),
}
"""Modules that every contender of ours rests on, but for random draws, and those of each."""


def version(name: str) -> str:
    """Changes when a contender does: measurements of an older one are not reused."""
    if name.startswith("optuna"):
        import optuna

        return str(optuna.__version__)
    if name == "random":
        return "1"
    folder = Path(nnrun.search.__path__[0])
    sources = b"".join((folder / f"{module}.py").read_bytes() for module in (*OUR_MODULES, *OWN_MODULES[name]))
    return hashlib.sha256(sources).hexdigest()[:12]
