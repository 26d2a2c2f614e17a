"""Optuna driving PyTorch at its best: tensors in memory, fused Adam, a ledger that is appended to.

`python -m tests.benchmarks.sweep_with_optuna CASE DATA FOLDER TRIALS THREADS JOBS LAYOUT` prints a JSON line.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import torch
from optuna.storages.journal import JournalFileBackend
from torch import Tensor, nn

from tests.benchmarks.sweep_cases import DROPOUT, LEARNING_RATE, SWEEPS, WEIGHT_DECAY, Sweep, load
from tests.benchmarks.with_torch import network

Parts = dict[str, Tensor]
Row = dict[str, float]


def main() -> None:
    """Runs the study and tells its seconds, without the process's start, and the best loss."""
    case, data, folder, trials, threads, jobs, layout = sys.argv[1:]
    sweep, started = SWEEPS[case], time.perf_counter()
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    parts = {name: torch.from_numpy(array) for name, array in load(data).items()}
    if sweep.case.network == "cnn":
        images = {name: x.permute(0, 3, 1, 2).contiguous(memory_format=form) for name, x in parts.items() if x.ndim > 1}
        parts |= images  # (examples, channels, height, width)

    def objective(trial: optuna.Trial) -> float:
        torch.set_num_threads(int(threads))  # of this thread, which n_jobs=2 starts anew
        values = {key: trial.suggest_float(key, r.low, r.high, log=r.log) for key, r in sweep.space.items()}
        rows = list(train(sweep, build(sweep, values).to(memory_format=form), values, parts))
        trial.set_user_attr("epochs", rows)
        return min(row["val_loss"] for row in rows)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(Path(folder) / "journal.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=int(trials), n_jobs=int(jobs))
    print(json.dumps({"seconds": time.perf_counter() - started, "loss": study.best_value}))


def build(sweep: Sweep, values: dict[str, float]) -> nn.Module:
    """The case's network, with dropout where nnrun has it: before every layer with weights but the first."""
    plain = network(sweep.case)
    if DROPOUT not in values:
        return plain
    layers: list[nn.Module] = []
    for layer in plain.children():
        weighs = isinstance(layer, nn.Linear | nn.Conv2d)
        layers += [nn.Dropout(values[DROPOUT]), layer] if weighs and layers else [layer]
    return nn.Sequential(*layers)


def train(sweep: Sweep, model: nn.Module, values: dict[str, float], parts: Parts) -> Iterator[Row]:
    """Trains; every epoch tells its mean training loss, and loss and accuracy (or MAE) on the validation part."""
    loss_function = nn.functional.cross_entropy if sweep.case.classes else nn.functional.mse_loss
    decay = values.get(WEIGHT_DECAY, 0.0)
    optimizer = torch.optim.AdamW(model.parameters(), values[LEARNING_RATE], weight_decay=decay, fused=True)
    x, y = parts["train_x"], parts["train_y"]
    for _ in range(sweep.epochs):
        order, total = torch.randperm(len(x)), torch.zeros(())
        for inputs, targets in zip(x[order].split(sweep.case.batch), y[order].split(sweep.case.batch), strict=True):
            loss = loss_function(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(inputs)
        model.eval()
        with torch.inference_mode():
            outputs, targets = model(parts["val_x"]), parts["val_y"]
            val_loss = loss_function(outputs, targets)
            score = (outputs.argmax(1) == targets).float() if sweep.case.classes else (outputs - targets).abs()
        model.train()
        yield {"loss": float(total) / len(x), "val_loss": float(val_loss), "val_score": float(score.mean())}


if __name__ == "__main__":
    main()
