"""An array `anomaly` in an npz file: who trains, who is tested, and what is said of it."""

import json

import numpy as np
import pytest

from nnrun.datasets.npz import Npz, NpzConfig
from nnrun.errors import ConfigError, RunError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
MARKS = np.arange(60) % 5 == 0


def save(folder, **arrays):
    np.savez(folder / "x.npz", **arrays)
    return folder / "x.npz"


def load(path, **keys):
    return Npz(NpzConfig(path=str(path), **keys)).load()


def parts(data):
    return data.train, data.val, data.test


@pytest.mark.parametrize("kind", [bool, int, float])
def test_marked_examples_are_tested_and_never_trained_on(kind, tmp_path):
    data = load(save(tmp_path, inputs=X, anomaly=MARKS.astype(kind)))
    assert (data.spec.task, data.spec.anomalies) == ("reconstruction", True)
    assert [len(part["inputs"]) for part in parts(data)] == [34, 7, 7 + 12]
    assert [int(part["anomaly"].sum()) for part in parts(data)] == [0, 0, 12]
    np.testing.assert_allclose(data.test["inputs"], X[data.labels["row"]].astype(np.float32))
    np.testing.assert_array_equal(data.test["anomaly"], MARKS[data.labels["row"]])
    assert data.notes == (
        "The array anomaly marks 12 of 60 examples as anomalous. 12 of them are in the test part, beside 7 normal "
        "ones, none in training or validation.",
    )


def test_targets_stay_beside_the_marks_but_are_not_learned(tmp_path):
    path = save(tmp_path, inputs=X, targets=np.arange(60) % 3, anomaly=MARKS)
    data = load(path)
    assert (data.spec.task, data.spec.classes) == ("reconstruction", 3)
    np.testing.assert_array_equal(data.test["targets"], data.labels["row"] % 3)
    unread = load(path, anomaly=None)
    assert (unread.spec.task, unread.spec.anomalies) == ("classification", False)
    assert "anomaly" not in unread.test
    assert unread.notes == ()


def test_a_test_part_of_its_own_alone_is_marked(tmp_path):
    test = {"x_test": X, "anomaly_test": MARKS}
    data = load(save(tmp_path, x_train=X + 1, **test))
    assert [len(part["inputs"]) for part in parts(data)] == [51, 9, 60]
    np.testing.assert_array_equal(data.test["anomaly"], MARKS)
    assert data.labels["row"].tolist() == list(range(60))
    data = load(save(tmp_path, x_train=X + 1, anomaly_train=MARKS, **test))
    assert [len(part["inputs"]) for part in parts(data)] == [41, 7, 60]
    assert not data.train["anomaly"].any()
    assert data.notes[0].endswith("12 are left out, because the test part has arrays of its own.")


def test_a_limit_counts_normal_and_anomalous_examples(tmp_path):
    data = load(save(tmp_path, inputs=X, anomaly=MARKS), limit=30)
    assert [len(part["inputs"]) for part in parts(data)] == [16, 4, 4 + 6]
    assert data.test["anomaly"].sum() == 6


@pytest.mark.parametrize(
    ("error", "arrays", "said"),
    [
        (
            RunError,
            {"inputs": X, "anomaly": np.where(MARKS, -1, 1)},
            ", anomaly must be 0 for normal and 1 for anomalous examples, but holds 1 (48), -1 (12). Save it so.",
        ),
        (ConfigError, {"inputs": X, "anomaly": MARKS[:59]}, ": anomaly must have the shape (60,), but has (59,). Give"),
        (ConfigError, {"inputs": X, "anomaly": MARKS.astype(str)}, ": anomaly must be numbers, but is of type <U5."),
        (
            ConfigError,
            {"inputs": X, "anomaly": MARKS, "test_inputs": X},
            " marks anomalous examples, but has no array anomaly for test_inputs, from which the test part comes. Add "
            "one, or set dataset.anomaly=null.",
        ),
        (
            ConfigError,
            {"inputs": X, "test_inputs": X, "test_anomaly": np.ones(60)},
            " marks every example of the test part as anomalous, but needs normal ones there, 0 in the array anomaly. "
            "Add some.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, error, arrays, said):
    path = save(tmp_path, **arrays)
    with pytest.raises(error) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{said}")


def test_from_the_file_to_an_evaluation(nnrun, tmp_path):
    path = save(tmp_path, inputs=X, targets=X[:, 0], anomaly=MARKS)
    keys = ("dataset=npz", f"dataset.path={path}", "training.epochs=2")
    refused = nnrun(*keys, "model=mlp", "task=regression")
    assert refused.code == 2
    assert "Set model=autoencoder, or dataset.anomaly=null." in refused.err
    ran = nnrun(*keys, "model=autoencoder", "model.latent_size=2", "hydra.run.dir=run")
    assert ran.code == 0, ran.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["baseline"]["test/auroc"]) == {"pca", "median_distance", "isolation_forest"}
    for source, count in (((), 19), ((str(path),), 60)):
        assert nnrun("evaluate", "run", *source, "--output", f"e{count}").code == 0
        found = json.loads((tmp_path / f"e{count}" / "evaluation.json").read_text())
        assert found["examples"] == count
        assert "test/auroc" in found["metrics"]
    strange = save(tmp_path, inputs=X, anomaly=np.where(MARKS, 2, 0))
    assert "anomaly must be 0 for normal and 1 for anomalous examples" in nnrun("evaluate", "run", str(strange)).err
