"""What summary.json holds, and what it holds where there is nothing to say yet."""

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import jax
import numpy as np

from nnrun.config.run_config import RunConfig

VERSIONS = ("nnrun", "jax", "jaxlib", "flax", "optax", "numpy", "hydra-core")


def new_summary(config: RunConfig, choices: dict[str, str], command: str) -> dict[str, Any]:
    """What summary.json says before anything was trained."""
    summary: dict[str, Any] = {"status": "running", "stopped_early": False}
    summary |= {name: choices[name] for name in ("model", "dataset", "task")}
    summary |= {"seed": config.seed, "parameters": None, "epochs": 0, "objective": None, "metrics": {}}
    summary |= {"spread": {}, "baseline": {}, "remarks": [], "seconds": {}, "error": None}
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return summary | {"versions": _versions(), "devices": devices, "command": command}


def spread(members: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation (n - 1) and values of every metric that folds and repeats measured, by its name."""
    found = {}
    for name in members[0] if members else ():
        values = np.array([row[name] for row in members], float)
        deviation = values.std(ddof=1) if len(values) > 1 else np.nan
        found[name] = {"mean": float(values.mean()), "std": float(deviation), "values": values.tolist()}
    return found


def undefined(metric: str) -> str:
    """Why a run without a best epoch has no result."""
    return (
        f"objective.metric={metric} was undefined (NaN) in every epoch, so no epoch is the best. Set another one, for "
        "example objective.metric=val/loss, or use more validation data."
    )


def by_metric(baselines: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """{baseline: {metric: value}} as {"test/<metric>": {baseline: value}}."""
    found: dict[str, dict[str, float]] = {}
    for name, values in baselines.items():
        for metric, value in values.items():
            found.setdefault(f"test/{metric}", {})[name] = value
    return found


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in VERSIONS}
