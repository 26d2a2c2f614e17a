"""Turns a finished sweep into a recorded surface that search strategies are compared on.

    python -m tests.benchmarks.record_surface SWEEP NAME [KEY:KIND ...]

writes `surfaces/NAME.csv` from the sweep's trials.csv: the swept keys with their kinds (linear, log, int, logint or
choice; as in `search_objectives.recorded`) and the objective of every trial, failed ones as nan. The sweeps of the
surfaces here:

    nnrun -m search=random search.sequence=sobol search.trials=384 dataset=digits model=mlp 'model.hidden_sizes=[64,64]'
      optimizer=adamw training.epochs=15 'optimizer.learning_rate=tag(log,interval(1e-5,1))'
      'optimizer.weight_decay=tag(log,interval(1e-5,1))' 'model.dropout=interval(0,0.8)'
    nnrun -m search=random search.sequence=sobol search.trials=384 dataset=friedman1 model=mlp training.epochs=15
      optimizer=adam,momentum,rmsprop model.activation=relu,tanh 'optimizer.learning_rate=tag(log,interval(1e-5,1))'
      'training.gradient_clip=tag(log,interval(0.01,10))'
    nnrun -m search=random search.sequence=sobol search.trials=192 dataset=digits model=autoencoder training.epochs=10
      'optimizer.learning_rate=tag(log,interval(1e-5,1e-1))' 'optimizer.beta1=interval(0,0.99)'
      'model.input_noise=interval(0,1)' 'optimizer.weight_decay=tag(log,interval(1e-6,1e-2))'
"""

import argparse
import csv
from pathlib import Path

from tests.benchmarks.search_objectives import SURFACES


def main() -> None:
    """Reads trials.csv, writes the surface."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sweep", type=Path)
    parser.add_argument("name")
    parser.add_argument("kinds", nargs="+", metavar="KEY:KIND")
    arguments = parser.parse_args()
    with (arguments.sweep / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    keys = [kind.rsplit(":", 1)[0] for kind in arguments.kinds]
    SURFACES.mkdir(exist_ok=True)
    with (SURFACES / f"{arguments.name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*arguments.kinds, "value"])
        for trial in trials:
            values = [_short(trial[key]) for key in keys]
            writer.writerow([*values, _short(trial["objective"] or "nan")])


def _short(text: str) -> str:
    """Five digits are enough for a surface."""
    try:
        return f"{float(text):.5g}"
    except ValueError:
        return text


if __name__ == "__main__":
    main()
