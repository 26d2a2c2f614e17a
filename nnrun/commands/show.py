"""`nnrun show` and `nnrun runs`: what a run is, and which there are."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnrun.commands import usage
from nnrun.errors import ConfigError
from nnrun.folders import reading, strangers
from nnrun.host import terminal
from nnrun.host.terminal import Terminal


def show(words: list[str]) -> int:
    """`nnrun show RUN`: what it is, weights layer by layer, metrics beside the baselines, the command that made it.

    A sweep's best trial is a run too: SWEEP/best. Example: `nnrun show outputs/runs/DATE/TIME_lstm_sine`
    """
    folder = reading.folder(usage.parse(show, words).arguments[0])
    summary = reading.summary(folder)
    try:
        strangers.check_command(folder / "summary.json", summary["command"], of_hydra=True)
        remark = ""
    except ConfigError:
        remark = "  (not to be pasted unless it is your own: nnrun writes no such command)"
    terminal.say(terminal.inline(f"{folder}: {summary['model']} on {summary['dataset']}, {summary['status']}"))
    terminal.say(f"  {terminal.inline(summary['command'])}{remark}")
    made = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    terminal.say("  " + terminal.inline(f"task {summary['task']}, {summary['epochs']} epochs; {made}"))
    if best := summary["objective"]:
        value = "" if best["value"] is None else f" {best['value']:.5g} in epoch {best['epoch']}"
        terminal.say("  " + terminal.inline(f"best {best['metric']}{value}"))
    if error := summary.get("error"):
        terminal.say("  " + terminal.inline(f"error: {str(error)[:500]}"))
    if (folder / "model.safetensors").exists():
        from nnrun.folders import weights_file

        try:
            _show_layers(weights_file.headers(folder / weights_file.WEIGHTS))
        except ValueError as error:
            raise ConfigError(f"{error} Train again: nnrun repeat {shlex.quote(str(folder))}") from None
    Terminal().results(summary["metrics"], summary["baseline"])
    return 0


def _show_layers(layers: Mapping[str, Any]) -> None:
    """A row per array that is learnt, and their total; then running statistics."""
    for prefix, what in (("weights.params.", "parameters"), ("weights.statistics.", "running statistics")):
        found = {n.removeprefix(prefix): header.shape for n, header in layers.items() if n.startswith(prefix)}
        if not found:
            continue
        rows = [[name, " x ".join(map(str, shape)) or "1", f"{math.prod(shape):,}"] for name, shape in found.items()]
        total = f"{sum(map(math.prod, found.values())):,}"
        Terminal().table([what, "shape", "count"], [*rows, ["in all", "", total]])


def runs(words: list[str]) -> int:
    """`nnrun runs`: a line for every run under ./outputs."""
    usage.parse(runs, words)
    for path in sorted(Path("outputs").glob("**/summary.json")):
        try:
            summary = reading.summary(path.parent)
        except ConfigError:
            terminal.say(terminal.inline(f"{path.parent}  damaged"))
            continue
        best = summary["objective"]
        value = f"{best['metric']} {best['value']:.5g}" if best and best["value"] is not None else ""
        terminal.say(terminal.inline(f"{path.parent}  {summary['status']}  {value}"))
    return 0
