"""What a strategy is: asked for points, told what came of them."""

import abc
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from nnrun.errors import ConfigError
from nnrun.schema import setting, size
from nnrun.search.points import given, unasked
from nnrun.search.pruning.rules import Name
from nnrun.search.space import Params, Space
from nnrun.search.trial import Trial


@dataclass(frozen=True)
class SearchConfig:
    """Keys that every strategy has."""

    trials: int | None = size(None, "at most this many trials; null: all there are")
    space: dict = field(default_factory=dict, metadata={"help": "key: values in the syntax of the command line"})
    seed: int = size(0, "of the strategy's own draws", least=0)
    parallel_trials: int | None = size(None, "trials asked for and trained at once; null: all")
    timeout_seconds: float | None = setting(
        None,
        "then no trial is started or continued; nnrun resume goes on",
        above=0.0,
    )
    max_failures: int | None = size(None, "more failed trials end the sweep; null: no limit", least=0)
    patience: int | None = size(None, "so many trials in a row that do not improve end the sweep; null: never")
    first: tuple[dict, ...] = setting((), "points of the space that are asked for first: [{key: value, ...}, ...]")
    from_: str | None = setting(None, "folder of an earlier sweep whose trials are told beforehand; null: none")
    pruning: Name = setting("none", "which trials leave before their last epoch")
    pruning_first_epoch: int | None = size(None, "no trial leaves before; null: by the rule and training.epochs")
    pruning_factor: int = size(
        3, "one trial in so many goes on at a rung; the next is after so many times the epochs", least=2
    )


class Strategy(abc.ABC):
    """Base of every strategy, built as `Strategy(config, space)`.

    Trials are numbered from 0 in the order they are asked for. What `ask` gives is a function of the config, the space,
    and of `asked` and `told` alone, so a search that is restored goes on as if it had never stopped.
    """

    def __init__(self, config: Any, space: Space) -> None:
        self.config, self.space = config, space
        self.first = list(unasked((given(point, space, i) for i, point in enumerate(config.first)), []))
        self.asked: list[Params] = []
        self.told: dict[int, float] = {}

    @property
    def batch(self) -> int | None:
        """How many trials are asked for at once, where later ones depend on them; else None."""
        return None

    def ask(self, count: int) -> list[Params]:
        """Up to `count` new points, none of them asked for before; fewer where the space has no more."""
        first = self.first[len(self.asked) :][:count]
        self.asked += first
        points = self.propose(count - len(first)) if count > len(first) else []
        self.asked += points
        return first + points

    def know(self, trials: list[tuple[Params, float]]) -> None:
        """Trials of an earlier sweep with their costs, before any point is asked for. Raises ConfigError."""
        name = type(self).__name__.lower()
        raise ConfigError(
            f"search.from={self.config.from_} is for strategies that learn, but search={name} asks for the same points "
            "whatever came of others. Set search=bayes, or leave search.from out."
        )

    def tell(self, number: int, cost: float | None) -> None:
        """The outcome of a trial, smaller where better; None or NaN where it failed."""
        self.told[number] = math.nan if cost is None else cost

    def restore(self, asked: list[Params]) -> None:
        """Takes over the trials of an earlier process, in the order of their numbers; `tell` their outcomes then."""
        self.asked = list(asked)

    def label(self, number: int) -> str | None:
        """Which part of a comparison a trial belongs to; None where nothing is compared."""
        return None

    def labelled(self, trials: list[Trial]) -> list[Trial]:
        """Trials with the part of a comparison that each belongs to."""
        return [replace(trial, part=self.label(trial.number)) for trial in trials]

    @abc.abstractmethod
    def propose(self, count: int) -> list[Params]:
        """The next points, active keys only, as plain Python values."""


class Listed(Strategy):
    """A strategy whose points are a sequence, whatever came of the trials before."""

    def __init__(self, config: Any, space: Space) -> None:
        super().__init__(config, space)
        self._rest = unasked(self.points(), self.first)

    def restore(self, asked: list[Params]) -> None:
        """Goes on behind the trials of an earlier process: the sequence starts anew, what is known is skipped."""
        super().restore(asked)
        self._rest = unasked(self.points(), [*self.first, *asked])

    def propose(self, count: int) -> list[Params]:
        """The next points of the sequence."""
        return list(itertools.islice(self._rest, count))

    @abc.abstractmethod
    def points(self) -> Iterator[Params]:
        """The sequence from its start, a function of the config and the space alone."""
