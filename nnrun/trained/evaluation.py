"""How good a trained network is: on its own test part again, or on another labelled file."""

import dataclasses
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nnrun.config import run_config
from nnrun.datasets.base import Data, DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.reader import Block, UnseenNotes
from nnrun.errors import ConfigError, NnrunError
from nnrun.execution import judge
from nnrun.execution.devices import compiler_options
from nnrun.execution.judge import Evaluation
from nnrun.folders import preprocessing, strangers
from nnrun.folders.preprocessing import Preprocessing
from nnrun.folders.summary import by_metric
from nnrun.folders.training_rows import TrainedOn
from nnrun.models.base import Outputs
from nnrun.trained.prediction import Predictor, blocks, check_shape
from nnrun.trained.trained_run import TrainedRun, load
from nnrun.training import batches
from nnrun.training.fit import details, metrics

KEPT_BYTES = 2**30
"""Examples and predictions up to this size are kept for figures; metrics of more are computed as they come."""
STANDING = ("input_scaling", "target_scaling", "scalings", "error_threshold")
"""Fields of the run that stand, whatever the data set would be fitted with now."""


@dataclass(frozen=True)
class Evaluated:
    """What came out: `data` has the examples as its test part.

    outputs: None where there were too many examples to keep; then `data` has none either.
    remarks: sentences for the user.
    """

    run: TrainedRun
    examples: int
    metrics: dict[str, float]
    data: Data
    outputs: Outputs | None
    labels: dict[str, np.ndarray]
    baseline: dict[str, dict[str, float]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Evaluator(Predictor):
    """A Predictor that also measures: metrics of parts of any size, by the program that judged the run in training."""

    def __init__(self, run: TrainedRun, shape: tuple[int, int] | None = None) -> None:
        super().__init__(run, shape)
        self._evaluate = jax.jit(run.program.evaluate, compiler_options=compiler_options())

    def evaluate(self, part: Part, first: int = 0) -> Evaluation:
        """Statistics of the part. Raises ConfigError when it lacks what the task compares with."""
        run = self.run
        check_shape(run, part)
        try:
            return judge.evaluation(
                lambda chunk: self._evaluate(run.traced, run.state, chunk),
                self.chunks(part, first),
                batches.count(part),
            )
        except KeyError as error:
            raise ConfigError(_lacking(run.preprocessing, str(error.args[0]))) from None

    def metrics(self, found: Evaluation, data: Data) -> dict[str, float]:
        """`test/loss` and what the task reports, of single targets, classes and steps ahead too."""
        task = self.run.task
        return metrics(found, task, data, "test") | details(found, task, data, "test")


def own_test_part(folder: Path, plain: dict[str, Any]) -> Evaluated:
    """Loads the recorded data set again and evaluates its test part, with baselines.

    The scaling is the run's. Raises what the data set raises, and ConfigError when it now has another shape.
    """
    built, fitted = run_config.build(plain), preprocessing.read(folder, own="dataset" in strangers.foreign(plain))
    try:
        loaded = built.dataset.create().load()
    except NnrunError as error:
        raise type(error)(f"{error} Or name a labelled file: nnrun evaluate {shlex.quote(str(folder))} FILE") from None
    if loaded.spec != fitted.spec:
        each = [(one.name, getattr(loaded.spec, one.name), getattr(fitted.spec, one.name)) for one in fields(DataSpec)]
        changed = ", ".join(f"{name} {now} instead of {then}" for name, now, then in each if now != then)
        raise ConfigError(
            f"The data set of {folder} is no longer what it was trained on: {changed}. "
            f"Name a labelled file: nnrun evaluate {shlex.quote(str(folder))} FILE"
        )
    run, data = load(folder, plain, loaded), dataclasses.replace(loaded, **{n: getattr(fitted, n) for n in STANDING})
    evaluator = Evaluator(run, batches.chunk_shape(data))
    measured, count = evaluator.metrics(evaluator.evaluate(data.test), data), batches.count(data.test)
    data = data.excerpt()
    # From number 0, so that a denoiser corrupts each example as it did in training's own test.
    outputs = evaluator.outputs(data.test, 0)
    baseline = by_metric(run.task.compared(outputs, data, run.config.report.slow_baselines))
    changed = (
        f"Warning: the data of {folder} have changed since it was trained, so the test part may hold examples that it "
        "was trained on."
    )
    remarks = () if _equal(Preprocessing.of(loaded), fitted) else (changed,)
    return Evaluated(run, count, measured, data, outputs, data.labels, baseline, remarks)


def labelled_file(folder: Path, plain: dict[str, Any], source: Path) -> Evaluated:
    """Evaluates the examples of a file. Raises ConfigError when it has no targets or nothing at all."""
    run = load(folder, plain)
    kept, unseen, trained_on = _Kept(), UnseenNotes(), TrainedOn(folder, run.preprocessing.spec)
    evaluator, total = Evaluator(run), None
    for block in unseen.over(blocks(run, source)):
        if total is not None and "targets" not in block.part and "targets" in kept.blocks[0].part:
            continue  # The newest windows of a series: what they forecast has not happened yet.
        found = evaluator.evaluate(block.part, kept.examples)
        total = found if total is None else _add(total, found)
        trained_on.add(block)
        kept.add(block, evaluator.outputs(block.part, kept.examples))
    if total is None:
        raise ConfigError(f"{source} has no example to evaluate. Give at least one.")
    data = run.preprocessing.data(_joined([block.part for block in kept.blocks]))
    labels = _joined([block.labels for block in kept.blocks])
    outputs = jax.tree.map(lambda *found: np.concatenate(found), *kept.outputs) if kept.outputs else None
    few = () if kept.outputs else ("There are too many examples to keep, so there are no figures of them.",)
    told = *(f"Note: {sentence}" for sentence in unseen.sentences()), *trained_on.sentences(source)
    measured = evaluator.metrics(total, data)
    return Evaluated(run, kept.examples, measured, data, outputs, labels, {}, (*few, *told))


class _Kept:
    """Examples and predictions as long as they fit."""

    def __init__(self) -> None:
        self.examples, self._bytes = 0, 0
        self.blocks: list[Block] = []
        self.outputs: list[Outputs] = []

    def add(self, block: Block, outputs: Outputs) -> None:
        self.examples += batches.count(block.part)
        self._bytes += sum(array.nbytes for array in jax.tree.leaves((block.part, outputs)))
        if self._bytes > KEPT_BYTES:
            nothing = {name: values[:0] for name, values in block.part.items()}
            self.blocks, self.outputs = [Block(nothing, {})], []
        else:
            self.blocks.append(block)
            self.outputs.append(outputs)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _add(total: Evaluation, found: Evaluation) -> Evaluation:
    sums = {name: total.sums[name] + values for name, values in found.sums.items()}
    rows = {name: np.concatenate([total.rows[name], values]) for name, values in found.rows.items()}
    return Evaluation(sums, rows)


def _lacking(fitted: Preprocessing, name: str) -> str:
    if name == "anomaly":
        mark = getattr(fitted.reader, "anomaly", None)
        column = f" ({mark.name})" if mark else ""
        return (
            f"To be evaluated every example needs its mark, normal or anomalous{column}, which the file does not have "
            "for all. Add it, or use nnrun predict, which needs none."
        )
    if name != "targets":
        return f"To be evaluated every example needs its {name}, which the file does not have. Add it."
    columns = f" ({', '.join(fitted.target_names)})" if fitted.target_names else ""
    return (
        f"To be evaluated every example needs its target{columns}, which the file does not have for all. "
        "Add it, or use nnrun predict, which needs none."
    )


def _equal(first: Preprocessing, second: Preprocessing) -> bool:
    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-6))

    scalings = [(first.input_scaling, second.input_scaling), (first.target_scaling, second.target_scaling)]
    scalings += [(first.scalings[name], second.scalings[name]) for name in first.scalings]
    return first.class_names == second.class_names and all(
        a is b is None or (a is not None and b is not None and same(a.offset, b.offset) and same(a.scale, b.scale))
        for a, b in scalings
    )
