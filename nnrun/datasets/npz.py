"""Arrays from an `.npz` file."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from nnrun.datasets.arrays import plan as npz_plan
from nnrun.datasets.arrays.plan import Members, Plan
from nnrun.datasets.base import Data, DatasetConfig, DataSpec
from nnrun.datasets.part import Part, take
from nnrun.datasets.parts import anomalies, classes
from nnrun.datasets.parts.given_parts import Parts, divide
from nnrun.datasets.parts.scaling import fit, fit_inputs
from nnrun.datasets.parts.split import Divided, streams
from nnrun.datasets.tables import single_precision
from nnrun.datasets.tables.file import stamp_of
from nnrun.errors import ConfigError, RunError
from nnrun.schema import setting


@dataclass(frozen=True)
class NpzConfig(DatasetConfig):
    """Keys of dataset=npz."""

    path: str | None = setting(
        None, "an .npz with inputs, targets and optionally lengths, val_inputs, test_inputs, ..."
    )
    kind: Literal["auto", "table", "series", "image"] = setting(
        "auto", "auto: by the axes of inputs; bytes (n, height, width) are grey images"
    )
    targets: Literal["auto", "classes", "numbers"] = setting(
        "auto", "auto: whole numbers and texts are classes", changes="question"
    )
    anomaly: Literal["anomaly"] | None = setting(
        "anomaly",
        "an array of 0 for normal and 1 for anomalous examples, where the file has it; the latter are for the test "
        "alone, and are left out where that has arrays of its own; null: is not read",
        changes="examples",
    )


class Npz(Divided):
    """Arrays `inputs` (n, ...) and `targets` (n, ...), of one file, in memory; a table, series or images by their axes.

    Whole numbers and texts as targets are classes, of an example or of every step of a series; other numbers are
    values to predict; without targets there is only reconstruction. `lengths` (n,) are the valid steps of series.
    `anomaly` (n,) marks examples that do not belong: they are tested, never trained on, and the task is reconstruction.
    `val_...` and `test_...` are parts of their own, otherwise cut from the rest. Nothing is unpickled.
    """

    config: NpzConfig

    @classmethod
    def for_task(cls, config: NpzConfig, tasks: Collection[str]) -> NpzConfig:
        """With a task of regression whole numbers as targets are numbers."""
        is_open = config.targets == "auto" and "Regression" in tasks
        return replace(config, targets="numbers") if is_open else config

    def task(self) -> str:
        """classification, regression or reconstruction, as the targets are."""
        return "classification" if self.config.path is None else self.spec().task

    def spec(self) -> DataSpec:
        """Reads the headers of all arrays, and the training targets. Raises ConfigError."""
        return self._plan().spec

    def load(self) -> Data:
        """Reads all arrays. Raises RunError where values are missing or infinite, or labels are unknown."""
        plan = self._plan()
        notes: list[str] = []
        given = [_read_part(self._path(), plan, members, notes) for members in plan.members]
        # Of a part without marks every example is normal.
        odd = [part.pop("anomaly", np.zeros(len(part.get("inputs", ())), np.int32)) for part in given]
        together = {name: np.concatenate([part[name] for part in given if part]) for name in given[0]}
        counts = [len(part["inputs"]) if part else 0 for part in given]
        labels = together["targets"] if plan.classes is not None and not plan.spec.per_step else None
        if plan.spec.anomalies:
            together["anomaly"] = np.concatenate(odd)
            parts = self._tested(together["anomaly"] > 0, counts, labels, notes)
        else:
            parts = divide(counts, labels, self.config)
        train, val, test = (take(together, index) for index in parts)
        numbers = "targets" in train and plan.classes is None
        return Data(
            plan.spec,
            train,
            val,
            test,
            fit_inputs(train, self.config.scaling),
            fit(train["targets"], self.config.scaling) if numbers else None,
            tuple(f"input_{i + 1}" for i in range(plan.spec.inputs[-1])),
            _target_names(plan),
            () if plan.classes is None else tuple(map(str, plan.classes)),
            # Indices go on through the parts; rows count in the array that holds the test examples.
            labels={"row": parts.test - (sum(counts[:2]) if counts[2] else 0)},
            notes=tuple(notes),
        )

    def _plan(self) -> Plan:
        path = self._path()
        try:
            marks = self.config.anomaly is not None
            return npz_plan.plan(path, self.config.kind, self.config.targets, marks, stamp_of(path))
        except RunError as error:
            raise ConfigError(str(error)) from None

    def _tested(self, odd: np.ndarray, counts: list[int], labels: np.ndarray | None, notes: list[str]) -> Parts:
        """The parts (indices) of the normal examples, and in the test the `odd` (n,) ones, which a note counts.

        Raises ConfigError for a given part without a normal example.
        """
        c, bounds = self.config, np.cumsum([0, *counts])
        normal = [start + np.flatnonzero(~odd[start:end]) for start, end in pairwise(bounds)]
        for index, count, part in zip(normal, counts, npz_plan.PARTS, strict=True):
            if count and not len(index):
                raise ConfigError(
                    f"{self._path()} marks every example of the {part} part as anomalous, but needs normal ones there, "
                    "0 in the array anomaly. Add some."
                )
        start, end = bounds[2:] if counts[2] else bounds[:2]
        candidates = start + np.flatnonzero(odd[start:end])
        every = np.concatenate(normal)
        limit, kept = anomalies.within(c.limit, len(every), len(candidates))
        found = divide([*map(len, normal)], None if labels is None else labels[every], replace(c, limit=limit))
        found = Parts(*(every[index] for index in found))
        tested = streams(c.seed)[0].permutation(candidates)[:kept]
        reasons = {
            "the test part has arrays of its own": counts[2] > 0,
            "validation has arrays of its own": counts[1] > 0,
            "dataset.limit keeps a part of the examples": c.limit is not None,
        }
        count = int(odd.sum())
        marked = f"The array anomaly marks {count or 'none'} of {len(odd)} examples as anomalous"
        notes.append(anomalies.sentence(marked, count, len(tested), len(found.test), reasons))
        return found._replace(test=np.sort(np.concatenate([found.test, tested])))

    def _path(self) -> Path:
        if self.config.path is None:
            raise ConfigError("dataset=npz needs dataset.path, an .npz file. Set for example dataset.path=arrays.npz.")
        path = Path(self.config.path).expanduser()
        if not path.is_file():
            raise ConfigError(f"dataset.path must be an .npz file, but there is none at {path}. Correct the path.")
        return path


def _read_part(path: Path, plan: Plan, members: Members, notes: list[str]) -> Part:
    """The arrays of a part as `Data` has them; a note where single precision cannot hold them."""
    part, spec = {}, plan.spec
    for name, member in members.items():
        values = npz_plan.read(path, member)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise RunError(f"{path}: {member} has a missing or infinite value in row {row} (from 0). Fill it in.")
        numbers = name == "inputs" or (name == "targets" and plan.classes is None)
        if numbers and not np.can_cast(values.dtype, np.float32):
            columns = values if values.ndim > 1 else values[:, None]
            named = [f"{i + 1} of {member}" for i in range(columns.shape[-1])]
            notes += single_precision.remarks(columns, named, path).values()
        if name == "inputs":
            keep = spec.kind == "image" and values.dtype == np.uint8
            part[name] = values.reshape(-1, *spec.inputs).astype(np.uint8 if keep else np.float32, copy=False)
        elif name == "targets":
            part[name] = _targets(path, plan, member, values)
        elif name == "anomaly":
            part[name] = anomalies.marks(values.reshape(-1), f"{path}, {member}")
        else:
            part[name] = _lengths(path, member, values, spec.inputs[0])
    return part


def _targets(path: Path, plan: Plan, member: str, values: np.ndarray) -> np.ndarray:
    spec = plan.spec
    values = values.reshape(-1, *(spec.inputs[:1] if spec.per_step else ()), *(spec.targets or ()))
    if plan.classes is None:
        return values.astype(np.float32)
    labels = np.searchsorted(plan.classes, values).clip(0, len(plan.classes) - 1)
    if (strange := plan.classes[labels] != values).any():
        found, counts = np.unique(values[strange].astype(str), return_counts=True)
        lost = dict(zip(found.tolist(), counts.tolist(), strict=True))
        raise classes.strange(f"{path}, {member}", lost, plan.classes.astype(str).tolist())
    return labels.astype(np.int32)


def _lengths(path: Path, member: str, values: np.ndarray, steps: int) -> np.ndarray:
    if values.ndim != 1 or values.min() < 1 or values.max() > steps or (values % 1).any():
        raise RunError(
            f"{path}: {member} must be the number of valid steps of each example, 1 to {steps}, but goes from "
            f"{values.min()} to {values.max()}."
        )
    return values.astype(np.int32)


def _target_names(plan: Plan) -> tuple[str, ...]:
    if plan.classes is not None:
        return ("class",)
    return tuple(f"target_{i + 1}" for i in range((plan.spec.targets or (0,))[-1]))
