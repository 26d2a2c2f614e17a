"""Made-up sweeps over a space of every kind of hyperparameter."""

import math

import numpy as np

from nnrun.report.sweep.subject import Subject
from nnrun.search.space import Categorical, Interval, Space, Steps
from nnrun.search.trial import Trial

SPACE = Space(
    {
        "model": Categorical(("rnn", "lstm")),
        "optimizer.learning_rate": Interval(1e-4, 1e-1, log=True),
        "model.gates": Interval(1, 8, integer=True),
        "model.hidden_sizes": Categorical(((64,), (64, 32), None)),
        "model.bias": Categorical((True, False)),
        "training.batch_size": Steps(16, 16, 4),
    },
    choosers=("model",),
    lacking={("rnn",): frozenset({"model.gates"})},
)


def drawn(index, rng):
    """A point of SPACE as it comes back from the ledger: with lists for tuples."""
    point = {
        "model": ("rnn", "lstm")[index % 2],
        "optimizer.learning_rate": float(10 ** rng.uniform(-4, -1)),
        "model.gates": int(rng.integers(1, 9)),
        "model.hidden_sizes": ([64], [64, 32], None)[index % 3],
        "model.bias": bool(rng.integers(2)),
        "training.batch_size": int(16 * rng.integers(1, 5)),
    }
    return SPACE.active(point)


def trials_of(count, failing=()):
    rng = np.random.default_rng(0)
    for number in range(count):
        params = drawn(number, rng)
        if number in failing:
            yield Trial(number, "failed", params, error=f"the loss became NaN in epoch {number}")
        else:
            valley = (math.log10(params["optimizer.learning_rate"]) + 2.5) ** 2
            yield Trial(number, "completed", params, valley + 0.1, {"val/loss": valley + 0.1, "val/rmse": 1.0}, 0, 0.5)


def record(trials, **changes):
    trials = list(trials)
    curves = {t.number: [1.0, 0.5, t.objective or math.nan] for t in trials}
    known = {"title": "random search · net on set", "command": "nnrun -m search=random model=rnn,lstm"}
    known |= {
        "metric": "val/loss",
        "direction": "minimize",
        "space": SPACE.dimensions,
        "trials": trials,
        "curves": curves,
    }
    return Subject(**known | {"best_command": "nnrun model=lstm"} | changes)
