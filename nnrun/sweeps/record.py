"""What a sweep was asked for, as sweep.yaml keeps it: enough to go on with in another process."""

import contextlib
import dataclasses
import itertools
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import msgspec

from nnrun import schema
from nnrun.compose import compose, grammar
from nnrun.compose.compose import OF_SWEEPS, Composed
from nnrun.config import choices, run_config
from nnrun.config.run_config import LATER
from nnrun.errors import ConfigError
from nnrun.execution.settings import ExecutionConfig, GroupSettings
from nnrun.folders import reading, strangers
from nnrun.folders.ledger import Ledger
from nnrun.search.base import Strategy
from nnrun.search.space import Dimension, Params, Space, Steps, dimension, written
from nnrun.sweeps import plan
from nnrun.sweeps.plan import Plan
from nnrun.training.objective import Objective, check_objective

LARGEST = 2**24
"""Bytes of sweep.yaml that are read; no sweep writes as many."""
MOST_STEPS = 2**20
"""Values of a range that is read: they are listed."""


class WrittenBase(TypedDict):
    """A combination of the config groups that are swept, and its config."""

    choice: list[str]
    lacking: list[str]
    choices: dict[str, str]
    config: dict[str, Any]


class EarlierTrial(TypedDict):
    """A trial of the sweep that `search.from` names, kept so that nothing depends on that sweep's folder."""

    params: dict[str, Any]
    objective: float


class Written(TypedDict):
    """The content of sweep.yaml."""

    status: str
    command: str
    typed: list[str]
    search: dict[str, Any]
    execution: dict[str, Any]
    dry_run: bool
    strategy: str
    space: dict[str, dict[str, Any]]
    choosers: list[str]
    bases: list[WrittenBase]
    groups: list[GroupSettings]
    notes: NotRequired[list[str]]
    """Sweeps of earlier versions have none."""
    earlier: NotRequired[list[EarlierTrial]]


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
    earlier: list[EarlierTrial] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What was asked for: `random search`, or of one setting `5 folds`, `3 repeats`, `5 folds, 3 repeats`."""
        if self.plan.space.dimensions:
            return f"{self.plan.first.sweep['strategy']} search"
        training = self.plan.first.plain["training"]
        return ", ".join(f"{training[key]} {key}" for key in ("folds", "repeats") if training.get(key, 1) > 1)

    @property
    def title(self) -> str:
        """The sweep in words: `random search: mlp on digits`."""
        model, dataset = (
            ", ".join(dict.fromkeys(base.choices[group] for base in self.plan.bases.values()))
            for group in ("model", "dataset")
        )
        return f"{self.kind}: {model} on {dataset}"

    def strategy(self) -> Strategy:
        """The strategy of the plan, which knows the trials of an earlier sweep."""
        found = self.plan.strategy()
        if self.earlier:
            compared = objective(self)
            costs = [compared.cost({compared.metric: trial["objective"]}) for trial in self.earlier]
            found.know([(trial["params"], cost) for trial, cost in zip(self.earlier, costs, strict=True)])
        return found

    def halve(self, number: int) -> int:
        """Makes two groups of one; the number of the second."""
        group, kept = self.groups[number], self.groups[number].chunk // 2
        self.groups[number] = dataclasses.replace(group, chunk=kept)
        self.groups.append(dataclasses.replace(group, number=len(self.groups), chunk=group.chunk - kept))
        return len(self.groups) - 1

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
        } | ({"earlier": self.earlier} if self.earlier else {})


def start(overrides: list[str], command: str) -> Record:
    """The record of a command. Raises ConfigError for a wrong name."""
    typed, _ = grammar.parse(overrides)
    return Record(plan.of(overrides), typed, command)


def read(folder: Path, trust: bool = False) -> tuple[Record, str]:
    """The record of a sweep's folder and its status; see `strangers` for what is refused, less of it with `trust`.

    Raises ConfigError also when it is damaged.
    """
    path = folder / "sweep.yaml"
    try:
        content = msgspec.convert(reading.read_yaml(path, LARGEST), Written)
        space = {key: dimension(found) for key, found in content["space"].items()}
        sweep = {key: content[key] for key in (*OF_SWEEPS, "strategy")}  # type: ignore[literal-required]
        bases = {tuple(one["choice"]): Composed(one["config"], one["choices"], sweep) for one in content["bases"]}
        lacking = {tuple(one["choice"]): frozenset(one["lacking"]) for one in content["bases"]}
        _check_whole(space, content["choosers"], bases)
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{path} is missing or damaged, so the sweep cannot go on. What was measured is in "
            "trials.csv and the folders of the trials. Start it again in another folder."
        ) from None
    _check(folder, path, content, trust)
    found = Plan(Space(space, tuple(content["choosers"]), lacking), bases)
    notes, earlier = content.get("notes", []), content.get("earlier", [])
    return Record(found, content["typed"], content["command"], content["groups"], notes, earlier), content["status"]


def _check_whole(space: dict[str, Dimension], choosers: list[str], bases: dict[tuple[str, ...], Composed]) -> None:
    """Raises ValueError for parts that do not belong together."""
    of_choosers = [space[name].values for name in choosers]  # type: ignore[union-attr]
    if set(itertools.product(*of_choosers)) != bases.keys():
        raise ValueError("a combination has no config")
    for found in space.values():
        if isinstance(found, Steps) and found.count > MOST_STEPS:
            raise ValueError("a range has too many values")


def _check(folder: Path, path: Path, content: Written, trust: bool) -> None:
    """Raises ConfigError for what no sweep writes in its words and configs, as they stand and as they are built."""
    space, of_sweep = content["space"], {"search": content["search"], "execution": content["execution"]}
    configs = [base["config"] for base in content["bases"]]
    for config in configs:
        if unknown := [key for key in config if key not in {*choices.groups(), *reading.RUNS_KEYS, *LATER}]:
            raise ConfigError(f"{path} has a key that no sweep writes: {unknown[0][:80]}. Its folder is not run.")
    strangers.check_space(path, space, content["choosers"])
    strangers.check_trials(path, [trial["params"] for trial in content.get("earlier", [])], space, trust)
    strangers.check(
        folder, path, [*configs, {"space": space, "notes": content.get("notes", [])}, of_sweep], trust, references=True
    )
    if not trust:
        with compose.explaining([]):
            for config in configs:
                strangers.refuse_foreign_code(folder, compose.resolved(config))
        strangers.check_words(path, content["typed"], of_hydra=True)


def check_trials(record: Record, folder: Path, trust: bool) -> None:
    """Raises ConfigError for trials in the ledger, where there is one, that are none of the sweep's."""
    if (folder / "sweep.db").exists():
        with contextlib.closing(Ledger(folder, writes=False)) as ledger:
            trials = [trial.params for trial in ledger.trials()]
        strangers.check_trials(folder / "sweep.db", trials, record.plan.space, trust)


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
