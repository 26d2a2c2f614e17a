"""`search.from`: the trials of an earlier sweep, for a strategy that learns from them."""

import contextlib
import dataclasses
from pathlib import Path

from nnrun.errors import ConfigError
from nnrun.folders import reading
from nnrun.folders.ledger import Ledger
from nnrun.search.points import misfit
from nnrun.sweeps import record as sweep_record
from nnrun.sweeps.record import EarlierTrial, Record


def recorded(record: Record) -> Record:
    """The record with the completed trials of the sweep that it names, as far as they lie in its space, and a note.

    Raises ConfigError for a folder that is no sweep's, for another objective, and where no trial fits.
    """
    search, space = record.plan.search(), record.plan.space
    if search.from_ is None:
        return record
    record.plan.strategy().know([])
    folder, key = Path(search.from_), f"search.from={search.from_}"
    if not reading.is_sweep(folder):
        raise ConfigError(f"{key} must be the folder of a sweep, but there is no sweep.yaml in it. nnrun runs has all.")
    earlier, _ = sweep_record.read(folder)
    ours, theirs = sweep_record.objective(record), sweep_record.objective(earlier)
    if (ours.metric, ours.direction) != (theirs.metric, theirs.direction):
        raise ConfigError(
            f"{key} has to have the objective of this sweep, but its trials are compared by {theirs.metric} "
            f"({theirs.direction}), and these by {ours.metric} ({ours.direction}). Set "
            f"objective.metric={theirs.metric} objective.direction={theirs.direction}, or leave search.from out."
        )
    with contextlib.closing(Ledger(folder, writes=False)) as ledger:
        trials = [trial for trial in ledger.trials() if trial.state == "completed"]
    misfits = [misfit(trial.params, space) for trial in trials]
    told: list[EarlierTrial] = [
        {"params": trial.params, "objective": trial.objective}
        for trial, wrong in zip(trials, misfits, strict=True)
        if trial.objective is not None and not wrong
    ]
    if not told:
        reason = f"{len(trials)} completed ones do not: of the first, {misfits[0]}" if trials else "none is completed"
        raise ConfigError(
            f"{key} has to have trials that lie in the space of this sweep, with the same keys, but {reason}. "
            "Search the same keys in intervals at least as wide, or leave search.from out."
        )
    note = f"{len(told)} of {len(trials)} completed trials of {folder} lie in this space, and are known to the search."
    return dataclasses.replace(record, earlier=told, notes=[*record.notes, note])
