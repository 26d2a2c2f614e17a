"""PyTorch at its best: tensors in memory, no loader, the faster of its Adams and memory layouts."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.benchmarks.cases import FILTERS, LEARNING_RATE, Case, arrays


class Recurrent(nn.Module):
    """nn.LSTM or nn.GRU, and a linear layer on the last state."""

    def __init__(self, kind: type[nn.RNNBase], inputs: int, hidden: int) -> None:
        super().__init__()
        self.layer = kind(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def network(case: Case) -> nn.Module:
    """The case's network."""
    if case.recurrent:
        return Recurrent(nn.LSTM if case.network == "lstm" else nn.GRU, case.inputs[-1], case.hidden[0])
    layers: list[nn.Module] = []
    features = case.inputs[0]
    if case.network == "cnn":
        for inputs, outputs in zip((case.inputs[-1], *FILTERS), FILTERS, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers.append(nn.Flatten())
        features = FILTERS[-1] * (case.inputs[0] // 4) * (case.inputs[1] // 4)
    for units in case.hidden:
        layers += [nn.Linear(features, units), nn.ReLU()]
        features = units
    return nn.Sequential(*layers, nn.Linear(features, case.classes or 1))


def build(case: Case, threads: int) -> Callable[[], float]:
    """An epoch of training as a function that returns its mean loss, in the form that was fastest here."""
    torch.set_num_threads(threads)
    layouts = ("contiguous", "channels_last") if case.network == "cnn" else ("contiguous",)
    forms = [_epoch(case, adam, layout) for adam in ("fused", "foreach") for layout in layouts]
    return min(forms, key=_seconds)


def _seconds(epoch: Callable[[], float]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _epoch(case: Case, adam: str, layout: str) -> Callable[[], float]:
    torch.manual_seed(0)
    x, y = map(torch.from_numpy, arrays(case))
    model, loss_function = network(case), nn.functional.cross_entropy if case.classes else nn.functional.mse_loss
    y = y.long() if case.classes else y
    if case.network == "cnn":
        x = x.permute(0, 3, 1, 2)  # (examples, channels, height, width)
        form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        x, model = x.contiguous(memory_format=form), model.to(memory_format=form)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, **{adam: True})

    def epoch() -> float:
        total = torch.zeros(())
        for index in torch.randperm(len(x)).split(case.batch):
            loss = loss_function(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total) * case.batch / len(x)

    return epoch
