"""What a sweep was asked for, as sweep.yaml keeps it: enough to go on with in another process."""

import dataclasses
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnrun import schema
from nnrun.compose import compose, grammar
from nnrun.compose.compose import OF_SWEEPS, Composed
from nnrun.config import run_config
from nnrun.errors import ConfigError
from nnrun.execution.settings import ExecutionConfig, GroupSettings
from nnrun.folders import reading
from nnrun.search.space import Params, Space, dimension, written
from nnrun.sweeps import plan
from nnrun.sweeps.plan import Plan
from nnrun.training.objective import Objective, check_objective

LARGEST = 2**24
"""Bytes of sweep.yaml that are read; no sweep writes as many."""


@dataclass(frozen=True)
class Record:
    """What a command asks for, and the groups that were made of its trials so far.

    typed: the overrides with one value, as typed. notes: sentences for the user on how its trials compare.
    """

    plan: Plan
    typed: list[str]
    command: str
    groups: list[GroupSettings] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The sweep in words: `random search: mlp on digits`."""
        model, dataset = (
            ", ".join(dict.fromkeys(base.choices[group] for base in self.plan.bases.values()))
            for group in ("model", "dataset")
        )
        return f"{self.plan.first.sweep['strategy']} search: {model} on {dataset}"

    def execution(self) -> ExecutionConfig:
        """The checked keys of execution."""
        return schema.build("execution", self.plan.first.sweep["execution"], ExecutionConfig)

    def overrides_of(self, point: Params) -> list[str]:
        """What to type for one trial as a run."""
        first = self.plan.composed(point).plain
        kept = [text for text in self.typed if _is_of_run(text, first)]
        left_out = self.plan.left_out(point)
        signs = {key: "+" if key in left_out else "" for key in point}
        return [*kept, *(f"{signs[key]}{key}={grammar.value_text(value)}" for key, value in point.items())]

    def command_of(self, point: Params) -> str:
        """A command that can be pasted into a shell."""
        return shlex.join(["nnrun", *self.overrides_of(point)])

    def content(self, status: str) -> dict[str, Any]:
        """The content of sweep.yaml."""
        first, space = self.plan.first, self.plan.space
        return {
            "status": status,
            "command": self.command,
            "typed": self.typed,
            "notes": self.notes,
            **first.sweep,
            "space": {key: written(found) for key, found in space.dimensions.items()},
            "choosers": list(space.choosers),
            "bases": [
                {"choice": list(choice), "lacking": sorted(space.lacking[choice])}
                | {"choices": base.choices, "config": base.plain}
                for choice, base in self.plan.bases.items()
            ],
            "groups": [dataclasses.asdict(group) for group in self.groups],
        }


def start(overrides: list[str], command: str) -> Record:
    """The record of a command. Raises ConfigError for a wrong name."""
    typed, _ = grammar.parse(overrides)
    return Record(plan.of(overrides), typed, command)


def read(folder: Path, trust: bool = False) -> tuple[Record, str]:
    """The record of a sweep's folder and its status.

    Raises ConfigError when it is damaged, and unless `trust` when it names code outside nnrun.
    """
    path = folder / "sweep.yaml"
    try:
        content = reading.read_yaml(path, LARGEST)
        space = {key: dimension(found) for key, found in content["space"].items()}
        sweep = {key: content[key] for key in (*OF_SWEEPS, "strategy")}
        bases, lacking = {}, {}
        for base in content["bases"]:
            choice = tuple(base["choice"])
            bases[choice] = Composed(base["config"], base["choices"], sweep)
            lacking[choice] = frozenset(base["lacking"])
        found = Plan(Space(space, tuple(content["choosers"]), lacking), bases)
        record = Record(
            found,
            content["typed"],
            content["command"],
            [GroupSettings(**group) for group in content["groups"]],
            # Sweeps of earlier versions have none.
            [str(note) for note in content.get("notes", [])],
        )
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is missing or damaged, so the sweep cannot go on. Start it again.") from None
    for base in bases.values():
        if not trust:
            reading.refuse_foreign_code(folder, base.plain | {"search": sweep["search"]})
    return record, content["status"]


def objective(record: Record) -> Objective:
    """The metric that the sweep compares, and its direction."""
    built = run_config.build(compose.resolved(record.plan.first.plain))
    task = built.task.create(built.dataset.create().spec())
    return Objective(built.objective.metric, check_objective(built.objective, task, built.model.cls.terms))


def _is_of_run(text: str, plain: dict[str, Any]) -> bool:
    # Without Hydra's signs for a key that is added or left out.
    key = text.lstrip("+~").partition("=")[0]
    group = key.partition(".")[0]
    is_of_sweep = group in OF_SWEEPS or group == "hydra" or group.startswith("hydra/")
    return not is_of_sweep and ("." not in key or plan.has(plain, key))
