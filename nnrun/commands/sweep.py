"""`nnrun best` and `nnrun report`: the best trial of a sweep, and its report drawn again."""

import contextlib
import shlex
from pathlib import Path

from nnrun.commands import on_run, usage
from nnrun.errors import ConfigError
from nnrun.folders import reading, strangers
from nnrun.host import terminal


def best(words: list[str]) -> int:
    """`nnrun best SWEEP [--trust]`: the best trial as a command to paste.

    --trust is for a folder of your own whose command names code of your own or takes values from the environment.
    Example: `nnrun best outputs/sweeps/DATE/TIME_NAME`
    """
    given = usage.parse(best, words)
    folder = _folder(given)
    path = folder / "best.yaml"
    if not path.exists():
        raise ConfigError(
            f"{folder} has no best trial: none has completed so far. {folder / 'trials.csv'} has the reasons of those "
            f"that failed; to continue: nnrun resume {shlex.quote(str(folder))}"
        )
    try:
        found = reading.read_yaml(path, reading.LARGEST_CONFIG)
        command = str(found["command"])
        title = f"# trial {int(found['number'])}: {found['metric']} {found['value']:.6g}"
    except (OSError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is damaged. trials.csv beside it has the trials and their objective.") from None
    if "trust" not in given.flags:
        strangers.check_command(path, command)
    terminal.say(f"{' '.join(title.split())}\n{command}")
    return 0


def report(words: list[str]) -> int:
    """`nnrun report SWEEP [--trust]`: writes report.html again from the ledger, also while the sweep runs.

    --trust is for a member of your own, from ./conf and the code beside it.
    Example: `nnrun report outputs/sweeps/DATE/TIME_NAME`
    """
    given = usage.parse(report, words)
    folder = _folder(given)
    from nnrun.folders.ledger import Ledger
    from nnrun.sweeps import record as sweep_record
    from nnrun.sweeps import results
    from nnrun.sweeps.drawing import add_winner, write_report

    record, _ = sweep_record.read(folder, "trust" in given.flags)
    with on_run.working():
        with contextlib.closing(Ledger(folder, writes=False)) as ledger:
            trials = record.plan.strategy().labelled(ledger.trials())
        sweep_record.check_trials(record, folder, "trust" in given.flags)
        write_report(folder, results.facts(record, trials, sweep_record.objective(record)))
        add_winner(folder)
    terminal.say(str(folder / "report.html"))
    return 0


def _folder(given: usage.Words) -> Path:
    """The sweep's folder that was typed. Raises ConfigError where it holds none."""
    folder = Path(given.arguments[0])
    reading.check_begun(folder)
    if not folder.exists():
        raise ConfigError(reading.nothing_there(folder))
    if not reading.is_sweep(folder):
        raise ConfigError(f"{folder} is not a sweep's folder: it holds no sweep.yaml.")
    return folder
