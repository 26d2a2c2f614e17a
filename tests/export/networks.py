"""Networks of every family with made-up weights, as if loaded; NNRUN_FAMILIES=all takes in those slow to compile."""

import os
from pathlib import Path

import jax
import numpy as np

from nnrun.config.run_config import as_arrays
from nnrun.datasets.arrays.reader import ArrayReader
from nnrun.datasets.base import Anchor, DataSpec, Scaling
from nnrun.execution.devices import Placement
from nnrun.folders.preprocessing import Preprocessing
from nnrun.trained.prediction import Predictor
from nnrun.trained.trained_run import TrainedRun
from nnrun.training.program import Program
from nnrun.training.state import Fitted, State

COLOURS = DataSpec("image", (8, 8, 3), (), "classification", classes=3)
PICTURES = DataSpec("image", (32, 32, 3), (), "classification", classes=3)
SERIES = DataSpec("series", (9, 2), (4, 2), "forecasting")
ANCHORED = DataSpec("series", (9, 2), (4, 2), "forecasting", log=True, anchor=Anchor((-1, -2, -1, -2), (0, 1)))
UNEQUAL = DataSpec("series", (9, 2), (), "classification", classes=3, lengths=True)
STEPS = DataSpec("series", (9, 2), (1,), "regression", per_step=True)
TABLE = DataSpec("table", (5,), (2,), "regression", categories=(4, 3))
BINARY = DataSpec("table", (5,), (), "classification", classes=2)
FAMILIES = {
    "mlp_categories": (TABLE, "mlp", {"model.dropout": 0.5}),
    "mlp_one_logit": (BINARY, "mlp", {"model.normalization": "batch", "task.loss": "binary_cross_entropy"}),
    "mlp_anchored": (ANCHORED, "mlp", {"model.normalization": "layer"}),
    "cnn": (COLOURS, "cnn", {"model.filters": [2, 3], "model.normalization": "batch"}),
    "lstm_lengths": (UNEQUAL, "lstm", {"model.hidden_size": 3, "model.layers": 2, "model.bidirectional": True}),
    "autoencoder": (COLOURS, "autoencoder", {"model.input_noise": 0.3, "model.encoder": "convolutional"}),
}
SLOW = {
    "mlp_bfloat16": (BINARY, "mlp", {"training.precision": "bfloat16"}),
    "cnn_series": (SERIES, "cnn", {"model.filters": [2], "model.dense_sizes": [3]}),
    "resnet": (COLOURS, "resnet", {"model.filters": [2, 3]}),
    "resnet_lengths": (UNEQUAL, "resnet", {"model.filters": [2]}),
    "fcn": (ANCHORED, "fcn", {"model.filters": [2], "model.kernel_size": 4}),
    "vgg": (PICTURES, "vgg", {"model.width": 1, "model.dense_sizes": [3]}),
    "inception": (PICTURES, "inception", {}),
    "rnn": (SERIES, "rnn", {"model.hidden_size": 3}),
    "lstm": (SERIES, "lstm", {"model.hidden_size": 4}),
    "lstm_wide": (SERIES, "lstm", {"model.hidden_size": 200}),
    "gru": (STEPS, "gru", {"model.hidden_size": 3, "model.readout": "per_step"}),
    "gru_reset_after": (SERIES, "gru", {"model.hidden_size": 3, "model.reset_after": True}),
    "autoencoder_dense": (COLOURS, "autoencoder", {"model.sparsity": 0.1, "model.sparsity_kind": "kl"}),
    "vae": (COLOURS, "vae", {"model.output_activation": "sigmoid"}),
}
TAKEN = FAMILIES | SLOW if os.environ.get("NNRUN_FAMILIES") == "all" else FAMILIES
DATASETS = {"table": "iris", "image": "digits", "series": "sine"}


def load(make_config, spec, model, values):
    """A TrainedRun of a config, as `nnrun.trained.trained_run.load` gives it, with random weights and scaling."""
    task = "reconstruction" if model in ("autoencoder", "vae") else spec.task
    config = make_config(values, model=model, task=task, dataset=DATASETS[spec.kind])
    random = np.random.default_rng(0)
    fitted = _preprocessing(spec, task, random)
    static, numbers = config.split()
    own = Fitted.of(fitted.input_scaling, fitted.target_scaling)
    program, traced = Program(static, spec, 1), as_arrays(numbers)
    shapes = jax.eval_shape(program.init, traced, own)
    weights = jax.tree.map(lambda leaf: random.uniform(0.1, 0.9, leaf.shape).astype(leaf.dtype) - 0.4, shapes.weights)
    positive = jax.tree.map(lambda leaf: np.abs(leaf) + 0.5, weights.statistics)
    nothing = dict.fromkeys(("best", "optimizer", "schedule", "step", "sums"))
    numbers = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.3, leaf.dtype), shapes.numbers)
    state = State(weights=weights._replace(statistics=positive), numbers=numbers, fitted=own, **nothing)
    built = config.task.create(spec)
    return TrainedRun(Path("run"), config, fitted, built, program, Placement(1), traced, state)


def _preprocessing(spec, task, random):
    axes = (1,) * (len(spec.inputs) - 1)
    inputs = Scaling(
        random.uniform(1, 2, (*axes, spec.inputs[-1])), random.uniform(0.3, 0.6, spec.inputs[-1]), spec.log
    )
    targets = None
    if spec.classes is None and task != "reconstruction":
        targets = Scaling(random.uniform(1, 2, spec.targets), random.uniform(0.3, 0.6, spec.targets), spec.log)
    names = tuple(f"class {i}" for i in range(spec.classes or 0))
    threshold = 1.0 if task == "reconstruction" else None
    return Preprocessing(spec, inputs, targets, (), (), names, None, threshold, ArrayReader(spec.inputs))


def expected(run, arrays):
    """What `nnrun predict` says, by the name that an exported network gives it."""
    part = {**arrays, "inputs": arrays["inputs"]}
    outputs = Predictor(run).outputs(part)
    decoded = run.task.decode(outputs, run.preprocessing.data(part))
    spec = run.preprocessing.spec
    if "reconstruction" in decoded:
        return {name: decoded[name] for name in ("reconstruction", "error", "latent", "flagged")}
    if spec.classes is not None:
        names = run.preprocessing.class_names
        numbers = np.array([names.index(name) for name in decoded["predicted"].tolist()])
        return {"predicted": numbers, "probabilities": np.stack([decoded[f"probability_{n}"] for n in names], -1)}
    if "predictions" in decoded:
        return {"predictions": decoded["predictions"]}
    columns = [values for name, values in decoded.items() if name.endswith("_predicted")]
    return {"predictions": np.stack(columns, -1).reshape(-1, *spec.targets)}


def assert_same(answer, wanted):
    """Equal to 1e-6 of the largest value, numbers of classes exactly."""
    assert set(answer) == set(wanted)
    for name, values in wanted.items():
        got = np.asarray(answer[name])
        assert got.shape == values.shape
        assert np.isfinite(np.float64(got)).all()
        if values.dtype.kind == "f":
            np.testing.assert_allclose(got, values, rtol=0, atol=1e-6 * max(1, np.abs(values).max()), err_msg=name)
        else:
            np.testing.assert_array_equal(got, values, err_msg=name)
