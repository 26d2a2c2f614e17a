"""Gradient boosting as a baseline: that of scikit-learn, where it tells something and takes little time."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.schema import build
from nnrun.tasks.baselines import gradient_boosting as module
from nnrun.tasks.baselines.gradient_boosting import gradient_boosting
from nnrun.tasks.classification import Classification, ClassificationConfig
from nnrun.tasks.regression import Regression, RegressionConfig

TRAIN, TEST = 120, 30


def table(classes=None, values=1, categories=()):
    """What no line fits: (x mod 1) of the first column, or its third."""
    rng = np.random.default_rng(3)
    inputs = rng.uniform(0, 3, (TRAIN + TEST, 2)).astype(np.float32)
    whole = np.floor(inputs[:, 0]).astype(np.int32)
    targets = whole % classes if classes else np.stack([100 + 10 * (whole + v) ** 2 for v in range(values)], 1)
    rows = {"inputs": inputs, "targets": targets if classes else targets.astype(np.float32)}
    if categories:
        rows |= {"categories": whole[:, None], "inputs": rng.normal(size=inputs.shape).astype(np.float32)}
    train, test = ({name: v[s] for name, v in rows.items()} for s in (slice(TRAIN), slice(TRAIN, None)))
    scaling = Scaling(np.float32([1.5, 1.5]), np.float32([0.9, 0.9]))
    unit = None if classes else Scaling(np.full(values, 120, np.float32), np.full(values, 20, np.float32))
    shape = () if classes else (values,)
    task = "classification" if classes else "regression"
    spec = DataSpec("table", (2,), shape, task, classes=classes, categories=categories)
    return Data(spec, train, train, test, scaling, unit)


def regression(data, **values):
    return Regression(build("task", values, RegressionConfig), data.spec)


def test_numbers_are_predicted_as_by_scikit_learn():
    data = table(values=2)
    found = regression(data).compared(None, data, slow=True)
    assert list(found) == ["mean", "linear", "gradient_boosting"]
    for v in range(2):
        model = HistGradientBoostingRegressor(random_state=0).fit(data.train["inputs"], data.train["targets"][:, v])
        error = model.predict(data.test["inputs"]) - data.test["targets"][:, v]
        assert found["gradient_boosting"][f"rmse/target_{v}"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    assert found["gradient_boosting"]["r2"] > found["linear"]["r2"]
    assert found == regression(data).compared(None, data, slow=True), "the seed is fixed"


@pytest.mark.parametrize(("classes", "loss"), [(3, "cross_entropy"), (2, "cross_entropy"), (2, "binary_cross_entropy")])
def test_classes_are_predicted_as_by_scikit_learn(classes, loss):
    data = table(classes)
    task = Classification(build("task", {"loss": loss}, ClassificationConfig), data.spec)
    found = task.compared(None, data, slow=True)["gradient_boosting"]
    model = HistGradientBoostingClassifier(random_state=0).fit(data.train["inputs"], data.train["targets"])
    probabilities = model.predict_proba(data.test["inputs"])
    assert found["accuracy"] == (probabilities.argmax(1) == data.test["targets"]).mean() > 0.9
    own = probabilities[np.arange(TEST), data.test["targets"]]
    assert found["log_loss"] == pytest.approx(-np.log(own).mean(), rel=1e-3)


def test_a_class_that_training_lacks_has_a_finite_logarithm():
    data = table(3)
    fourth = dataclasses.replace(data, spec=dataclasses.replace(data.spec, classes=4))
    logits = gradient_boosting(fourth, named=False)
    np.testing.assert_allclose(logits[:, 3], np.log(module.LEAST_PROBABILITY))
    np.testing.assert_allclose(logits[:, :3], gradient_boosting(data, named=False))
    one = dataclasses.replace(data, train=data.train | {"targets": np.zeros(TRAIN, np.int32)})
    assert gradient_boosting(one, named=True) is None, "nothing to tell apart"


def test_numbers_of_categories_are_told_apart():
    data = table(3, categories=(4,))
    assert (gradient_boosting(data, named=False).argmax(1) == data.test["targets"]).all()


def test_few_examples_have_none_and_what_takes_long_only_by_name(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    data = table()
    few = dataclasses.replace(data, train={name: values[:99] for name, values in data.train.items()})
    assert list(regression(few).compared(None, few, slow=True)) == ["mean", "linear"]
    assert not caplog.text
    monkeypatch.setattr(module, "MOST_WORK", 10**6)
    assert list(regression(data).compared(None, data, slow=True)) == ["mean", "linear"]
    assert "100 trees for 120 examples of 2 columns take longer than half a minute" in caplog.text
    named = regression(data, baselines=["gradient_boosting"]).compared(None, data, slow=True)
    assert list(named) == ["gradient_boosting"]


def test_baselines_are_chosen_by_name():
    data = table()
    assert list(regression(data, baselines=["mean"]).compared(None, data, slow=True)) == ["mean"]
    assert regression(data, baselines=[]).compared(None, data, slow=True) == {}
    with pytest.raises(ConfigError, match=r"task.baselines must be one of all or a list \(each one of mean, linear"):
        regression(data, baselines=["boosting"])


def test_a_tiny_run_has_it_only_by_name(nnrun, tmp_path):
    words = ("debug=tiny", "dataset=friedman1", "dataset.limit=200")
    for folder, more in (("tiny", ()), ("named", ("task.baselines=[mean,gradient_boosting]",))):
        assert nnrun(*words, *more, f"hydra.run.dir={folder}").code == 0
        found = json.loads((tmp_path / folder / "summary.json").read_text())["baseline"]["test/rmse"]
        assert ("gradient_boosting" in found) == (folder == "named")
