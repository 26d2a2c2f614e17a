"""What a rule of pruning is: a function of what trials cost so far, and of nothing else."""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

State = Literal["open", "completed", "left"]


@dataclass(frozen=True)
class Contender:
    """A trial as a rule sees it.

    costs: of every epoch so far, smaller where better, NaN where undefined. epochs: how many it trains to the end.
    state: open while it trains, left where it failed or was pruned.
    """

    number: int
    costs: Sequence[float]
    epochs: int
    state: State = "open"

    def best(self, epoch: int) -> float:
        """The lowest cost up to an epoch; infinite where none was defined."""
        return min((cost for cost in self.costs[:epoch] if math.isfinite(cost)), default=math.inf)

    def reached(self, epoch: int) -> bool:
        """Whether it has trained so far, or ended before by itself."""
        return len(self.costs) >= epoch or self.state == "completed"


class Rule(abc.ABC):
    """Base of every rule, built as `Rule(first_epoch, factor)`; `first_epoch` is None where the rule chooses it.

    Trials are judged at rungs: the k-th rung of a trial is an epoch that follows from how many epochs it has. Answers
    are functions of the contenders alone, so that a sweep which was killed lets the same trials go.
    """

    waits: ClassVar[bool] = True
    """Whether nobody leaves at a rung before every trial that was asked for with it has reached the rung."""
    deepest: ClassVar[int] = 2
    """The first rung is at the epochs divided by the factor to this power, where it is not set."""

    def __init__(self, first_epoch: int | None, factor: int) -> None:
        self.first_epoch, self.factor = first_epoch, factor

    def first(self, epochs: int) -> int:
        """The epoch of the first rung."""
        return self.first_epoch or max(1, epochs // self.factor**self.deepest)

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which trials may leave: first * factor^k, as long as epochs follow."""
        found, rung = [], self.first(epochs)
        while rung < epochs:
            found.append(rung)
            rung *= self.factor
        return found

    def ranked(self, k: int, contenders: Sequence[Contender]) -> list[tuple[float, Contender]]:
        """Those that reached their k-th rung, or ended before it by themselves, by their best cost until then."""
        found = []
        for contender in contenders:
            rungs = self.rungs(contender.epochs)
            epoch = rungs[k] if k < len(rungs) else contender.epochs
            if contender.reached(epoch):
                found.append((contender.best(epoch), contender))
        return sorted(found, key=lambda pair: (pair[0], pair[1].number))

    @abc.abstractmethod
    def losers(self, k: int, contenders: Sequence[Contender]) -> dict[int, str]:
        """Open trials that leave at their k-th rung, by number, and where each stood: `27th of 81`."""


def beyond(ranked: Sequence[tuple[float, Contender]], kept: int) -> dict[int, str]:
    """Open trials behind the first `kept`, and where each stood."""
    return {
        contender.number: f"{ordinal(place)} of {len(ranked)}"
        for place, (_, contender) in enumerate(ranked, 1)
        if place > kept and contender.state == "open"
    }


def ordinal(number: int) -> str:
    """A place in words: 1st, 2nd, 3rd, 11th."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"
