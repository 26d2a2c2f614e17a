"""`nnrun resume`: a run goes on from its newest usable checkpoint, a sweep with the trials that are missing."""

import math
import shlex
import time
from pathlib import Path
from typing import Any

from nnrun import schema
from nnrun.commands import on_run, usage
from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.sweeps.drawing import Drawing

EPOCHS = "training.epochs"
TRIALS, TIMEOUT = "search.trials", "search.timeout_seconds"


def resume(words: list[str]) -> int:
    """`nnrun resume RUN|SWEEP [KEY=N] [--trust]`: goes on as if there had been no interruption, bit for bit.

    training.epochs=N trains a run longer: with a constant schedule as if N epochs had been asked for at once, else the
    rate goes on over the new length. search.trials=N adds trials to a sweep, search.timeout_seconds=N gives it more
    time. Nothing else can be changed. --trust: of a member of your own, from ./conf and the code beside it. Example:
    `nnrun resume outputs/runs/DATE/TIME_lstm_sine`
    """
    if words and reading.is_sweep(Path(words[0])):
        return _resume_sweep(Path(words[0]), words[1:])
    _refuse_other_keys(words)
    given = usage.parse(resume, words)
    folder = reading.folder(given.arguments[0])
    plain, choices = reading.config(folder, "trust" in given.flags)
    summary = reading.summary(folder)
    if reading.is_sweep(folder.resolve().parent):
        raise ConfigError(
            f"{folder} belongs to a sweep, which trains it in a group. Continue the sweep with nnrun resume "
            f"{shlex.quote(str(folder.parent))}, or train this one alone: nnrun repeat {shlex.quote(str(folder))}"
        )
    _more_epochs(folder, given.arguments[1], plain, summary)
    from nnrun.compose.compose import Composed
    from nnrun.config import run_config
    from nnrun.host.disk import hold
    from nnrun.runs.start import start

    hold(folder, "run.log").close()
    command = _command(summary["command"], given.arguments[1])
    start(run_config.build(plain), Composed(plain, choices), folder, command, resume=True)
    return 0


def _resume_sweep(folder: Path, words: list[str]) -> int:
    """Trains what is missing of a sweep, as if it had never stopped; with more trials or time, if asked for."""
    from nnrun.sweeps import record

    trust = "--trust" in words
    asked, status = record.read(folder, trust)
    search = asked.plan.first.sweep["search"]
    changed = _changed(folder, [word for word in words if word != "--trust"], search)
    if status == "completed" and TRIALS not in changed:
        raise ConfigError(
            f"{folder} is completed: nothing is left to resume. For more trials: "
            f"nnrun resume {shlex.quote(str(folder))} search.trials=N"
        )
    search |= {key.removeprefix("search."): value for key, value in changed.items()}
    from nnrun.execution import devices

    devices.prepare()
    most = max((group.devices for group in asked.groups), default=1)
    if most > devices.count():
        raise ConfigError(
            f"{folder} trains its groups on {most} devices, but there are {devices.count()} here. "
            "Continue it on a machine like the first."
        )
    from nnrun.sweeps.sweep import Sweep

    with Drawing() as drawing, on_run.working():
        record.check_trials(asked, folder, trust)
        Sweep(asked, folder, time.time(), drawing, resume=True).execute()
    return 0


def _changed(folder: Path, words: list[str], search: dict[str, Any]) -> dict[str, float]:
    """The new budget of trials and of time, by key. Raises ConfigError for whatever else is asked for."""
    given = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    others = [word for word in words if word.partition("=")[0] not in (TRIALS, TIMEOUT)]
    if others or len(given) < len(words):
        raise ConfigError(
            f"nnrun resume of a sweep takes only {TRIALS}=N and {TIMEOUT}=N, each once, but got "
            f"{' '.join(others or words)}. For other changes start a new sweep."
        )
    found: dict[str, float] = {}
    if TRIALS in given:
        found[TRIALS] = _more_trials(folder, given[TRIALS], search)
    if TIMEOUT in given:
        found[TIMEOUT] = _more_time(given[TIMEOUT])
    return found


def _more_time(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(
            f"{TIMEOUT} must be a number > 0, the seconds from now on, but got {text or 'nothing'}. "
            f"Set for example {TIMEOUT}=600."
        )
    return seconds


def _more_trials(folder: Path, text: str, search: dict[str, Any]) -> int:
    before = search.get("trials")
    if not text.isdecimal() or before is None or int(text) <= before:
        least = "left out, because the sweep has no limit" if before is None else f"an integer > {before}, all in all"
        more = int(text) if text.isdecimal() else 0
        command = f"nnrun resume {shlex.quote(str(folder))} {TRIALS}={(before or 0) + more}"
        how = f" For {more} more: {command}." if before is not None and more else ""
        raise ConfigError(f"{TRIALS} must be {least}, but got {text or 'nothing'}.{how} Nothing of {folder} changed.")
    if search.get("sequence") == "latin_hypercube":
        raise ConfigError(
            "search.sequence=latin_hypercube lays out all trials at once, so search.trials cannot be raised. "
            "Start a new sweep, or use search.sequence=sobol."
        )
    return int(text)


def _refuse_other_keys(words: list[str]) -> None:
    for word in words[1:]:
        key, has_value, _ = word.partition("=")
        if has_value and key != EPOCHS and not word.startswith("-"):
            raise ConfigError(
                f"nnrun resume can raise {EPOCHS} alone, because with another {key} the epochs so far would not be "
                f"those of one run. Start a new one: nnrun repeat {shlex.quote(words[0])} {shlex.quote(word)}"
            )


def _more_epochs(folder: Path, word: str, plain: dict[str, Any], summary: dict[str, Any]) -> None:
    """Puts the new number of epochs into `plain`.

    Raises ConfigError where nothing is left to do, or more epochs would train nothing or have nothing to start from.
    """
    from nnrun.config.run_config import TrainingConfig

    name, asked = shlex.quote(str(folder)), schema.build("training", plain.get("training", {}), TrainingConfig).epochs
    # Nothing was trained where the number is not yet known.
    before = 0 if asked == "auto" else asked
    completed = summary["status"] == "completed"
    if completed and summary["stopped_early"]:
        raise ConfigError(
            f"{folder} is completed: it stopped early after epoch {summary['epochs']} of {before}, when "
            "training.early_stopping.patience ran out, and would with more epochs too. To be more patient: "
            f"nnrun repeat {name} training.early_stopping.patience=N"
        )
    key, _, text = word.partition("=")
    if not word:
        if completed and summary["epochs"] >= before:
            raise ConfigError(
                f"{folder} is completed: nothing is left to resume. For more epochs: nnrun resume {name} {EPOCHS}=N"
            )
        return
    if key != EPOCHS or not text.isdecimal() or int(text) <= before:
        got = (text if key == EPOCHS else word) or "nothing"
        raise ConfigError(
            f"{EPOCHS} can only be raised: it must be an integer > {before}, but got {got}. "
            f"Set for example {EPOCHS}={max(1, 2 * before)}."
        )
    if completed and not any((folder / "checkpoints").glob("*.safetensors")):
        raise ConfigError(f"{folder} has no checkpoint to go on from. Train anew: nnrun repeat {name} {word}")
    plain["training"]["epochs"] = int(text)


def _command(before: str, word: str) -> str:
    """The command that would have made the run at once."""
    if not word:
        return before
    try:
        words = shlex.split(before)
    except ValueError:
        # A quote without its end: the folder may be somebody else's.
        words = before.split()
    return shlex.join([*(old for old in words if old.partition("=")[0] != EPOCHS), word])
