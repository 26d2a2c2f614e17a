import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.models.gru import GRU, GRUConfig
from nnrun.models.lstm import LSTM, LSTMConfig
from nnrun.models.mlp import MLP, MLPConfig
from nnrun.models.rnn import RNN, RNNConfig
from nnrun.schema import build
from nnrun.tasks.gradient_norms import OPEN, GradientNorms, open_gates

EXAMPLES, BATCH = 9, 6
NETWORKS = {"rnn": (RNN, RNNConfig), "lstm": (LSTM, LSTMConfig), "gru": (GRU, GRUConfig)}


def make(steps: int = 7, units: int = 4, compare: tuple[str, ...] = (), seeds: int = 2) -> tuple[GradientNorms, Data]:
    spec = DataSpec("series", (steps, 2), (1,), "regression")
    rng = np.random.default_rng(0)
    part = {"inputs": 3 * rng.normal(size=(EXAMPLES, steps, 2)) + 1, "targets": rng.normal(size=(EXAMPLES, 1)) * 2}
    data = Data(spec, part, part, part, Scaling(np.ones(2), np.full(2, 3.0)), Scaling(np.zeros(1), np.full(1, 2.0)))
    target = {"_target_": "nnrun.tasks.gradient_norms.GradientNorms", "compare": list(compare)}
    sizes = {"hidden_size": units, "seeds": seeds, "batch": BATCH}
    return GradientNorms(build("task", target | sizes), spec), data


def network(name: str, task: GradientNorms, seed: int, **values) -> RNN | LSTM | GRU:
    kind, config = NETWORKS[name]
    values = {"hidden_size": task.config.hidden_size} | values
    return kind(
        config(**values), task.data, task.output_spec(), rngs=nnx.Rngs(jax.random.split(jax.random.key(seed))[0])
    )


def scaled_batch(data: Data) -> dict[str, jax.Array]:
    inputs, targets = (data.test["inputs"] - 1) / 3, data.test["targets"] / 2
    return {"inputs": jnp.float32(inputs[:BATCH]), "targets": jnp.float32(targets[:BATCH])}


def lstm_loss(model: LSTM, x: np.ndarray, y: np.ndarray, at: int, delta: np.ndarray) -> float:
    """(ŷ - y)² of one sequence by plain loops, with `delta` added to the cell state that step `at` receives."""
    layer = model.layers[0][0]
    w, u, b = (np.float64(p[...]) for p in (layer.input, layer.recurrent, layer.bias))
    h = c = np.zeros(u.shape[0])
    for t, now in enumerate(x):
        c = c + delta if t == at else c
        i, f, o, g = np.split(now @ w + h @ u + b, 4)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    return float((h @ np.float64(model.head.kernel[...]) + np.float64(model.head.bias[...]) - y)[0] ** 2)


def test_cell_norms_equal_finite_differences_of_plain_loops():
    task, data = make()
    model = network("lstm", task, 3)
    table = task.tables(model, data)["gradient_norms"]
    assert list(table) == ["step", "lstm_trained", "lstm_cell_trained"]
    x, y = np.float64((data.test["inputs"] - 1) / 3)[:BATCH], data.test["targets"][:BATCH] / 2
    expected = np.zeros(7)
    for n, t in np.ndindex(BATCH, 7):
        shifts = 1e-5 * np.eye(4)
        slopes = [(lstm_loss(model, x[n], y[n], t, d) - lstm_loss(model, x[n], y[n], t, -d)) / 2e-5 for d in shifts]
        expected[t] += np.linalg.norm(slopes) / BATCH
    np.testing.assert_allclose(table["lstm_cell_trained"], expected, rtol=1e-4)


def test_untrained_norms_are_means_over_seeds_on_one_scaled_batch():
    task, data = make(compare=("rnn", "gru"), seeds=3)
    mlp = MLP(MLPConfig(hidden_sizes=()), task.data, task.output_spec(), rngs=nnx.Rngs(0))
    table = task.tables(mlp, data)["gradient_norms"]
    assert list(table) == ["step", "rnn_start", "gru_start", "rnn_open", "gru_open"]
    np.testing.assert_array_equal(table["step"], np.arange(1, 8))
    for name in ("rnn", "gru"):
        found = [network(name, task, seed).hidden_gradients(scaled_batch(data), task.loss) for seed in range(3)]
        np.testing.assert_allclose(table[f"{name}_start"], np.mean(found, 0), rtol=1e-5)


def test_gates_biased_to_remember_keep_the_gradient():
    task, data = make(steps=60, units=16, compare=("rnn", "lstm", "gru"))
    table = task.tables(network("gru", task, 1), data)["gradient_norms"]
    reach = {name: values[0] / values[-1] for name, values in table.items()}
    np.testing.assert_array_equal(table["rnn_open"], table["rnn_start"])
    for name in ("lstm_cell", "gru"):
        assert reach[f"{name}_open"] > 0.02 > 100 * reach[f"{name}_start"]
    assert reach["rnn_start"] < 1e-4
    assert reach["gru_trained"] < 1e-4


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_open_gates_set_the_biases_of_memory_alone(name):
    task, _ = make(units=50)
    model = network(name, task, 0)
    before = np.asarray(model.layers[0][0].bias[...]).reshape(-1, 50)
    open_gates(model, OPEN[name], 100, jax.random.key(1), jnp.array(False))
    np.testing.assert_array_equal(np.asarray(model.layers[0][0].bias[...]).reshape(-1, 50), before)
    open_gates(model, OPEN[name], 100, jax.random.key(1), jnp.array(True))
    after = np.asarray(model.layers[0][0].bias[...]).reshape(-1, 50)
    changed = {"rnn": set(), "lstm": {0, 1}, "gru": {1}}[name]
    assert {block for block in range(len(after)) if (after[block] != before[block]).any()} == changed
    if changed:
        assert 0 <= after[1].min() < 2 < 4 < after[1].max() <= np.log(99)
    if name == "lstm":
        np.testing.assert_array_equal(after[0], -after[1])


def test_a_network_of_two_directions_has_no_cell_to_walk_through():
    task, data = make()
    table = task.tables(network("lstm", task, 0, bidirectional=True), data)["gradient_norms"]
    assert list(table) == ["step", "lstm_trained"]


@pytest.mark.parametrize(
    ("spec", "got"),
    [
        (DataSpec("table", (4,), (1,), "regression"), "kind table."),
        (DataSpec("series", (4, 1), (1,), "x", per_step=True), "kind series, with a target at every step."),
        (DataSpec("series", (4, 1), (1,), "x", lengths=True), "kind series, of unequal length."),
    ],
)
def test_data_that_does_not_fit_is_refused(spec, got):
    with pytest.raises(ConfigError) as caught:
        GradientNorms(make()[0].config, spec).output_spec()
    assert str(caught.value) == (
        "task=gradient_norms needs series of equal length with one target each, but the data set is of "
        f"{got} Set for example dataset=adding."
    )
