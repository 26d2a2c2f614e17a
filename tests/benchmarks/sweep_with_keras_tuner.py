"""Keras Tuner's random search as its documentation shows it.

`python -m tests.benchmarks.sweep_with_keras_tuner CASE DATA FOLDER TRIALS` prints a JSON line; the backend is that of
the variable KERAS_BACKEND.
"""

import json
import sys
import time
from pathlib import Path

import keras
import keras_tuner
from keras import layers

from tests.benchmarks.cases import FILTERS
from tests.benchmarks.sweep_cases import DROPOUT, LEARNING_RATE, SWEEPS, WEIGHT_DECAY, Sweep, load


def main() -> None:
    """Runs the search and tells its seconds, without the process's start, and the best loss."""
    case, data, folder, trials = sys.argv[1:]
    sweep, started = SWEEPS[case], time.perf_counter()
    tuner = keras_tuner.RandomSearch(
        lambda space: build(sweep, space), "val_loss", int(trials), seed=0, directory=Path(folder).resolve()
    )
    parts = load(data)
    tuner.search(
        parts["train_x"],
        parts["train_y"],
        validation_data=(parts["val_x"], parts["val_y"]),
        epochs=sweep.epochs,
        batch_size=sweep.case.batch,
        verbose=0,
    )
    best = tuner.oracle.get_best_trials(1)[0].score
    print(json.dumps({"seconds": time.perf_counter() - started, "loss": best}))


def build(sweep: Sweep, space: keras_tuner.HyperParameters) -> keras.Model:
    """The case's network, compiled, with values drawn from the sweep's space."""
    drawn = sweep.space.items()
    values = {key: space.Float(key, r.low, r.high, sampling="log" if r.log else "linear") for key, r in drawn}
    model = keras.Sequential([layers.Input(sweep.case.inputs), *hidden(sweep, values.get(DROPOUT, 0.0))])
    model.add(layers.Dense(sweep.case.classes or 1))
    optimizer = keras.optimizers.AdamW(values[LEARNING_RATE], weight_decay=values.get(WEIGHT_DECAY, 0.0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if sweep.case.classes else "mse"
    model.compile(optimizer, loss, metrics=["accuracy" if sweep.case.classes else "mae"])
    return model


def hidden(sweep: Sweep, dropout: float) -> list[keras.Layer]:
    """All layers but the last."""
    if sweep.case.recurrent:
        return [layers.LSTM(sweep.case.hidden[0])]
    found: list[keras.Layer] = []
    if sweep.case.network == "cnn":
        for filters in FILTERS:
            convolution = layers.Conv2D(filters, 3, padding="same", activation="relu")
            found += [convolution, layers.MaxPooling2D(2), layers.Dropout(dropout)]
        found.append(layers.Flatten())
    for units in sweep.case.hidden:
        found += [layers.Dense(units, activation="relu"), layers.Dropout(dropout)]
    return found


if __name__ == "__main__":
    main()
