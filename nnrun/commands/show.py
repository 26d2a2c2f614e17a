"""`nnrun show` and `nnrun runs`: what a run is, and which there are."""

import contextlib
import math
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnrun.commands import sweep, usage
from nnrun.errors import ConfigError
from nnrun.folders import reading, results, strangers
from nnrun.host import terminal
from nnrun.host.terminal import Terminal


def show(words: list[str]) -> int:
    """`nnrun show RUN|SWEEP [--trust]`: weights, layers and metrics of a run, trials of a sweep, and their command.

    A sweep's best trial is a run too: SWEEP/best. --trust is for a sweep of your own
    whose command names code of your own. Example: `nnrun show outputs/runs/DATE/TIME_lstm_sine`
    """
    given = usage.parse(show, words)
    if reading.is_sweep(Path(given.arguments[0])):
        sweep.show(Path(given.arguments[0]), "trust" in given.flags)
        return 0
    folder = reading.folder(given.arguments[0])
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
            headers = weights_file.headers(folder / weights_file.WEIGHTS)
        except ValueError as error:
            raise ConfigError(f"{error} Train again: nnrun repeat {shlex.quote(str(folder))}") from None
        _show_weights(headers)
        # A network of the user's own is not built, because that would run its code: its weights are shown alone.
        with contextlib.suppress(ConfigError):
            plain, _ = reading.config(folder, trust=False)
            _show_layers(folder, plain)
    results.show(Terminal(), summary["metrics"], summary["baseline"])
    return 0


def _show_layers(folder: Path, plain: dict[str, Any]) -> None:
    """A row per layer: what it gives for an example, what it learns and what it multiplies."""
    from nnrun.trained.layers import layers
    from nnrun.trained.trained_run import load

    found = layers(load(folder, plain))
    rows = [
        [layer.name or "network", layer.kind, _sizes(layer.output), f"{layer.parameters:,}", f"{layer.multiply_adds:,}"]
        for layer in found
    ]
    total = [f"{sum(getattr(layer, name) for layer in found):,}" for name in ("parameters", "multiply_adds")]
    Terminal().table(["layer", "kind", "output", "parameters", "multiply-adds"], [*rows, ["in all", "", "", *total]])


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _show_weights(layers: Mapping[str, Any]) -> None:
    """A row per array that is learnt, and their total; then running statistics."""
    for prefix, what in (("weights.params.", "parameters"), ("weights.statistics.", "running statistics")):
        found = {n.removeprefix(prefix): header.shape for n, header in layers.items() if n.startswith(prefix)}
        if not found:
            continue
        rows = [[name, _sizes(shape), f"{math.prod(shape):,}"] for name, shape in found.items()]
        total = f"{sum(map(math.prod, found.values())):,}"
        Terminal().table([what, "shape", "count"], [*rows, ["in all", "", total]])


def runs(words: list[str]) -> int:
    """`nnrun runs`: a line for every run and sweep under ./outputs, with what it reached, in order of their names.

    Of a sweep the values are those of its best trial.
    """
    usage.parse(runs, words)
    lines = []
    for name, folders, files in os.walk("outputs"):
        if "sweep.yaml" in files:
            trials = sum(folder.isdigit() for folder in folders)
            lines.append((name, _sweep(Path(name), trials)))
        elif "summary.json" in files:
            lines.append((name, _run(Path(name))))
        else:
            continue
        # What lies below belongs to the run or sweep: trials, checkpoints, evaluations.
        folders.clear()
    for name, line in sorted(lines):
        terminal.say(terminal.inline(f"{name}  {line}".rstrip()))
    return 0


def _run(folder: Path) -> str:
    try:
        summary = reading.summary(folder)
    except ConfigError:
        return "damaged"
    return f"{summary['status']}  {_values(summary)}"


def _sweep(folder: Path, trials: int) -> str:
    """The status of a sweep, the first line of its record, how many trials it has, and the values of the best."""
    with (folder / "sweep.yaml").open(encoding="utf-8", errors="replace") as file:
        key, _, status = file.readline(100).strip().partition(": ")
    if key != "status":
        return "damaged"
    try:
        values = _values(reading.summary(folder / "best")) if (folder / "best" / "summary.json").is_file() else ""
    except ConfigError:
        values = "best trial damaged"
    return f"{status}  {trials} trials  {values}"


def _values(summary: dict[str, Any]) -> str:
    """The objective's value and the metrics on the whole test part, not on its single targets, classes and steps."""
    best = summary["objective"]
    found = {best["metric"]: best["value"]} if best else {}
    found |= {name: value for name, value in summary["metrics"].items() if re.fullmatch("test/[^/]+", name)}
    return "  ".join(
        f"{name} {value:.5g}" for name, value in found.items() if value is not None and name != "test/loss"
    )
