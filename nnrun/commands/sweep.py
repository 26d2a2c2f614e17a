"""`nnrun show`, `nnrun best` and `nnrun report` of a sweep: what it is, its best trials, its report drawn again."""

import collections
import shlex
import time
from pathlib import Path

from nnrun.commands import on_run, usage
from nnrun.compose.grammar import dimension_text
from nnrun.errors import ConfigError
from nnrun.folders import reading, strangers
from nnrun.host import terminal
from nnrun.host.terminal import Terminal
from nnrun.report.sweep.text import cut, duration
from nnrun.search.trial import FINAL, Trial
from nnrun.sweeps import ranking
from nnrun.sweeps.ranking import Standing

WIDEST = 60
"""Characters of what is searched."""


def show(folder: Path, trust: bool) -> None:
    """What a sweep is: its command and space, its trials by state, how long they took, the best of them."""
    sweep = _standing(folder, trust)
    best, trials, space = sweep.ranked[:1], sweep.trials, sweep.record.plan.space.dimensions
    if not trust:
        strangers.check_command(folder / "sweep.yaml", sweep.record.command, of_hydra=True)
    terminal.say(terminal.inline(f"{folder}: {sweep.record.title}, {sweep.status}"))
    terminal.say(f"  {sweep.record.command}")
    for note in sweep.record.notes:
        terminal.say(terminal.inline(f"  Note: {note}"))
    states = collections.Counter(trial.state for trial in trials)
    wanted = sweep.record.plan.search().trials
    of = "" if wanted in (None, len(trials)) else f" of {wanted}"
    said = [f"{states[state]} {state}" for state in (*FINAL, "running", "waiting") if states[state]]
    terminal.say(
        f"  {len(trials)}{of} trial{'s' * (len(trials) != 1)}: {', '.join(said)}"
        if said
        else "  No trial was asked for yet."
    )
    if states["failed"]:
        terminal.say(terminal.inline(f"  {ranking.commonest(trials)}"))
    if times := _times(trials):
        terminal.say(f"  {times}")
    rows = [[key, cut(dimension_text(found), WIDEST)] for key, found in space.items()]
    for trial in best:
        rows = [[*row, ranking.short(trial.params[row[0]]) if row[0] in trial.params else ""] for row in rows]
    Terminal().table(["searched", "values", *(f"trial {trial.number}, the best" for trial in best)], rows)
    for trial in best:
        _say_trial(trial, sweep)


def _standing(folder: Path, trust: bool) -> Standing:
    with on_run.working():
        return ranking.standing(folder, trust)


def _times(trials: list[Trial]) -> str:
    """When trials were trained, and for how long; nothing where none was."""
    seconds = sum(trial.seconds or 0.0 for trial in trials)
    begun, ended = [t.started for t in trials if t.started], [t.ended for t in trials if t.ended]
    span = ""
    if begun and ended:
        first, last = (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) for at in (min(begun), max(ended)))
        span = f", between {first} and {last}"
    return f"{duration(seconds)} of training{span}" if seconds else ""


def _say_trial(trial: Trial, sweep: Standing) -> None:
    """The value of a trial and a command to paste, which trains it as a run."""
    left = "" if trial.state == "completed" else f" ({trial.state})"
    terminal.say(
        terminal.inline(f"# trial {trial.number}: {sweep.objective.metric} {trial.objective:.6g}{left}")
        + f"\n{sweep.record.command_of(trial.params)}"
    )


def best(words: list[str]) -> int:
    """`nnrun best SWEEP [5] [--trust]`: the best trial as a command to paste, or the five best and what they differ in.

    --trust is for a folder of your own whose command names code of your own or takes values from the environment.
    Example: `nnrun best outputs/sweeps/DATE/TIME_NAME`
    """
    given = usage.parse(best, words)
    folder, trust = _folder(given), "trust" in given.flags
    if given.arguments[1]:
        example = f"nnrun best {shlex.quote(str(folder))} 5"
        return _first(folder, usage.whole("The number of trials", given.arguments[1], 1, example), trust)
    path = folder / "best.yaml"
    if not path.exists():
        raise ConfigError(_without_best(folder))
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


def _first(folder: Path, count: int, trust: bool) -> int:
    """The best trials so far: a table of what they differ in, then every one with its command."""
    sweep = _standing(folder, trust)
    trials = sweep.ranked[:count]
    if not trials:
        raise ConfigError(_without_best(folder))
    keys = [key for key in sweep.record.plan.space if len({str(trial.params.get(key)) for trial in trials}) > 1]
    Terminal().table(*ranking.tabulated(trials, sweep.objective, keys))
    for trial in trials:
        _say_trial(trial, sweep)
    return 0


def _without_best(folder: Path) -> str:
    return (
        f"{folder} has no best trial: none has completed so far. {folder / 'trials.csv'} has the reasons of those "
        f"that failed; to continue: nnrun resume {shlex.quote(str(folder))}"
    )


def report(words: list[str]) -> int:
    """`nnrun report SWEEP [--trust]`: writes report.html again from the ledger, also while the sweep runs.

    --trust is for a member of your own, from ./conf and the code beside it.
    Example: `nnrun report outputs/sweeps/DATE/TIME_NAME`
    """
    given = usage.parse(report, words)
    folder = _folder(given)
    from nnrun.sweeps import results
    from nnrun.sweeps.drawing import add_winner, write_report

    sweep = _standing(folder, "trust" in given.flags)
    with on_run.working():
        write_report(folder, results.facts(sweep.record, sweep.trials, sweep.objective))
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
