"""The classification task against NumPy and hand counts, batch by batch, with padding and with steps beyond lengths."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs, OutputSpec
from nnrun.schema import build
from nnrun.tasks import losses
from nnrun.tasks.classification import Classification, ClassificationConfig

RNG = np.random.default_rng(5)
NO_SCALING = Scaling(np.zeros(1), np.ones(1))


def labelled(classes, n=21, kind="table", names=()):
    shape = {"table": (2,), "image": (4, 4, 1), "series": (6, 2)}[kind]
    parts = [
        {"inputs": np.zeros((size, *shape), np.float32), "targets": np.int32(RNG.integers(0, classes, size))}
        for size in (60, 5, n)
    ]
    spec = DataSpec(kind, shape, (), "classification", classes=classes)
    return Data(spec, *parts, NO_SCALING, class_names=names)


def tagged(classes=3, n=17, time=5):
    """A label per time step, with lengths; padding steps are labelled 0."""
    lengths = np.int32(RNG.integers(1, time + 1, n))
    labels = np.int32(RNG.integers(0, classes, (n, time))) * (np.arange(time) < lengths[:, None])
    part = {"inputs": np.zeros((n, time, 1), np.float32), "targets": labels.astype(np.int32), "lengths": lengths}
    spec = DataSpec("series", (time, 1), (), "classification", classes=classes, per_step=True, lengths=True)
    return Data(spec, part, part, part, NO_SCALING)


def task_of(data, **values):
    config = build("task", values, ClassificationConfig)
    return Classification(Classification.prepare(config, data), data.spec)


def evaluate(task, data, prediction, size=8):
    """Metrics from padded batches, rows trimmed as the program does."""
    step = jax.jit(lambda outputs, batch: task.statistics(outputs, batch, None))
    part = {name: v for name, v in data.test.items() if name != "inputs"}
    found = []
    for start in range(0, len(prediction), size):
        index = np.arange(start, start + size)
        take = np.where(index < len(prediction), index, 0)
        batch = {name: jnp.asarray(v[take]) for name, v in part.items()}
        batch["mask"] = jnp.float32(index < len(prediction))
        found.append(jax.tree.map(np.asarray, step(Outputs(jnp.float32(prediction[take])), batch)))
    sums = {name: sum(f.sums[name] for f in found) for name in found[0].sums}
    rows = {name: np.concatenate([f.rows[name] for f in found])[: len(prediction)] for name in found[0].rows}
    return task.finish(sums, rows, data), sums


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def by_scikit_learn(labels, probabilities):
    reference = pytest.importorskip("sklearn.metrics")
    predicted, classes = probabilities.argmax(1), np.arange(probabilities.shape[1])
    scores = probabilities[:, 1] if len(classes) == 2 else probabilities
    return {
        "accuracy": reference.accuracy_score(labels, predicted),
        "macro_f1": reference.f1_score(labels, predicted, average="macro", zero_division=0),
        "auroc": reference.roc_auc_score(labels, scores, multi_class="ovr"),
        "log_loss": reference.log_loss(labels, probabilities, labels=classes),
    }


@pytest.mark.parametrize("kind", ["table", "image", "series"])
@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_count_every_example_once(classes, kind):
    data = labelled(classes, kind=kind)
    task, logits = task_of(data), RNG.normal(size=(21, classes)) * 2
    assert task.output_spec() == OutputSpec((classes,))
    found, sums = evaluate(task, data, logits)
    assert tuple(found) == task.metric_names()
    assert sums["confusion"].sum() == 21
    assert found == pytest.approx(by_scikit_learn(data.test["targets"], softmax(logits)), rel=1e-5)


def test_confusion_is_true_by_predicted():
    data = labelled(3)
    _, sums = evaluate(task_of(data), data, np.tile([0.0, 2.0, 1.0], (21, 1)))
    np.testing.assert_array_equal(sums["confusion"][:, 1], np.bincount(data.test["targets"], minlength=3))
    assert sums["confusion"][:, [0, 2]].sum() == 0


def test_every_class_is_measured_under_its_name():
    data = labelled(3, names=("cat", "dog", "eel"))
    _, sums = evaluate(task_of(data), data, np.eye(3)[data.test["targets"]])
    found = task_of(data).details(sums, {}, data)
    assert [name for name in found if name.endswith("/dog")] == [
        f"{metric}/dog" for metric in ("precision", "recall", "f1", "support")
    ]
    assert found["f1/eel"] == 1.0
    assert found["support/cat"] == (data.test["targets"] == 0).sum()
    assert task_of(data).details({"hits": np.ones(3)}, {}, data) == {}, "sums of another task"


def test_one_logit_is_the_pair_of_zero_and_it():
    data = labelled(2)
    one, two = task_of(data, loss="binary_cross_entropy", label_smoothing=0.1), task_of(data, label_smoothing=0.1)
    assert one.output_spec() == OutputSpec((1,))
    z = np.float32(RNG.normal(size=(21, 1)) * 3)
    pair = np.concatenate([np.zeros_like(z), z], -1)
    assert evaluate(one, data, z)[0] == pytest.approx(evaluate(two, data, pair)[0], rel=1e-6)
    batch = {"targets": jnp.asarray(data.test["targets"])}
    smoothed = data.test["targets"] * 0.9 + 0.05
    np.testing.assert_allclose(
        one.loss(Outputs(jnp.asarray(z)), batch), losses.binary_cross_entropy(z[:, 0], smoothed), rtol=1e-5
    )
    np.testing.assert_allclose(
        one.baselines(None, data)["majority"]["log_loss"], two.baselines(None, data)["majority"]["log_loss"], rtol=1e-5
    )


def test_auroc_tells_probabilities_apart_that_round_to_one():
    data = labelled(2)
    logits = np.zeros((21, 2))
    logits[:, 1] = 40 + data.test["targets"] + 0.01 * RNG.random(21)
    assert evaluate(task_of(data), data, logits)[0]["auroc"] == 1.0


def test_many_classes_keep_no_rows_and_have_no_auroc():
    data = labelled(101)
    task = task_of(data)
    found, _ = evaluate(task, data, RNG.normal(size=(21, 101)))
    assert tuple(found) == task.metric_names() == ("accuracy", "macro_f1", "log_loss")
    assert (
        task.statistics(Outputs(jnp.zeros((2, 101))), {"targets": jnp.int32([0, 1]), "mask": jnp.ones(2)}, None).rows
        == {}
    )


def test_steps_beyond_lengths_do_not_count():
    data = tagged()
    task, logits = task_of(data), RNG.normal(size=(17, 5, 3))
    valid = np.arange(5) < data.test["lengths"][:, None]
    assert task.output_spec() == OutputSpec((3,), per_step=True)
    found, _ = evaluate(task, data, logits)
    assert found == pytest.approx(by_scikit_learn(data.test["targets"][valid], softmax(logits)[valid]), rel=1e-5)
    batch = {name: jnp.asarray(data.test[name]) for name in ("targets", "lengths")}
    nll = -np.log(np.take_along_axis(softmax(logits), data.test["targets"][..., None], -1))[..., 0]
    expected = (nll * valid).sum(1) / data.test["lengths"]
    np.testing.assert_allclose(task.loss(Outputs(jnp.float32(logits)), batch), expected, rtol=1e-5)


def test_balanced_weights_are_those_of_scikit_learn():
    weigh = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    data = labelled(3)
    task, labels = task_of(data, class_weights="balanced"), data.train["targets"]
    expected = weigh("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(task.config.class_weights, expected, rtol=1e-12)
    assert np.mean(np.array(task.config.class_weights)[labels]) == pytest.approx(1)
    uniform = task.loss(Outputs(jnp.zeros((60, 3))), {"targets": jnp.asarray(labels)})
    np.testing.assert_allclose(uniform, math.log(3) * expected[labels], rtol=1e-5)


def test_a_class_that_training_lacks_weighs_nothing():
    data = labelled(3)
    data.train["targets"][:] = np.where(data.train["targets"] == 2, 0, data.train["targets"])
    weights = Classification.prepare(ClassificationConfig(class_weights="balanced"), data).class_weights
    assert weights[2] == 0
    assert np.mean(np.array(weights)[data.train["targets"]]) == pytest.approx(1)


def test_given_weights_and_none_need_no_data():
    for given in ("none", (1.0, 2.0, 0.5)):
        config = ClassificationConfig(class_weights=given)
        assert Classification.prepare(config, labelled(3)) is config


def test_smoothing_is_traced_and_its_loss_alone():
    data, traces = labelled(3), []
    logits, batch = jnp.float32(RNG.normal(size=(21, 3))), {"targets": jnp.asarray(data.test["targets"])}

    @jax.jit
    def loss(smoothing):
        traces.append(1)
        return Classification(ClassificationConfig(label_smoothing=smoothing), data.spec).loss(Outputs(logits), batch)

    np.testing.assert_allclose(loss(jnp.float32(0.0)), task_of(data).loss(Outputs(logits), batch), rtol=1e-6)
    assert not np.allclose(loss(jnp.float32(0.3)), loss(jnp.float32(0.0)))
    assert len(traces) == 1
    plain, smoothed = task_of(data), task_of(data, label_smoothing=0.3)
    assert evaluate(plain, data, logits)[0] == evaluate(smoothed, data, logits)[0]


def test_the_majority_is_the_training_parts():
    data = labelled(3)
    data.train["targets"][:] = [0] * 30 + [1] * 20 + [2] * 10
    found = task_of(data).baselines(None, data)["majority"]
    labels = data.test["targets"]
    share = (labels == 0).mean()
    assert found["accuracy"] == pytest.approx(share)
    assert found["macro_f1"] == pytest.approx(2 * share / (1 + share) / len(set(labels)))
    assert found["auroc"] == 0.5
    assert found["log_loss"] == pytest.approx(-np.log(np.array([1 / 2, 1 / 3, 1 / 6])[labels]).mean(), rel=1e-6)
    assert found["loss"] == pytest.approx(found["log_loss"], rel=1e-6)
    assert math.isfinite(task_of(tagged()).baselines(None, tagged())["majority"]["log_loss"])


def test_predictions_are_named_classes_with_probabilities():
    data = labelled(2, names=("cat", "dog"))
    logits = np.float32(RNG.normal(size=(21, 2)))
    columns = task_of(data).decode(Outputs(logits), data)
    assert list(columns) == ["target", "predicted", "probability_cat", "probability_dog"]
    assert columns["target"].tolist() == [("cat", "dog")[c] for c in data.test["targets"]]
    assert columns["predicted"].tolist() == [("cat", "dog")[c] for c in logits.argmax(1)]
    np.testing.assert_allclose(columns["probability_dog"], softmax(logits)[:, 1], rtol=1e-5)
    unknown = dataclasses.replace(data, test={"inputs": data.test["inputs"]}, class_names=())
    columns = task_of(data, loss="binary_cross_entropy").decode(Outputs(logits[:, 1:]), unknown)
    assert list(columns) == ["predicted", "probability_0", "probability_1"]
    np.testing.assert_allclose(columns["probability_1"], 1 / (1 + np.exp(-logits[:, 1])), rtol=1e-5)


def test_predictions_per_step_are_arrays():
    data = tagged()
    arrays = task_of(data).decode(Outputs(np.zeros((17, 5, 3), np.float32)), data)
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {"target": (17, 5), "predicted": (17, 5), "probabilities": (17, 5, 3)}


def refused(data, **values):
    with pytest.raises(ConfigError) as error:
        Classification(build("task", values, ClassificationConfig), data).output_spec()
    return str(error.value)


def test_what_does_not_fit_is_refused():
    numbers = DataSpec("table", (3,), (1,), "regression")
    three = DataSpec("table", (3,), (), "classification", classes=3)
    assert refused(numbers) == (
        "task=classification needs class labels, but the data set has numbers as targets. Set task=auto, "
        "or, where the numbers of a csv are classes, dataset.types={NAME: categorical}."
    )
    assert refused(three, loss="binary_cross_entropy") == (
        "task.loss=binary_cross_entropy needs exactly 2 classes, but the data set has 3. Set task.loss=cross_entropy."
    )
    assert refused(three, class_weights=[1.0, 2.0]) == (
        "task.class_weights must be 3 numbers, one per class, but got 2. Set for example task.class_weights=balanced."
    )
    assert refused(three, class_weights=[1.0, 2.0, -1.0]).startswith("task.class_weights must be >= 0, but got -1.0.")


def test_balanced_without_prepare_is_a_programming_error():
    task = Classification(ClassificationConfig(class_weights="balanced"), labelled(3).spec)
    with pytest.raises(ValueError, match="prepare"):
        task.loss(Outputs(jnp.zeros((1, 3))), {"targets": jnp.int32([0])})
