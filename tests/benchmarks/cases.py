"""What is timed: the networks, their made-up data, and the ratios to reach on 2 cores."""

from dataclasses import dataclass

import numpy as np

JAX_GOAL = 1.05
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Case:
    """A network and its data; `goal` is the largest ratio of seconds per epoch, nnrun over PyTorch.

    inputs: shape of one example. classes: None where the target is one value.
    hidden: units of the recurrent layer, or of each hidden layer.
    """

    title: str
    network: str
    inputs: tuple[int, ...]
    classes: int | None
    hidden: tuple[int, ...]
    examples: int
    batch: int
    goal: float

    @property
    def overrides(self) -> list[str]:
        """The command line that trains this network with nnrun."""
        sizes = {"mlp": f"model.hidden_sizes={list(self.hidden)}", "cnn": f"model.dense_sizes={list(self.hidden)}"}
        size = sizes.get(self.network, f"model.hidden_size={self.hidden[0]}")
        dataset = "sine" if self.recurrent else "digits"
        return [f"model={self.network}", f"dataset={dataset}", size, f"training.batch_size={self.batch}"]

    @property
    def recurrent(self) -> bool:
        """Whether the network is an LSTM or a GRU."""
        return self.network in ("lstm", "gru")


CASES = {
    "mlp": Case("MLP 64-64, batch 64", "mlp", (64,), 10, (64, 64), 16384, 64, 0.2),
    "lstm64": Case("LSTM 64, length 64, batch 32", "lstm", (64, 1), None, (64,), 2048, 32, 0.8),
    "lstm128": Case("LSTM 128, length 64, batch 32", "lstm", (64, 1), None, (128,), 2048, 32, 1.0),
    "lstm256": Case("LSTM 256, length 64, batch 32", "lstm", (64, 1), None, (256,), 2048, 32, 1.15),
    "gru64": Case("GRU 64, length 64, batch 32", "gru", (64, 1), None, (64,), 2048, 32, 1.0),
    "cnn": Case("CNN 32-64 filters 3x3, dense 128, 28x28, batch 64", "cnn", (28, 28, 1), 10, (128,), 2048, 64, 0.9),
}
FILTERS = (32, 64)


def arrays(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (examples, *inputs) float32 of mean 0 and variance 1, targets (examples,) int32 or (examples, 1) float32.

    Classes are noisy copies of one pattern each; sequences are sines with their next value.
    """
    rng = np.random.default_rng(0)
    if case.classes is None:
        start, speed = rng.uniform(0, 2 * np.pi, (case.examples, 1)), rng.uniform(0.05, 0.3, (case.examples, 1))
        waves = np.float32(np.sqrt(2) * np.sin(start + speed * np.arange(case.inputs[0] + 1)))
        return waves[:, :-1, None], waves[:, -1:]
    labels = rng.integers(0, case.classes, case.examples, np.int32)
    patterns = rng.standard_normal((case.classes, *case.inputs), np.float32)
    noise = rng.standard_normal((case.examples, *case.inputs), np.float32)
    return np.float32(0.2) * patterns[labels] + np.float32(0.98) * noise, labels
