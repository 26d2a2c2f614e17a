"""What a sweep would do, without training."""

import math

from nnrun.compose.grammar import value_text
from nnrun.config import run_config
from nnrun.execution import devices, groups
from nnrun.host import terminal
from nnrun.host.terminal import Terminal
from nnrun.sweeps.record import Record

SHOWN = 20
ASKED_AT_MOST = 4096


def show(record: Record) -> None:
    """Prints the first trials, the groups, how many programs are compiled, and the memory that training takes."""
    devices.prepare()
    search, strategy = record.plan.search(), record.strategy()
    points = strategy.ask(min(search.trials or ASKED_AT_MOST, search.parallel_trials or ASKED_AT_MOST))
    configs = [run_config.build(record.plan.composed(point).plain) for point in points]
    planned = groups.plan(configs, record.execution(), strategy.batch)
    for number, point in enumerate(points[:SHOWN]):
        words = " ".join(f"{key}={value_text(value)}" for key, value in point.items())
        terminal.say(f"trial {number}: {words or 'the config as it is'}")
    if len(points) > SHOWN:
        terminal.say(f"... and {len(points) - SHOWN} more")
    rows = [
        [str(number), str(len(group.members)), group.batching, str(group.devices), f"{group.bytes / 2**20:.1f} MiB"]
        for number, group in enumerate(planned[:SHOWN])
    ]
    Terminal().table(["group", "trials", "batching", "devices", "memory of states"], rows)
    programs = {(group.static, group.batching, group.bytes) for group in planned}
    further = strategy.ask(1) if len(points) < (search.trials or math.inf) else []
    trials = f"{len(points)} asked for first, and more" if further else f"{len(points)}"
    counts = f"Groups: {len(planned)}. Programs to compile: {len(programs)}."
    for note in record.notes:
        terminal.say(f"Note: {note}")
    terminal.say(f"Trials: {trials}. {counts} Nothing was trained.")
