"""Hydra as an engine: it composes the typed words, keeps its own conventions, and calls a Job of ours back."""

import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nnrun.compose import compose
from nnrun.compose.compose import Composed
from nnrun.config import choices
from nnrun.config.run_config import RunConfig
from nnrun.errors import ConfigError, NnrunError
from nnrun.host import own_code
from nnrun.host.interruption import Interrupted

CHOICE = re.compile(r"\+?\w[\w/]*=[\w.-]{1,200}")
"""A word that names a file of a config group."""
Train = Callable[[Composed, RunConfig | None, Path], float]
"""Trains in a folder and returns the objective; the config is built already where the command was checked whole."""


class Job:
    """The task function of a run. It stays picklable, because launchers send it to other processes.

    `checked` is what our callback accepted before Hydra made the folder: the composed config and what was built of it;
    `give_back` removes a claimed folder that is still empty at the end.
    """

    def __init__(self, train: Train) -> None:
        self.train = train
        self.checked: tuple[Composed, RunConfig] | None = None
        self.give_back: Callable[[], None] = _nothing
        self.failure: NnrunError | Interrupted | None = None

    def __call__(self, node: Any) -> float:
        """Trains the config of one of Hydra's jobs; one that fails gives NaN, and the first failure is kept."""
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        composed = compose.resolve_task(compose.composed(compose.to_plain(node), compose.picked(hydra)))
        # The two differ where the folder's default name was taken in between and a value of the config names it.
        built = self.checked[1] if self.checked and self.checked[0] == composed else None
        try:
            return self.train(composed, built, Path(hydra.runtime.output_dir))
        except NnrunError as error:
            self.failed(error)
        except Interrupted as interrupted:
            self.failure = interrupted
            # Hydra takes any Exception of a job for its result, and would go on with the next one.
            raise KeyboardInterrupt from interrupted
        return math.nan

    def failed(self, error: NnrunError) -> None:
        """Keeps the first failure, which ends the command once Hydra is done."""
        self.failure = self.failure or error


def _nothing() -> None:
    """Gives nothing back: no folder was claimed."""


class SweepJob(Job):
    """The task function of our sweeper: it trains a whole sweep, and single trials where another launcher wants them.

    `sweep(folder, launcher)` trains the sweep; what became of a trial under a launcher is read from its folder.
    """

    def __init__(self, train: Train, sweep: Callable[[Path, Any], float]) -> None:
        super().__init__(train)
        self.sweep = sweep

    def __getstate__(self) -> dict[str, Any]:
        """What a launcher's processes need: to train a trial."""
        return {**vars(self), "sweep": None}

    def failed(self, error: NnrunError) -> None:
        """The sweep reads a trial's failure from its folder."""


def _expect_targets(argv: list[str]) -> None:
    """Lets Hydra import what the words name for it: a callback, say, or a choice in `./conf` with a launcher."""
    for word in argv:
        key, _, value = word.lstrip("+").partition("=")
        path = Path("conf", key, f"{value}.yaml")
        text = path.read_text(encoding="utf-8") if CHOICE.fullmatch(word) and path.is_file() else f"{key}: {value}"
        for target in re.findall(r"_target_: *['\"]?([\w.]+)", text):
            own_code.expect(target)


def hand_over(argv: list[str], job: Job) -> int:
    """Runs Hydra with our config on the words of a command; 0 when it is done.

    Raises ConfigError for what Hydra refuses, and the failure that the job kept.
    """
    import hydra

    _expect_targets(argv)
    # Otherwise Hydra prints what a job raises in its own way, and ends the process.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    refused: BaseException | None = None
    # hydra.main reads the words from here, and takes none as an argument.
    before, sys.argv = sys.argv, ["nnrun", *argv]
    try:
        with compose.explaining(argv):
            hydra.main(config_path=str(choices.conf_folder()), config_name="config", version_base="1.3")(job)()
    except KeyboardInterrupt:
        if not job.failure:
            raise
    except SystemExit as stopped:
        # Hydra swallows what its callbacks raise, unless it is this: see the callback among our plugins.
        if stopped.__cause__ is None:
            raise
        refused = stopped.__cause__
    except OSError as error:
        if error.filename is None:
            raise
        key = "sweep" if isinstance(job, SweepJob) else "run"
        raise ConfigError(
            f"The output folder {error.filename} cannot be written ({error.strerror}). "
            f"Set hydra.{key}.dir= to one that can."
        ) from None
    finally:
        sys.argv = before
        job.give_back()
    if failure := refused or job.failure:
        raise failure
    return 0
