"""Bayesian search: a model of the cost says which point promises most."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from nnrun.schema import setting, size
from nnrun.search.acquisition import ACQUISITIONS, Acquisition, Promise
from nnrun.search.base import SearchConfig
from nnrun.search.encoding import Encoding
from nnrun.search.evidence import chosen, original, standardized
from nnrun.search.guided import Guided
from nnrun.search.points import unasked
from nnrun.search.proposal import Proposal
from nnrun.search.space import Params, Space

Estimator = Literal["gp", "rf", "et"]
Liar = Literal["believer", "best", "mean", "worst"]
LIES: dict[str, Callable[[np.ndarray], float]] = {"best": np.min, "mean": np.mean, "worst": np.max}

FITTED, STEP, MODELLED = 64, 16, 160
"""Trials that hyperparameters are fitted to, how often beyond that, and trials that predictions rest on."""
SPREAD = 2.0
"""Deviations from the middle of a landscape to the ends of its band."""


@dataclass(frozen=True)
class BayesConfig(SearchConfig):
    """Keys of `search=bayes`."""

    trials: int | None = size(32, "at most this many trials; null: all of a finite space")
    parallel_trials: int | None = size(8, "trials asked for and trained at once; null: all")
    estimator: Estimator = setting("gp", "Gaussian process, random forest or extremely randomized trees")
    acquisition: Acquisition = setting("log_ei", "expected improvement (log or plain), its probability, lower bound")
    liar: Liar = setting("believer", "cost of a pending trial: what the model expects, or the best, mean or worst")
    initial_trials: int = size(10, "from a Sobol sequence, before the model is asked", least=2)


class Bayes(Guided):
    """Fits a model to the costs so far and asks for the point of the largest acquisition.

    A trial that is not told yet counts with a made-up cost (`liar`: kriging believer or constant liar), a failed one
    as bad as the worst. Sources: Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning
    Algorithms", NeurIPS 2012; Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to parallelize optimization"
    (2010).
    """

    config: BayesConfig

    def __init__(self, config: BayesConfig, space: Space) -> None:
        super().__init__(config, space)
        self.encoding = Encoding(space)
        self._fitted: tuple[Any, Any] = (None, None)

    @property
    def initial(self) -> int:
        """How many points are drawn before the model is asked."""
        return self.config.initial_trials

    def promising(self, asked: list[Params], count: int) -> list[Params]:
        """The points with the largest acquisition, each given those before it."""
        rows = self.encoding.encode(asked)
        model, belief = self._belief(rows)
        points: list[Params] = []
        for _ in range(count):
            found = self._next(model, belief, asked + points, rows)
            if found is None:
                break
            points.append(found)
            row = self.encoding.encode([found])
            rows, belief = np.concatenate([rows, row]), belief.joined(row, self._lies(model, belief, row))
        return points

    def _belief(self, rows: np.ndarray) -> tuple[Any, "Belief"]:
        """The model of the trials told, and what is believed of them and of the pending ones."""
        outcomes = self.outcomes()
        numbers, costs = np.array([*outcomes]), np.array([*outcomes.values()])
        model = self._model(rows[numbers], costs)
        kept = chosen(costs, MODELLED)
        belief = Belief(rows[numbers[kept]], standardized(costs[kept]))
        pending = rows[[number for number in range(len(rows)) if number not in outcomes]]
        if len(pending):
            model.observe(self.encoding.features(belief.rows), belief.costs)
            belief = belief.joined(pending, self._lies(model, belief, pending))
        return model, belief

    def _lies(self, model: Any, belief: "Belief", rows: np.ndarray) -> np.ndarray:
        """What rows are taken to cost until they are told, (n,)."""
        if self.config.liar == "believer":
            return model.predict(self.encoding.features(rows))[0]
        return np.full(len(rows), LIES[self.config.liar](belief.costs))

    def _next(self, model: Any, belief: "Belief", asked: list[Params], rows: np.ndarray) -> Params | None:
        """The most promising new point given a belief, or any new one; None where there is none."""
        means, acquisition = self._observed(model, belief)
        # By the number of the trial, so that a search that is restored draws what it would have drawn.
        random = np.random.default_rng((self.config.seed, len(asked)))
        tops = belief.rows[np.argsort(means, kind="stable")[:3]]
        row = Proposal(self.encoding, model, acquisition, random, tops).best(rows)
        found = [] if row is None else list(unasked([self.encoding.decode(row)], asked))
        return next(iter(found or self.drawn(asked, 1)), None)

    def _observed(self, model: Any, belief: "Belief") -> tuple[np.ndarray, Callable[[np.ndarray, np.ndarray], Promise]]:
        """Conditions the model on a belief: its means at the belief's rows, and the acquisition that goes by these."""
        means = model.observe(self.encoding.features(belief.rows), belief.costs)
        judge, best = ACQUISITIONS[self.config.acquisition], float(means.min())
        return means, lambda mean, deviation: judge(mean, deviation, best)

    def landscape(self, rows: np.ndarray) -> "Landscape | None":
        """What the next point is chosen by at rows of coordinates, (n, dimensions); None where no model is asked."""
        if self.is_blind:
            return None
        model, belief = self._belief(self.encoding.encode(self.every))
        _, acquisition = self._observed(model, belief)
        mean, deviation = model.predict(self.encoding.features(rows))
        costs = np.array([*self.outcomes().values()])
        costs = costs[chosen(costs, MODELLED)]
        low, middle, high = (original(mean + step * deviation, costs) for step in (-SPREAD, 0.0, SPREAD))
        return Landscape(low, middle, high, acquisition(mean, deviation)[0])

    def _model(self, rows: np.ndarray, costs: np.ndarray) -> Any:
        """The estimator with its hyperparameters: of all trials while these are few, then refitted in steps."""
        if len(costs) > FITTED:
            rows, costs = rows[: len(costs) // STEP * STEP], costs[: len(costs) // STEP * STEP]
        kept = chosen(costs, FITTED)
        basis = (rows[kept].tobytes(), costs[kept].tobytes())
        if self._fitted[0] != basis:
            model = _estimator(self.config.estimator)(self.encoding.features(rows[kept]), standardized(costs[kept]))
            self._fitted = (basis, model)
        return self._fitted[1]


class Landscape(NamedTuple):
    """What a search expects the cost to be, with a band of two deviations around it, and the acquisition; each (n,).

    The costs are in their own units: what the model expects of them transformed is their median.
    """

    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    acquisition: np.ndarray


@dataclass(frozen=True)
class Belief:
    """Rows of coordinates, (n, dimensions), and the standardised costs that they have or are taken to have, (n,)."""

    rows: np.ndarray
    costs: np.ndarray

    def joined(self, rows: np.ndarray, costs: np.ndarray) -> "Belief":
        """The matrix with more rows behind."""
        return Belief(np.concatenate([self.rows, rows]), np.concatenate([self.costs, costs]))


def _estimator(name: Estimator) -> Any:
    """A model's class; scikit-optimize takes seconds to import."""
    if name == "gp":
        from nnrun.search.gaussian_process import GaussianProcess

        return GaussianProcess
    from nnrun.search.forest import ExtraTrees, Forest

    return Forest if name == "rf" else ExtraTrees
