"""What trains a sweep's trials, whatever and wherever it is: jobs go in, events come out.

An executor writes nothing that a sweep keeps and knows no folder, so that one on another machine is a module like the
two there are: `execution.local` trains groups here, `sweeps.jobs` hands trials to one of Hydra's launchers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from nnrun.config.run_config import RunConfig
from nnrun.execution.prepared import Prepared
from nnrun.execution.serial import Judged
from nnrun.execution.settings import GroupSettings
from nnrun.training.fit import Outcome

Row = dict[str, float]
"""A line of a trial's metrics.csv."""


@dataclass(frozen=True)
class Job:
    """A trial to train, by its number in the sweep; one that `is_final` has ended and only keeps its group's size.

    pruned_after: the epoch after which it was let go, where it was.
    """

    number: int
    config: RunConfig
    is_final: bool = False
    pruned_after: int | None = None


@dataclass(frozen=True)
class Resumed:
    """Jobs go on where an earlier process left them: their rows so far and those of their best epochs, by number."""

    histories: dict[int, list[Row]]
    best: dict[int, Row | None]
    epochs: int


@dataclass(frozen=True)
class Started:
    """These jobs are in training: for so many epochs, and with so many numbers to learn, where that is known."""

    numbers: tuple[int, ...]
    epochs: int | None = None
    parameters: int | None = None


@dataclass(frozen=True)
class Ended:
    """A job that is trained no further.

    state: completed, failed or pruned; error: why, where it is not completed.
    parameters: how many numbers its network learns. compile_seconds: its share of building the program.
    weights: gives those of its best epoch, as NumPy arrays, until the executor is asked for its next event; None where
    they stay with the job. summary: the summary.json of a job that wrote its own folder.
    """

    number: int
    state: str
    error: str | None = None
    parameters: int | None = None
    compile_seconds: float = 0.0
    weights: Callable[[], Any] | None = None
    summary: dict[str, Any] | None = None


@dataclass(frozen=True)
class Trained:
    """An epoch of some jobs, by number, and the jobs that ended with it."""

    outcomes: dict[int, Outcome]
    ended: tuple[Ended, ...]


@dataclass(frozen=True)
class Saved:
    """A state that the group can go on from, with what `Local` needs to know beside it."""

    state: Any
    notes: dict[str, Any]


@dataclass(frozen=True)
class Noted:
    """Sentences for the user about the data that jobs train on, and about what was settled for them."""

    notes: tuple[str, ...]


Event = Resumed | Started | Trained | Saved | Noted


class Pruning(Protocol):
    """Who lets jobs go before their last epoch; asked once the rows of an epoch are recorded."""

    def check(self, epochs: int) -> None:
        """Raises ConfigError where nobody could leave in so many epochs."""

    def losers(self, numbers: Iterable[int], epoch: int, epochs: int) -> dict[int, str]:
        """Which of these jobs, `epoch` of their `epochs` trained, are trained no further, and why."""

    def pauses(self, epoch: int, epochs: int) -> bool:
        """Whether the group is saved here, because jobs of other groups are judged with it."""


class Executor(Protocol):
    """Trains the jobs of one group after the other."""

    def run(self, group: GroupSettings, jobs: list[Job]) -> Iterator[Event]:
        """Trains the jobs that have not ended to their ends, or to where the group pauses.

        Raises RunError when their data cannot be loaded, SweepError for what ends the sweep, and Interrupted after a
        signal, once the state is saved.
        """

    def judged(self, group: GroupSettings | None, config: RunConfig) -> tuple[Prepared, Judged]:
        """What a trial needs to be judged once more, and the network that takes over its weights."""
