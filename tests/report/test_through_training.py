import dataclasses
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.models.base import Outputs
from nnrun.models.mlp import MLP, MLPConfig
from nnrun.report import layer_gradients, through_training
from nnrun.report.base import FinishedRun
from nnrun.tasks.classification import Classification, ClassificationConfig
from nnrun.tasks.regression import Regression, RegressionConfig


def run(inputs=2, classes=None, stages=(), **config):
    """A run on made-up rows, whose networks at the stages differ in their weights."""
    rng, rows = np.random.default_rng(0), 40
    kind = "regression" if classes is None else "classification"
    spec = DataSpec("table", (inputs,), (1,) if classes is None else (), kind, classes)
    x = rng.normal(5, 2, (rows, inputs)).astype(np.float32)
    y = x[:, :1] * 3 if classes is None else rng.integers(0, classes, rows).astype(np.int32)
    part = {"inputs": x, "targets": y}
    scaling = Scaling(np.float32(10), np.float32(4)) if classes is None else None
    data = Data(spec, part, part, part, Scaling(np.full(inputs, 5.0), np.full(inputs, 2.0)), scaling)
    task = Regression(RegressionConfig(), spec) if classes is None else Classification(ClassificationConfig(), spec)
    models = [MLP(MLPConfig(**config), spec, task.output_spec(), rngs=nnx.Rngs(i)) for i in range(len(stages) + 1)]
    nothing = Outputs(np.zeros((rows, 1)))
    found = FinishedRun("net on set", [], "val/loss", 9, data, task, models[0], nothing, {}, {})
    return dataclasses.replace(found, stages=dict(zip(stages, models[1:], strict=True)))


def shown(picture):
    picture.savefig(io.BytesIO())
    return [axes for axes in picture.axes if axes.has_data()]


@pytest.mark.parametrize("classes", [2, 3])
def test_regions_are_those_of_the_answers(classes):
    given = run(classes=classes, stages=(0, 4), hidden_sizes=(5,))
    axes = shown(through_training.draw(given))
    assert [a.get_title("left") for a in axes] == ["untrained", "epoch 4", "epoch 9, kept"]
    image = axes[-1].images[0]
    left, right, bottom, top = image.get_extent()
    scaled = (np.array([[left, bottom], [right, top]]) - 5) / 2
    answer = np.asarray(given.model({"inputs": scaled.astype(np.float32)})[0].prediction)
    chosen = (answer[:, 0] > 0).astype(int) if answer.shape[1] == 1 else answer.argmax(1)
    colours = np.asarray(through_training.matplotlib.colormaps["tab10"](chosen))
    pixels = np.asarray(image.get_array())
    np.testing.assert_allclose([pixels[0, 0], pixels[-1, -1]], colours)


@pytest.mark.parametrize(("inputs", "panels"), [(1, 1), (3, 3)])
def test_curves_are_along_one_input_with_the_others_at_their_means(inputs, panels):
    given = run(inputs, stages=(0,), hidden_sizes=(5,))
    axes = shown(through_training.draw(given))
    assert len(axes) == panels
    line = axes[-1].get_lines()[-1]
    assert line.get_label() == "epoch 9, kept"
    row = given.data.train["inputs"].mean(0)
    row[-1] = line.get_xdata()[7]
    answer = given.model({"inputs": ((row - 5) / 2)[None].astype(np.float32)})[0].prediction
    assert line.get_ydata()[7] == pytest.approx(float(answer[0, 0]) * 4 + 10, rel=1e-4)
    assert len(axes[0].collections) == (1 if inputs == 1 else 0)


@pytest.mark.parametrize("given", [{"inputs": 3, "classes": 2}, {"inputs": 13}, {"classes": 11}])
def test_what_has_no_such_picture_gets_none(given):
    assert through_training.draw(run(**given, hidden_sizes=(3,))) is None


@pytest.mark.parametrize("classes", [None, 2])
def test_gradients_and_slopes_of_the_layers(classes):
    given = run(classes=classes, stages=(0, 1), hidden_sizes=(4, 5, 3), activation="sigmoid")
    ((slopes, norms),) = layer_gradients.measured(given, [given.model])
    x = (given.data.train["inputs"] - 5) / 2
    expected = []
    for dense in given.model.hidden.dense:
        s = 1 / (1 + np.exp(-(x @ np.asarray(dense.kernel[...]) + np.asarray(dense.bias[...]))))
        expected.append((s * (1 - s)).mean())
        x = s
    np.testing.assert_allclose(slopes, expected, rtol=1e-4)

    def loss(shift):
        kernel = given.model.hidden.dense[0].kernel
        before = kernel[...]
        kernel[...] = before.at[0, 0].add(shift)
        batch = {"inputs": ((given.data.train["inputs"] - 5) / 2).astype(np.float32), "mask": np.ones(40)}
        batch["targets"] = given.data.train["targets"] if classes else (given.data.train["targets"] - 10) / 4
        value = float(given.task.loss(given.model(batch)[0], batch).mean())
        kernel[...] = before
        return value

    # A single weight's part of the norm is at most the whole.
    assert abs(loss(0.01) - loss(-0.01)) / 0.02 <= norms[0] * 1.01 + 1e-4
    assert norms[0] < norms[-1], "sigmoids keep the gradient from the first layer"
    first, slope, reach = shown(layer_gradients.draw(given))
    assert first.get_title("left") == "sigmoid and its derivative"
    assert [line.get_label() for line in slope.get_lines()] == ["untrained", "epoch 1", "kept"]
    np.testing.assert_allclose(reach.get_lines()[-1].get_ydata(), norms, rtol=1e-5)


def test_shallow_networks_have_no_picture_of_gradients():
    assert layer_gradients.draw(run(hidden_sizes=(4, 4))) is None


def test_a_run_keeps_its_stages(nnrun, tmp_path, monkeypatch, pictures):
    seen = {}
    monkeypatch.setattr(through_training, "draw", lambda run: seen.update(run.stages))
    words = ("model=mlp", "dataset=two_moons", "dataset.limit=40", "training.epochs=4", "model.hidden_sizes=[3]")
    assert nnrun(*words, "hydra.run.dir=run").code == 0
    assert list(seen) == [0, 1, 2, 3]
    kernels = [np.asarray(model.head.kernel[...]) for model in seen.values()]
    assert all((a != b).any() for a, b in pairwise(kernels))
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "completed"
