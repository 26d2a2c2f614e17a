"""`nnrun show` and `nnrun runs`: what a run is, and which there are."""

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnrun.commands import usage
from nnrun.errors import ConfigError
from nnrun.folders import reading, results
from nnrun.host import terminal
from nnrun.host.terminal import Terminal


def show(words: list[str]) -> int:
    """`nnrun show RUN`: what it is, weights and layers, metrics beside the baselines, the command that made it.

    A sweep's best trial is a run too: SWEEP/best. Example: `nnrun show outputs/runs/DATE/TIME_lstm_sine`
    """
    folder = reading.folder(usage.parse(show, words).arguments[0])
    summary = reading.summary(folder)
    terminal.say(f"{folder}: {summary['model']} on {summary['dataset']}, {summary['status']}\n  {summary['command']}")
    made = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    terminal.say(f"  task {summary['task']}, {summary['epochs']} epochs; {made}")
    if best := summary["objective"]:
        value = "" if best["value"] is None else f" {best['value']:.5g} in epoch {best['epoch']}"
        terminal.say(f"  best {best['metric']}{value}")
    if error := summary.get("error"):
        terminal.say(f"  error: {str(error)[:500]}")
    if (folder / "model.safetensors").exists():
        from nnrun.folders import weights_file

        try:
            headers = weights_file.headers(folder / weights_file.WEIGHTS)
        except ValueError as error:
            raise ConfigError(f"{error} Train again: nnrun repeat {folder}") from None
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
    """`nnrun runs`: a line for every run under ./outputs."""
    usage.parse(runs, words)
    for path in sorted(Path("outputs").glob("**/summary.json")):
        try:
            summary = reading.summary(path.parent)
        except ConfigError:
            terminal.say(f"{path.parent}  damaged")
            continue
        best = summary["objective"]
        value = f"{best['metric']} {best['value']:.5g}" if best and best["value"] is not None else ""
        terminal.say(f"{path.parent}  {summary['status']}  {value}")
    return 0
