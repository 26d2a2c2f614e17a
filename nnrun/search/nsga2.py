"""The genetic algorithm NSGA-II, by Optuna."""

from dataclasses import dataclass
from typing import Any

from nnrun.schema import size
from nnrun.search.base import SearchConfig
from nnrun.search.study import Studied


@dataclass(frozen=True)
class Nsga2Config(SearchConfig):
    """Keys of `search=nsga2`."""

    trials: int | None = size(64, "at most this many trials; null: all of a finite space")
    parallel_trials: int | None = size(16, "trials asked for and trained at once; null: all")
    population: int = size(16, "trials of a generation; the first is drawn from a Sobol sequence", least=2)


class Nsga2(Studied):
    """Crosses and mutates the best trials of the generations so far.

    Trials belong to generations by their numbers, `population` to each. Needs Optuna: `pip install '.[optuna]'`.
    Source: Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
    Transactions on Evolutionary Computation 6 (2002).
    """

    config: Nsga2Config

    @property
    def initial(self) -> int:
        """The first generation is drawn."""
        return self.config.population

    def sampler(self, seed: int) -> Any:
        """Optuna's NSGAIISampler."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, population_size=self.config.population)

    def notes(self, number: int) -> dict[str, Any]:
        """The generation, under the name that Optuna gives it."""
        return {"NSGAIISampler:generation": number // self.config.population}
