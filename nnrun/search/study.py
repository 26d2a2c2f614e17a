"""Samplers of Optuna as strategies: a study in memory that is made anew from what was asked for and told."""

import abc
import warnings
from typing import Any

import numpy as np

from nnrun.host.libraries import check_installed
from nnrun.search.guided import Guided
from nnrun.search.points import Axis, identity
from nnrun.search.space import Params, Space

ATTEMPTS = 8
"""Points that a sampler may give again before one that is evenly drawn takes their place."""


class Studied(Guided):
    """Base of the strategies that ask a sampler of Optuna's.

    The sampler is made for every point, seeded with `search.seed` and the point's number, over a study that holds the
    trials so far: those not told yet as running ones, failed ones with the worst cost.
    """

    def __init__(self, config: Any, space: Space) -> None:
        name = type(self).__name__.lower()
        check_installed(f"search={name}", ("optuna",), "optuna", "search=bayes needs nothing more.")
        super().__init__(config, space)
        self.axes = {key: Axis(dimension) for key, dimension in space.dimensions.items()}

    @abc.abstractmethod
    def sampler(self, seed: int) -> Any:
        """A sampler that has drawn nothing yet."""

    def notes(self, number: int) -> dict[str, Any]:
        """What the sampler wants to know of the trial with this number beside its values and cost."""
        return {}

    def promising(self, asked: list[Params], count: int) -> list[Params]:
        """Points that the sampler gives, one after the other."""
        study, points = self._study(asked), list(asked)
        for _ in range(count):
            found = self._new(study, points) or next(iter(self.drawn(points, 1)), None)
            if found is None:
                break
            points.append(found)
        return points[len(asked) :]

    def _new(self, study: Any, asked: list[Params]) -> Params | None:
        """A point that is not among those asked for; None where the sampler gives known ones alone."""
        known = {identity(point) for point in asked}
        for attempt in range(ATTEMPTS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                study.sampler = self.sampler(self.seed_of(len(asked), attempt))
                point = self._suggested(study.ask())
            if identity(point) not in known:
                return point
        return None

    def _suggested(self, trial: Any) -> Params:
        """A value for every key that applies; those that decide which keys do come first."""
        choices = {key: _value(trial, key, self.axes[key]) for key in self.space.choosers}
        absent = self.space.absent(choices)
        return {
            key: choices[key] if key in choices else _value(trial, key, axis)
            for key, axis in self.axes.items()
            if key not in absent
        }

    def _study(self, asked: list[Params]) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study, costs = optuna.create_study(), self.costs()
        distributions = {key: distribution(axis) for key, axis in self.axes.items()}
        for number, point in enumerate(asked):
            values = {key: _written(self.axes[key], value) for key, value in point.items()}
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.COMPLETE if number in costs else optuna.trial.TrialState.RUNNING,
                    value=costs.get(number),
                    params=values,
                    distributions={key: distributions[key] for key in values},
                    system_attrs=self.notes(number),
                )
            )
        return study


def distribution(axis: Axis) -> Any:
    """An axis as Optuna knows it: numbers of an interval as they are, listed values by their place."""
    from optuna import distributions

    if axis.listed is None:
        kind = distributions.FloatDistribution if axis.continuous else distributions.IntDistribution
        return kind(axis.low, axis.high, log=axis.log)
    if axis.ordered:
        return distributions.IntDistribution(0, axis.count - 1)
    return distributions.CategoricalDistribution(range(axis.count))


def _written(axis: Axis, value: Any) -> Any:
    """A value as its distribution has it."""
    return value if axis.listed is None else int(axis.cells(np.array([axis.encode(value)]))[0])


def _value(trial: Any, key: str, axis: Axis) -> Any:
    """The value that a trial of Optuna's suggests, from the `distribution` of the axis."""
    if axis.listed is None:
        suggest = trial.suggest_float if axis.continuous else trial.suggest_int
        return suggest(key, axis.low, axis.high, log=axis.log)
    if axis.ordered:
        return axis.listed[trial.suggest_int(key, 0, axis.count - 1)]
    return axis.listed[trial.suggest_categorical(key, range(axis.count))]
