"""From a checked command to Hydra, and from Hydra's job to a run."""

import math
import re
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnrun.compose import compatible, compose
from nnrun.compose.compose import Composed
from nnrun.compose.mistakes import explain
from nnrun.config import choices, run_config
from nnrun.errors import OUT_OF_MEMORY, ConfigError, NnrunError, RunError, UnknownSetting
from nnrun.folders import claim as output_folder
from nnrun.host import own_code, terminal
from nnrun.host.interruption import Interrupted
from nnrun.sweeps.drawing import Drawing

if TYPE_CHECKING:
    from nnrun.sweeps.record import Record

_process_start = iter([time.time()])


def launch(flags: list[str], overrides: list[str], finished: list[Path] | None = None) -> int:
    """Checks a command, then hands it to Hydra. Raises ConfigError before anything is written.

    finished: gets the folders of the runs.
    """
    compose.prepare_imports()
    multirun = bool(flags)
    if multirun and not _names_sweeper(overrides):
        return _launch_sweep(flags, overrides)
    composed = compose.compose_all(overrides, multirun)
    if composed[0].sweep["dry_run"]:
        raise ConfigError("dry_run=true shows what a sweep would do: put -m before it, and leave hydra/sweeper out.")
    if of_sweep := [word for word in overrides if _is_of_sweeps_alone(word)]:
        raise ConfigError(f"{of_sweep[0]} is for sweeps: put -m before it, and leave hydra/sweeper out.")
    _check(composed)
    task, name = _task_override(composed, overrides), f"{composed[0].choices['model']}_{composed[0].choices['dataset']}"
    claim = (output_folder.SWEEP, overrides, f"grid_{name}") if multirun else (output_folder.RUN, overrides, name)
    with output_folder.claimed(*claim) as extra:
        if composed[0].sweep["search"]["space"] and not multirun:
            terminal.say("search.space is for sweeps: without -m one run is trained with the values of the config.")
        typed = [word for word in overrides if word != "task=auto"]
        return hand_over([*flags, *typed], [*task, *extra], finished=finished)


def _names_sweeper(overrides: list[str]) -> bool:
    """Whether one of Hydra's other sweepers is asked for."""
    return any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=nnrun" for word in overrides)


def _is_of_sweeps_alone(word: str) -> bool:
    """Whether it says how to search, or how to train many trials."""
    key = word.lstrip("+~").partition("=")[0]
    return key.partition(".")[0] in ("search", "execution")


def _launch_sweep(flags: list[str], overrides: list[str]) -> int:
    """Checks every choice, value and bound of a sweep; then Hydra hands it to our sweeper, which trains in groups."""
    from nnrun.sweeps import plan
    from nnrun.sweeps import record as sweep_record

    command = shlex.join(["nnrun", *flags, *overrides])
    record = sweep_record.start(overrides, command)
    if record.trials.first.sweep["dry_run"]:
        from nnrun.sweeps import dry_run

        plan.check(record.trials)
        dry_run.show(record)
        return 0
    if given := output_folder.given(output_folder.SWEEP, overrides):
        output_folder.check_sweep(given)
    with Drawing() as drawing:
        plan.check(record.trials)
        return _sweep(record, flags, overrides, drawing)


def _sweep(record: "Record", flags: list[str], overrides: list[str], drawing: Drawing) -> int:
    """Claims a folder, and lets Hydra call us back to train in it."""
    first = record.trials.first
    name = f"{first.sweep['strategy']}_{first.choices['model']}_{first.choices['dataset']}"

    def sweep(folder: Path, launcher: Any) -> float:
        output_folder.check_sweep(folder)
        from nnrun.sweeps.sweep import Sweep

        return Sweep(record, folder, next(_process_start, None) or time.time(), drawing, launcher).execute()

    with output_folder.claimed(output_folder.SWEEP, overrides, name) as extra:
        return hand_over([*flags, *(word for word in record.typed if _is_of_sweep(word))], extra, sweep)


def _is_of_sweep(word: str) -> bool:
    """Whether Hydra needs it for the sweep as a whole: keys of choices that are swept mean nothing to it."""
    key = word.lstrip("+~").partition("=")[0]
    return key in choices.groups() or key.startswith(("hydra.", "hydra/"))


def _task_override(composed: list[Composed], overrides: list[str]) -> list[str]:
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


def hand_over(
    argv: list[str],
    extra: list[str],
    sweep: Callable[[Path, Any], float] | None = None,
    finished: list[Path] | None = None,
) -> int:
    """Runs Hydra with our config; `extra` are overrides that the user did not type, `sweep` is for our sweeper.

    A job that fails gives NaN to the sweeper; the first failure is raised once Hydra is done.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    before, sys.argv = sys.argv, ["nnrun", *argv, *extra]
    command = shlex.join(["nnrun", *argv])
    failures: list[NnrunError | Interrupted] = []

    def job(node: Any) -> float:
        try:
            return _job(node, command, finished)
        except NnrunError as error:
            failures.extend([] if sweep else [error])
        except Interrupted as interrupted:
            failures.insert(0, interrupted)
            raise KeyboardInterrupt from interrupted
        return math.nan

    if sweep:
        job.nnrun_sweep = sweep  # type: ignore[attr-defined]
    try:
        hydra.main(config_path=str(choices.conf_folder()), config_name="config", version_base="1.3")(job)()
    except KeyboardInterrupt:
        if not failures:
            raise
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, None, {})) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise ConfigError(
            f"The output folder {error.filename} cannot be written ({error.strerror}). "
            f"Set hydra.{'sweep' if sweep else 'run'}.dir= to one that can."
        ) from None
    finally:
        sys.argv = before
    if failures:
        raise failures[0]
    return 0


def start(composed: Composed, folder: Path, command: str, resume: bool = False) -> float:
    """Builds a checked config and runs it in `folder`; returns the objective."""
    built = run_config.build(composed.plain)
    from jax.errors import JaxRuntimeError

    from nnrun.execution import devices
    from nnrun.runs.run import Run

    devices.prepare()
    started = next(_process_start, None) or time.time()
    kept = f"What was computed is in {folder}; its run.log has the details."
    try:
        return Run(built, composed.plain, composed.choices, folder, command, started).execute(resume)
    except (NnrunError, Interrupted):
        raise
    except (OSError, MemoryError, JaxRuntimeError) as error:
        raise RunError(f"{_told(error, built.training.batch_size)} {kept}") from error
    except Exception as error:
        if found := own_code.told(error):
            raise RunError(f"{found} {kept}") from error
        raise


def _told(error: Exception, batch_size: int) -> str:
    """A sentence for a failure of the machine; for memory that does not suffice, with what to do."""
    said = " ".join(str(error).split()).rstrip(".")
    if not isinstance(error, MemoryError) and OUT_OF_MEMORY not in said:
        return f"{said}."
    asked = re.search(r"(\d+) bytes", said)
    size = f" ({int(asked[1]) / 1e9:.3g} GB were asked for at once)" if asked else ""
    return (
        f"Training does not fit into memory{size}. Lower training.batch_size, which is {batch_size}, or the sizes of "
        "the model."
    )


def _check(composed: list[Composed]) -> None:
    """Types, bounds and fit of every config."""
    built = [_built(one) for one in composed]
    from nnrun.execution import devices

    devices.prepare()
    for one in built:
        compatible.check_fit(one)
        devices.batch_devices(one)


def _built(composed: Composed) -> run_config.RunConfig:
    try:
        return run_config.build(composed.plain)
    except UnknownSetting as error:
        if recipe := composed.choices.get("experiment"):
            raise ConfigError(f"{error} If it was not typed: experiment={recipe} sets it for other choices.") from None
        raise


def _job(node: Any, command: str, finished: list[Path] | None) -> float:
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    composed = compose.resolve_task(compose.composed(run_config.to_plain(node), compose.picked(hydra)))
    folder = Path(hydra.runtime.output_dir)
    output_folder.check_run(folder)
    value = start(composed, folder, command)
    if finished is not None:
        finished.append(folder)
    return value
