"""nnrun from Python."""

import subprocess
import sys

import numpy as np
import polars
import pytest

import nnrun
from nnrun.datasets.iris import Iris
from nnrun.errors import ConfigError


@pytest.fixture(scope="module")
def model(finished_run):
    return nnrun.load(finished_run)


@pytest.fixture(scope="module")
def rows():
    return np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3], [6.0, 2.2, 4.0, 1.0]])


class Frame:
    """What a data frame of pandas shows of itself."""

    def __init__(self, columns):
        self._columns, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return self._columns[name]


def test_classes_and_probabilities_as_scikit_learn_has_them(model, rows):
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.feature_names_in_ == Iris.input_names
    probabilities = model.predict_proba(rows)
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert model.predict(rows).tolist() == model.classes_[probabilities.argmax(1)].tolist()
    assert next(iter(model.predict_columns(rows))) == "predicted"


def test_frames_lists_and_files_are_taken_like_arrays(model, rows, tmp_path):
    expected = model.predict_proba(rows)
    table = {name: rows[:, i] for i, name in reversed(list(enumerate(Iris.input_names)))}
    polars.DataFrame(table).write_csv(tmp_path / "rows.csv")
    for given in (rows.tolist(), polars.DataFrame(table), Frame(table), {"inputs": rows}, tmp_path / "rows.csv"):
        np.testing.assert_allclose(model.predict_proba(given), expected, atol=1e-6)


def test_a_larger_question_after_a_small_one_is_answered_in_larger_batches(model, rows):
    model.predict(rows[:1])
    assert model.predict(np.repeat(rows, 100, 0)).tolist() == np.repeat(model.predict(rows), 100).tolist()


def test_what_does_not_fit_is_told(model, rows):
    with pytest.raises(ConfigError, match=r"inputs of shape \(n, 4\), all numbers, but got float64 of shape \(3, 2\)"):
        model.predict(rows[:, :2])
    with pytest.raises(ConfigError, match=r"lacks column petal width \(cm\), which the network was trained on"):
        model.predict(polars.DataFrame({name: [1.0] for name in Iris.input_names[:3]}))
    with pytest.raises(ConfigError, match=r"There is no example to predict\. Give at least one\."):
        model.predict(polars.DataFrame({name: [1.0] for name in Iris.input_names}).head(0))
    with pytest.raises(ConfigError, match="without latent codes"):
        model.encode(rows)
    with pytest.raises(ConfigError, match="There is no folder nowhere here"):
        nnrun.load("nowhere")


def test_train_runs_like_the_command_and_load_takes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = list(sys.argv)
    overrides = {"debug": "tiny", "dataset": "diabetes", "model.hidden_sizes": [8], "hydra.run.dir": "my run"}
    summary = nnrun.train(overrides)
    assert (summary["status"], summary["epochs"], sys.argv) == ("completed", 2, argv)
    assert summary["folder"] == str(tmp_path / "my run")
    trained = nnrun.load(summary["folder"])
    assert trained.classes_ is None
    answer = trained.predict(np.zeros((5, 10)))
    assert (answer.shape, len(set(answer.tolist()))) == ((5,), 1)
    with pytest.raises(ConfigError, match="does not tell classes apart"):
        trained.predict_proba(np.zeros((5, 10)))
    again = nnrun.train(["debug=tiny", "dataset=diabetes", "model.hidden_sizes=[8]"])
    assert again["metrics"] == summary["metrics"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset=irs"], "There is no dataset=irs. Did you mean iris?"),
        ({"training.epochs": 0}, "training.epochs must be >= 1, but got 0"),
        (["-m", "seed=1,2"], "nnrun.train takes overrides like training.epochs=5, but got -m"),
    ],
)
def test_train_raises_what_the_command_says(overrides, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        nnrun.train(overrides)
    assert not list(tmp_path.iterdir())


def test_importing_nnrun_is_light():
    code = "import sys, nnrun; print({'numpy', 'jax', 'yaml', 'hydra', 'polars'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    with pytest.raises(AttributeError, match="module 'nnrun' has no attribute 'laod'"):
        _ = nnrun.laod
