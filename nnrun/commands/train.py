"""`nnrun [-m] OVERRIDES`: from the typed words to a run, or to a sweep."""

import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnrun.compose import checked, compose
from nnrun.compose.compose import Composed
from nnrun.compose.hydra_app import Job, SweepJob, hand_over
from nnrun.config import choices
from nnrun.config.run_config import RunConfig
from nnrun.errors import ConfigError
from nnrun.folders import claim
from nnrun.host import terminal
from nnrun.runs.start import begun, start
from nnrun.sweeps.drawing import Drawing

if TYPE_CHECKING:
    from nnrun.sweeps.record import Record


class Several(ConfigError):
    """A command without -m asks for several networks, which are a sweep of one setting."""


def launch(flags: list[str], overrides: list[str], finished: list[Path] | None = None) -> int:
    """Checks a command, then hands it to Hydra. Raises ConfigError before anything is written.

    finished: gets the folders of the runs.
    """
    compose.prepare_imports()
    if flags and not any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=nnrun" for word in overrides):
        return _launch_sweep(flags, overrides)
    words = compose.parsed(overrides, bool(flags))
    groups = [word.get_key_element().lstrip("+~").partition(".")[0] for word in words]
    if of_sweep := [o for o, group in zip(overrides, groups, strict=True) if group in ("search", "execution")]:
        raise ConfigError(f"{of_sweep[0]} is for sweeps: put -m before it, and leave hydra/sweeper out.")
    typed = [word for word in overrides if word != "task=auto"]
    job = Job(partial(_train, shlex.join(["nnrun", *flags, *typed]), finished))
    if not flags:
        # Keys of a task mean nothing to Hydra before it is known which task that is.
        has_keys = any(word.startswith("task.") for word in typed) and not any(w.startswith("task=") for w in typed)
        try:
            return hand_over([*typed, *_task([compose.compose_one(typed)], typed)] if has_keys else typed, job)
        except Several:
            words = [re.sub(r"^hydra\.run\.dir=", "hydra.sweep.dir=", word) for word in typed]
            return _launch_sweep(["-m"], words, finished, shlex.join(["nnrun", *typed]))
    # Hydra's other sweepers compose a config per job, so that all of them are checked here.
    composed = compose.compose_all(overrides, multirun=True)
    refuse_dry_run(composed[0])
    configs = [checked.build(one) for one in composed]
    _refuse_several(configs)
    checked.check(configs)
    name = f"grid_{composed[0].choices['model']}_{composed[0].choices['dataset']}"
    with claim.claimed(overrides, name) as extra:
        return hand_over([*flags, *typed, *_task(composed, overrides), *extra], job)


def ask_hydra(argv: list[str]) -> int:
    """`nnrun --cfg job ...` and the like: what Hydra itself answers about a command."""
    compose.prepare_imports()
    return hand_over(argv, Job(partial(_train, shlex.join(["nnrun", *argv]), None)))


def accept(composed: Composed) -> RunConfig:
    """Checks the config of a single run, before anything is written. Raises ConfigError."""
    refuse_dry_run(composed)
    config = checked.build(composed)
    _refuse_several([config])
    checked.check([config])
    if composed.sweep["search"].get("space"):
        terminal.say("search.space is for sweeps: without -m one run is trained with the values of the config.")
    return config


def _refuse_several(configs: list[RunConfig]) -> None:
    """Raises Several where a config asks for more networks than one."""
    if any(config.training.members > 1 for config in configs):
        raise Several(
            "training.folds and training.repeats train several networks together, which Hydra's own sweeper cannot. "
            "Leave hydra/sweeper out."
        )


def refuse_dry_run(composed: Composed) -> None:
    """Raises ConfigError where a single run is to be shown only."""
    if composed.sweep["dry_run"]:
        raise ConfigError("dry_run=true shows what a sweep would do: put -m before it, and leave hydra/sweeper out.")


def _train(
    command: str, finished: list[Path] | None, composed: Composed, config: RunConfig | None, folder: Path
) -> float:
    """Trains one of Hydra's jobs."""
    claim.check_run(folder)
    value = start(config or checked.build(composed), composed, folder, command)
    if finished is not None:
        finished.append(folder)
    return value


def _launch_sweep(
    flags: list[str], overrides: list[str], finished: list[Path] | None = None, command: str | None = None
) -> int:
    """Checks every choice, value and bound of a sweep; then Hydra hands it to our sweeper, which trains in groups."""
    from nnrun.sweeps import earlier, plan, record, ruler

    command = command or shlex.join(["nnrun", *flags, *overrides])
    asked = record.start(overrides, command)
    if asked.plan.first.sweep["dry_run"]:
        from nnrun.sweeps import dry_run

        plan.check(asked.plan)
        dry_run.show(earlier.recorded(ruler.settled(asked)))
        return 0
    if given := claim.given(claim.SWEEP, overrides):
        claim.check_sweep(given)
    with Drawing() as drawing:
        plan.check(asked.plan)
        asked = earlier.recorded(ruler.settled(asked))
        first = asked.plan.first
        what = first.sweep["strategy"] if asked.plan.space.dimensions else re.sub(r"\W+", "_", asked.kind)
        name = f"{what}_{first.choices['model']}_{first.choices['dataset']}"
        job = SweepJob(partial(_train, command, None), partial(_sweep, asked, drawing, finished))
        with claim.claimed(overrides, name) as extra:
            return hand_over([*flags, *(word for word in asked.typed if _is_of_sweep(word)), *extra], job)


def _sweep(asked: "Record", drawing: Drawing, finished: list[Path] | None, folder: Path, launcher: Any) -> float:
    """Trains the sweep in the folder that Hydra names."""
    claim.check_sweep(folder)
    from nnrun.sweeps.sweep import Sweep

    value = Sweep(asked, folder, begun(), drawing, launcher).execute()
    if finished is not None:
        finished.append(folder / "best")
    return value


def _is_of_sweep(word: str) -> bool:
    """Whether Hydra needs a word for the sweep as a whole: keys of choices that are swept mean nothing to it."""
    key = word.lstrip("+~").partition("=")[0]
    return key in choices.groups() or key.startswith(("hydra.", "hydra/"))


def _task(composed: list[Composed], overrides: list[str]) -> list[str]:
    """`task=...` where it is not typed. Raises ConfigError for task keys where the swept choices differ in task."""
    tasks = sorted({one.choices["task"] for one in composed})
    of_task = [word for word in overrides if word.startswith("task.")]
    if len(tasks) > 1 and of_task:
        raise ConfigError(
            f"{of_task[0]} cannot be set, because the swept choices have different tasks: {', '.join(tasks)}. "
            "Sweep them apart, or name one with task=."
        )
    typed = any(word.startswith("task=") and word != "task=auto" for word in overrides)
    return [] if typed or len(tasks) > 1 else [f"task={tasks[0]}"]
