"""Evaluating a finished run again, and the permutation importance of its inputs."""

import json
import shutil

import numpy as np
import polars
import pytest
import yaml

from nnrun.config import choices, run_config
from nnrun.folders import reading as recorded
from nnrun.trained.evaluation import KEPT_BYTES, labelled_file
from nnrun.trained.permutation import importance
from nnrun.trained.trained_run import load


def content(path):
    return json.loads(path.read_text())


def own_data(folder):
    built = run_config.build(recorded.config(folder)[0])
    return built.dataset.create().load()


@pytest.fixture(scope="module")
def regression(command, tmp_path_factory):
    """A linear fit of Friedman's function: x1, x2, x4 and x5 of ten inputs matter to it."""
    folder = tmp_path_factory.mktemp("regression")
    words = ("model=mlp", "model.hidden_sizes=[]", "dataset=friedman1", "optimizer.learning_rate=0.02")
    assert command(*words, "training.epochs=20", "hydra.run.dir=run", folder=folder).code == 0
    return folder / "run"


@pytest.fixture
def labelled(regression, tmp_path):
    """The run's test part as a csv with its target, and as npz."""
    data = own_data(regression)
    table = {name: data.test["inputs"][:, i] for i, name in enumerate(data.input_names)}
    table[data.target_names[0]] = data.test["targets"].ravel()
    polars.DataFrame(table).write_csv(tmp_path / "labelled.csv")
    np.savez(tmp_path / "labelled.npz", **data.test)
    return tmp_path


def test_a_config_without_its_objective_has_the_default_one(nnrun, regression, tmp_path):
    shutil.copytree(regression, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config | {"objective": {}}))
    assert nnrun("evaluate", "run").code == 0


def test_the_own_test_part_gives_the_numbers_of_the_run(nnrun, regression, pictures):
    before = (regression / "summary.json").read_bytes()
    done = nnrun("evaluate", str(regression))
    assert done.code == 0, done
    written = regression / "evaluations" / "test"
    assert done.out.splitlines()[-1].endswith(f"examples. Everything is in {written}")
    found, summary = content(written / "evaluation.json"), content(regression / "summary.json")
    assert found["metrics"] == {k: v for k, v in summary["metrics"].items() if k.startswith("test/")}
    assert found["baseline"] == summary["baseline"]
    assert (written / "predictions.csv").read_bytes() == (regression / "predictions.csv").read_bytes()
    assert (written / "figures" / "predicted_vs_true.png").exists()
    assert not (written / "figures" / "learning_curves.png").exists()
    assert (regression / "summary.json").read_bytes() == before


def test_an_evaluation_never_replaces_another(nnrun, regression, labelled):
    for name in ("labelled", "labelled_2"):
        assert nnrun("evaluate", str(regression), "labelled.csv").out.endswith(f"evaluations/{name}\n")
    assert nnrun("evaluate", str(regression), "labelled.csv", "--output", "mine").out.endswith("is in mine\n")
    assert (labelled / "mine" / "evaluation.json").exists()


@pytest.mark.parametrize("ending", ["csv", "npz"])
def test_a_labelled_file_gives_the_same_metrics_without_baselines(regression, labelled, ending):
    found = labelled_file(regression, recorded.config(regression)[0], labelled / f"labelled.{ending}")
    summary = content(regression / "summary.json")
    assert found.examples == len(own_data(regression).test["inputs"])
    assert found.baseline == {}
    for name, value in found.metrics.items():
        assert value == pytest.approx(summary["metrics"][name], rel=1e-5)


def test_metrics_of_a_file_too_large_to_keep_are_the_same_without_figures(regression, labelled, monkeypatch):
    plain = recorded.config(regression)[0]
    whole = labelled_file(regression, plain, labelled / "labelled.csv")
    monkeypatch.setattr("nnrun.trained.evaluation.KEPT_BYTES", 100)
    monkeypatch.setattr("nnrun.trained.prediction.BLOCK_ROWS", 32)
    found = labelled_file(regression, plain, labelled / "labelled.csv")
    assert found.outputs is None
    assert found.remarks == ("There are too many examples to keep, so there are no figures of them.",)
    assert found.metrics == pytest.approx(whole.metrics, rel=1e-5)
    assert KEPT_BYTES > 100


def test_a_failure_leaves_no_half_an_evaluation(nnrun, finished_run, tmp_path, monkeypatch, pictures):
    def fail(*_):
        raise OSError(28, "No space left on device")

    shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.setattr("nnrun.folders.run_folder.RunFolder.save_figure", fail)
    done = nnrun("evaluate", "run")
    assert (done.code, done.err) == (1, "nnrun: No space left on device.\n")
    assert not list((tmp_path / "run/evaluations").iterdir())


def test_examples_without_targets_cannot_be_evaluated(nnrun, finished_run, tmp_path):
    np.save(tmp_path / "new.npy", np.ones((3, 4)))
    for words in (("evaluate",), ("predict", "--importance")):
        done = nnrun(words[0], str(finished_run), "new.npy", *words[1:])
        assert (done.code, done.out) == (2, "")
        assert "every example needs its target (species), which the file does not have for all." in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["new.npy"]


def test_data_that_changed_are_told_and_another_shape_is_refused(nnrun, regression, tmp_path):
    shutil.copytree(regression, tmp_path / "run")
    path = tmp_path / "run/config.yaml"
    recorded = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(recorded | {"dataset": recorded["dataset"] | {"seed": 1}}))
    done = nnrun("evaluate", "run")
    assert done.out.startswith("Warning: the data of run have changed since it was trained, so the test part may hold")
    path.write_text(yaml.safe_dump(recorded | {"dataset": choices.load_choice("dataset", "two_moons")}))
    done = nnrun("evaluate", "run")
    said = "nnrun: The data set of run is no longer what it was trained on: inputs (2,) instead of (10,), targets ()"
    assert (done.code, done.err[: len(said)]) == (2, said)
    assert done.err.endswith("Name a labelled file: nnrun evaluate run FILE\n")


def test_importance_tells_the_inputs_that_matter(nnrun, regression, labelled):
    done = nnrun("predict", str(regression), "labelled.csv", "--importance", "--repeats", "3")
    assert done.code == 0, done
    found = polars.read_csv(labelled / "labelled_importance.csv")
    assert found.columns == ["input", "importance", "std"]
    assert set(found["input"][:4]) == {"x1", "x2", "x4", "x5"}
    assert found["importance"].to_list() == sorted(found["importance"], reverse=True)
    assert found["importance"][4:].abs().max() < 0.2 * found["importance"][3]
    assert (found["std"] > 0).all()
    assert (labelled / "labelled_importance.png").exists()
    first = (labelled / "labelled_importance.csv").read_bytes()
    assert nnrun("predict", str(regression), "labelled.csv", "--importance", "--repeats=3").code == 2
    nnrun("predict", str(regression), "labelled.csv", "--importance", "--repeats=3", "--overwrite")
    assert (labelled / "labelled_importance.csv").read_bytes() == first


def test_importance_of_a_large_file_is_that_of_a_random_choice(regression, labelled, monkeypatch):
    run = load(regression, recorded.config(regression)[0])
    monkeypatch.setattr("nnrun.trained.permutation.KEPT_BYTES", 4 * 10 * 50)
    blocks = run.preprocessing.reader.blocks(labelled / "labelled.npz", 16)
    found = importance(run, blocks, "r2", 1, 0)
    assert (found.examples, found.metric, found.drops.shape) == (50, "r2", (10, 1))
    assert found.columns()["std"].tolist() == [0] * 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--metric", "acuracy"), "--metric acuracy is not a metric of this task. Choose from: "),
        (("--repeats", "0"), "--repeats must be an integer >= 1, but got 0. Set for example --repeats 5."),
    ],
)
def test_what_importance_refuses(nnrun, regression, labelled, words, said):
    done = nnrun("predict", str(regression), "labelled.csv", "--importance", *words)
    assert (done.code, done.err[: len(said) + 7]) == (2, f"nnrun: {said}")


def test_columns_made_of_one_column_are_shuffled_together(regression, monkeypatch):
    run = load(regression, recorded.config(regression)[0])
    origins = {"pair": {"inputs": (0, 1)}, "third": {"inputs": (2,)}}
    monkeypatch.setattr(type(run.preprocessing.reader), "origins", lambda self: origins)
    data = own_data(regression)
    part = run.preprocessing.reader.block({"inputs": data.test["inputs"], "targets": data.test["targets"]})
    before = part.part["inputs"].copy()
    found = importance(run, [part], None, 2, 0)
    assert found.names == ("pair", "third")
    np.testing.assert_array_equal(part.part["inputs"], before)
