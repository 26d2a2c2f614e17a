"""The sweeps that are timed: networks, spaces and budgets, and the ratios to reach on 2 cores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.cases import Case

LEARNING_RATE, WEIGHT_DECAY, DROPOUT = "optimizer.learning_rate", "optimizer.weight_decay", "model.dropout"
QUICK_SHARE, QUICK_PROBES = 16, 2


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `log`: equal ratios weigh equal."""

    low: float
    high: float
    log: bool = False

    @property
    def text(self) -> str:
        """In the syntax of nnrun's command line."""
        interval = f"interval({self.low},{self.high})"
        return f"tag(log,{interval})" if self.log else interval


@dataclass(frozen=True)
class Sweep:
    """A random search; `case` is the network, its data's shapes, and the largest ratio of seconds, nnrun over Optuna.

    trials: of the search. probes: trials that each setting of Optuna gets before the best is chosen, and those of Keras
    Tuner. most_seconds: that nnrun may take.
    """

    case: Case
    dataset: tuple[str, ...]
    space: dict[str, Range]
    trials: int
    epochs: int
    probes: int
    most_seconds: float | None = None

    def fixed(self, data: Path | None) -> list[str]:
        """What all trials share, for nnrun's command line; `data` is the folder with the files of fashion-MNIST."""
        network = [word for word in self.case.overrides if not word.startswith("dataset=")]
        optimizer = "optimizer=adamw" if WEIGHT_DECAY in self.space else "optimizer=adam"
        root = [f"dataset.root={data.resolve()}"] if data and self.case.network == "cnn" else []
        return [*network, *self.dataset, *root, optimizer, f"training.epochs={self.epochs}"]

    def command(self, data: Path | None) -> list[str]:
        """The whole command line, but for the folder."""
        space = [f"{key}={values.text}" for key, values in self.space.items()]
        return ["-m", "search=random", f"search.trials={self.trials}", *self.fixed(data), *space]

    def quick(self) -> "Sweep":
        """The same with a few trials only."""
        return replace(self, trials=max(QUICK_PROBES, self.trials // QUICK_SHARE), probes=QUICK_PROBES)


RATES = {LEARNING_RATE: Range(1e-4, 1e-1, log=True), WEIGHT_DECAY: Range(1e-6, 1e-2, log=True)}
SWEEPS = {
    "mlp": Sweep(
        Case("MLP 64-64, digits", "mlp", (64,), 10, (64, 64), 1257, 32, 0.1),
        ("dataset=digits",),
        {**RATES, DROPOUT: Range(0.0, 0.5)},
        trials=256,
        epochs=20,
        probes=16,
        most_seconds=30,
    ),
    "lstm": Sweep(
        Case("LSTM 64, sine of length 64", "lstm", (64, 1), None, (64,), 2036, 32, 0.7),
        ("dataset=sine",),
        RATES,
        trials=32,
        epochs=5,
        probes=4,
    ),
    "cnn": Sweep(
        Case("CNN 32-64 filters 3x3, dense 128, 4,096 of fashion-MNIST", "cnn", (28, 28, 1), 10, (128,), 3159, 32, 1.0),
        ("dataset=fashion_mnist", "dataset.limit=4096"),
        {LEARNING_RATE: Range(1e-4, 1e-2, log=True), DROPOUT: Range(0.0, 0.5)},
        trials=16,
        epochs=2,
        probes=4,
    ),
}
MANY = {"bookkeeping": 1000, "4096": 4096}
"""Trials of one epoch each, where what is not training counts."""


def many(trials: int) -> Sweep:
    """The first sweep with one epoch and as many trials as asked for."""
    return replace(SWEEPS["mlp"], trials=trials, epochs=1)


def export(sweep: Sweep, data: Path | None, file: Path) -> None:
    """Writes nnrun's own training and validation parts, scaled, in the case's shapes: what the peers train on."""
    from nnrun.compose import compose
    from nnrun.config import run_config

    compose.prepare_imports()
    chosen = run_config.build(compose.compose_all(sweep.fixed(data), multirun=False)[0].plain).dataset
    loaded = chosen.create().load()
    arrays: dict[str, Any] = {}
    for name, part in (("train", loaded.train), ("val", loaded.val)):
        inputs, targets = loaded.input_scaling.apply(part["inputs"]), part["targets"]
        arrays[f"{name}_x"] = np.float32(inputs).reshape(-1, *sweep.case.inputs)
        scaling = loaded.target_scaling
        arrays[f"{name}_y"] = np.float32(scaling.apply(targets)).reshape(-1, 1) if scaling else np.int64(targets)
    if (found := len(arrays["train_x"])) != sweep.case.examples:
        raise SystemExit(f"{sweep.case.title} has {sweep.case.examples} examples to train on, but got {found}")
    np.savez(file, **arrays)


def load(file: str) -> dict[str, np.ndarray]:
    """train_x, train_y, val_x, val_y."""
    with np.load(file) as arrays:
        return dict(arrays)
