"""`nnrun best` and `nnrun report`: the best trial of a sweep, and its report drawn again."""

import contextlib
from pathlib import Path

from nnrun.commands import usage
from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.host import terminal


def best(words: list[str]) -> int:
    """`nnrun best SWEEP`: the best trial as a command to paste.

    Example: `nnrun best outputs/sweeps/DATE/TIME_NAME`
    """
    folder = _folder(usage.parse(best, words))
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

    --trust is for a member of your own, from ./conf and the code beside it.
    Example: `nnrun report outputs/sweeps/DATE/TIME_NAME`
    """
    given = usage.parse(report, words)
    folder = _folder(given)
    from nnrun.compose import compose
    from nnrun.folders.ledger import Ledger
    from nnrun.sweeps import record as sweep_record
    from nnrun.sweeps import results
    from nnrun.sweeps.drawing import add_winner, write_report

    compose.prepare_imports()
    record, _ = sweep_record.read(folder, "trust" in given.flags)
    with contextlib.closing(Ledger(folder, writes=False)) as ledger:
        trials = record.plan.strategy().labelled(ledger.trials())
        facts = results.facts(record, trials, sweep_record.objective(record))
    write_report(folder, facts)
    add_winner(folder)
    terminal.say(str(folder / "report.html"))
    return 0


def _folder(given: usage.Words) -> Path:
    """The sweep's folder that was typed. Raises ConfigError where it holds none."""
    folder = Path(given.arguments[0])
    reading.check_begun(folder)
    if not reading.is_sweep(folder):
        raise ConfigError(f"{folder} is not a sweep's folder: it holds no sweep.yaml.")
    return folder
