"""Tree-structured Parzen estimator, by Optuna."""

from dataclasses import dataclass
from typing import Any

from nnrun.schema import size
from nnrun.search.base import SearchConfig
from nnrun.search.study import Studied


@dataclass(frozen=True)
class TpeConfig(SearchConfig):
    """Keys of `search=tpe`."""

    trials: int | None = size(32, "at most this many trials; null: all of a finite space")
    parallel_trials: int | None = size(8, "trials asked for and trained at once; null: all")
    initial_trials: int = size(10, "from a Sobol sequence, before the sampler is asked", least=2)
    candidates: int = size(24, "points drawn for each trial, of which the most promising is tried")


class Tpe(Studied):
    """Draws points like the good trials so far, and takes that which is least like the bad ones.

    Densities of good and of bad trials are fitted to all keys together, in groups of those that apply together; a trial
    in training counts as a bad one. Needs Optuna: `pip install '.[optuna]'`. Sources: Bergstra et al., "Algorithms for
    hyper-parameter optimization", NeurIPS 2011; Falkner, Klein and Hutter, "BOHB", ICML 2018 (all keys together).
    """

    config: TpeConfig

    @property
    def initial(self) -> int:
        """How many points are drawn before the sampler is asked."""
        return self.config.initial_trials

    def sampler(self, seed: int) -> Any:
        """Optuna's TPESampler."""
        from optuna.samplers import TPESampler

        return TPESampler(
            seed=seed,
            n_startup_trials=0,
            n_ei_candidates=self.config.candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
        )
