"""The verbs of sweeps: continue one, name its best trial, draw its report again."""

import time
from pathlib import Path
from typing import Any

from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.host import terminal
from nnrun.sweeps.drawing import Drawing

TRUST = "--trust"


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (folder / "sweep.yaml").exists()


def resume(folder: Path, words: list[str]) -> int:
    """`nnrun resume SWEEP [search.trials=N] [--trust]`: trains what is missing, as if the sweep had never stopped."""
    from nnrun.compose import compose
    from nnrun.sweeps import record as sweep_record

    compose.prepare_imports()
    record, status = sweep_record.read(folder, TRUST in words)
    search = record.trials.first.sweep["search"]
    changed = _more_trials(folder, [word for word in words if word != TRUST], search)
    if status == "completed" and not changed:
        raise ConfigError(
            f"{folder} is completed: nothing is left to resume. For more trials: nnrun resume {folder} search.trials=N"
        )
    search |= changed
    from nnrun.execution import devices

    devices.prepare()
    _check_devices(folder, record)
    from nnrun.sweeps.sweep import Sweep

    with Drawing() as drawing:
        Sweep(record, folder, time.time(), drawing).execute()
    return 0


def _more_trials(folder: Path, words: list[str], search: dict[str, Any]) -> dict[str, int]:
    """The new budget. Raises ConfigError for whatever else is asked for."""
    if not words:
        return {}
    key, _, text = words[0].partition("=")
    if key != "search.trials" or words[1:]:
        word = words[0] if key != "search.trials" else words[1]
        raise ConfigError(
            f"nnrun resume of a sweep takes only search.trials=N, but got {word}. For other changes start a new sweep."
        )
    before = search["trials"]
    if not text.isdecimal() or before is None or int(text) <= before:
        least = "nothing, because the sweep has no limit" if before is None else f"an integer > {before}"
        raise ConfigError(f"search.trials must be {least}, but got {text or 'nothing'}. Nothing of {folder} changed.")
    if search.get("sequence") == "latin_hypercube":
        raise ConfigError(
            "search.sequence=latin_hypercube lays out all trials at once, so search.trials cannot be raised. "
            "Start a new sweep, or use search.sequence=sobol."
        )
    return {"trials": int(text)}


def _check_devices(folder: Path, record: Any) -> None:
    import jax

    most = max((group.devices for group in record.groups), default=1)
    if most > jax.device_count():
        raise ConfigError(
            f"{folder} trains its groups on {most} devices, but there are {jax.device_count()} here. "
            "Continue it on a machine like the first."
        )


def best(words: list[str]) -> int:
    """`nnrun best SWEEP`: the best trial as a command to paste."""
    folder = _folder(words, "best")
    path = folder / "best.yaml"
    if not path.exists():
        raise ConfigError(
            f"{folder} has no best trial: none has completed so far. {folder / 'trials.csv'} has the reasons of those "
            f"that failed; to continue: nnrun resume {folder}"
        )
    try:
        found = reading.read_yaml(path, reading.LARGEST_CONFIG)
        text = f"# trial {found['number']}: {found['metric']} {found['value']:.6g}\n{found['command']}"
    except (OSError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is damaged. trials.csv beside it has the trials and their objective.") from None
    terminal.say(text)
    return 0


def report(words: list[str]) -> int:
    """`nnrun report SWEEP [--trust]`: writes report.html again from the ledger, also while the sweep runs.

    --trust: of a member of your own, from ./conf and the code beside it.
    """
    folder = _folder([word for word in words if word != TRUST], "report")
    from nnrun.compose import compose
    from nnrun.folders.ledger import Ledger
    from nnrun.sweeps import record as sweep_record
    from nnrun.sweeps import results
    from nnrun.sweeps.drawing import write_report

    compose.prepare_imports()
    record, _ = sweep_record.read(folder, TRUST in words)
    ledger = Ledger(folder, writes=False)
    try:
        facts = results.facts(record, ledger.trials(), sweep_record.objective(record))
    finally:
        ledger.close()
    write_report(folder, facts)
    terminal.say(str(folder / "report.html"))
    return 0


def _folder(words: list[str], verb: str) -> Path:
    if not words:
        raise ConfigError(
            f"nnrun {verb} needs a sweep's folder, for example nnrun {verb} outputs/sweeps/DATE/TIME_NAME."
        )
    if words[1:]:
        raise ConfigError(f"nnrun {verb} takes a sweep's folder alone, but got {words[1]}.")
    reading.check_begun(Path(words[0]))
    if not is_sweep(Path(words[0])):
        raise ConfigError(f"{words[0]} is not a sweep's folder: it holds no sweep.yaml.")
    return Path(words[0])
