"""Permutation importance: how much worse a network gets when one input no longer tells the examples apart."""

from collections.abc import Iterable

import numpy as np

from nnrun.datasets.part import Part
from nnrun.datasets.reader import Block
from nnrun.errors import ConfigError
from nnrun.report.permutation_importance import Importance
from nnrun.schema import nearest
from nnrun.tasks.reconstruction import Reconstruction
from nnrun.trained.evaluation import Evaluator
from nnrun.trained.trained_run import TrainedRun
from nnrun.training import batches

KEPT_BYTES = 2**27
"""Bytes of the inputs of the examples that are permuted; of a larger source a random choice."""

Place = dict[str, tuple[int, ...]]


def importance(run: TrainedRun, blocks: Iterable[Block], metric: str | None, repeats: int, seed: int) -> Importance:
    """Shuffles each input among the examples `repeats` times; an input of a series with its whole window.

    metric: by default the objective's, or the task's first where that is the loss.
    Source: Breiman, Random Forests (2001), section 10. Raises ConfigError for images and examples without targets.
    """
    places, chosen = _places(run), _metric(run, metric)
    rng, direction = np.random.default_rng(seed), run.task.direction(chosen)
    part = _sample(run, blocks, rng)
    evaluator, data = Evaluator(run), run.preprocessing.data(part)

    def measure() -> float:
        found = evaluator.metrics(evaluator.evaluate(part), data)[f"test/{chosen}"]
        return found if direction == "maximize" else -found

    base, drops = measure(), np.empty((len(places), repeats))
    for i, place in enumerate(places.values()):
        for repeat in range(repeats):
            order = rng.permutation(batches.count(part))
            # Indexing with a list copies, so that the values can be put back.
            kept = {name: part[name][..., list(at)] for name, at in place.items()}
            for name, at in place.items():
                part[name][..., list(at)] = kept[name][order]
            drops[i, repeat] = base - measure()
            for name, at in place.items():
                part[name][..., list(at)] = kept[name]
    value = base if direction == "maximize" else -base
    return Importance(tuple(places), drops, chosen, direction, value, batches.count(part))


def _places(run: TrainedRun) -> dict[str, Place]:
    """The place of each input in the arrays of a part. Raises ConfigError for what has no inputs with names."""
    fitted = run.preprocessing
    if fitted.spec.kind not in ("table", "series"):
        raise ConfigError(
            f"--importance is for tables and series, whose inputs have a meaning each, but {run.folder} was trained on "
            f"{fitted.spec.kind} data. Leave it out."
        )
    if isinstance(run.task, Reconstruction):
        raise ConfigError(
            f"--importance is for networks that predict something else than their inputs, unlike {run.folder}."
        )
    if origins := fitted.reader.origins():
        return origins
    count = fitted.spec.inputs[-1]
    names = fitted.input_names if len(fitted.input_names) == count else [f"input_{i}" for i in range(count)]
    return {name: {"inputs": (i,)} for i, name in enumerate(names)}


def _metric(run: TrainedRun, wanted: str | None) -> str:
    names = ("loss", *run.task.metric_names())
    if wanted is None:
        own = run.config.objective.metric.partition("/")[2]
        return own if own in names[1:] else names[1]
    if wanted.removeprefix("test/") not in names:
        raise ConfigError(f"--metric {wanted} is not a metric of this task. {nearest(wanted, names)}")
    return wanted.removeprefix("test/")


def _sample(run: TrainedRun, blocks: Iterable[Block], rng: np.random.Generator) -> Part:
    """The examples with targets, or a random choice of as many as fit: those with the smallest random numbers."""
    most = max(2, KEPT_BYTES // (4 * max(1, int(np.prod(run.preprocessing.spec.inputs)))))
    part: Part = {}
    drawn = np.empty(0)
    for block in blocks:
        if "targets" not in block.part and part:
            continue
        drawn = np.concatenate([drawn, rng.random(batches.count(block.part))])
        part = {n: np.concatenate([part[n], values]) if part else values for n, values in block.part.items()}
        if len(drawn) > most:
            keep = np.sort(np.argpartition(drawn, most)[:most])
            drawn, part = drawn[keep], {name: values[keep] for name, values in part.items()}
    if len(drawn) < 2:
        raise ConfigError("--importance shuffles inputs among examples: give a file with at least two.")
    # Copies, which are shuffled in place: the reader's own may be the caller's, or a mapped file.
    return {name: np.array(values) for name, values in part.items()}
