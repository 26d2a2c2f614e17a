"""The folder that a run leaves, and what is told and kept when one fails."""

import csv
import json
import re

import numpy as np
import pytest
import yaml
from jax.errors import JaxRuntimeError
from safetensors.numpy import load_file

from nnrun.config import run_config
from nnrun.errors import RunError

SUMMARY = [
    *("status", "stopped_early", "model", "dataset", "task", "seed", "parameters", "epochs", "objective", "metrics"),
    *("spread", "baseline", "remarks", "seconds", "error", "versions", "devices", "command"),
]
METRICS = ("accuracy", "macro_f1", "auroc", "log_loss")
SMALL = ("debug=tiny", "dataset=iris")


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def rows(folder, without=()):
    with (folder / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in without} for row in csv.DictReader(file)]


def test_the_folder_holds_every_file_of_the_contract(finished_run):
    files = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    assert files == {
        "config.yaml",
        "metrics.csv",
        "summary.json",
        "model.safetensors",
        "checkpoints/0000000010.safetensors",
        "preprocessing.json",
        "training_rows.bin",
        "predictions.csv",
        "figures/learning_curves.png",
        "figures/confusion_matrix.png",
        "figures/ranking_curves.png",
        "figures/calibration.png",
        "run.log",
    }


def test_the_summary_has_every_key(finished_run):
    found = summary(finished_run)
    assert list(found) == SUMMARY
    assert (found["status"], found["stopped_early"], found["error"]) == ("completed", False, None)
    assert (found["model"], found["dataset"], found["task"], found["seed"]) == ("mlp", "iris", "classification", 0)
    assert found["epochs"] == 2
    assert found["parameters"] == 4 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3
    assert found["command"] == "nnrun debug=tiny dataset=iris hydra.run.dir=run"
    assert found["devices"] == "2 x cpu"
    assert set(found["seconds"]) == {"startup", "compile", "train", "baselines", "total"}
    assert {"nnrun", "python", "jax", "flax", "optax"} <= set(found["versions"])


def test_metrics_are_taken_at_the_objectives_epoch_and_stand_beside_a_baseline(finished_run):
    found, history = summary(finished_run), rows(finished_run)
    objective = found["objective"]
    assert (objective["metric"], objective["direction"]) == ("val/loss", "minimize")
    best = history[objective["epoch"] - 1]
    assert objective["value"] == min(float(row["val/loss"]) for row in history) == float(best["val/loss"])
    assert found["metrics"]["train/loss"] == float(best["train/loss"])
    for part in ("train", "val", "test"):
        assert {f"{part}/{name}" for name in ("loss", *METRICS)} <= set(found["metrics"])
    for name in ("loss", *METRICS):
        assert found["metrics"][f"val/{name}"] == pytest.approx(float(best[f"val/{name}"]), rel=1e-6)
        assert isinstance(found["baseline"][f"test/{name}"]["majority"], float)


def test_metrics_csv_has_a_row_per_epoch_and_its_columns_in_order(finished_run):
    history = rows(finished_run)
    expected = ["epoch", "step", "learning_rate", "seconds", "train/loss", "val/loss"]
    assert list(history[0]) == expected + [f"val/{name}" for name in METRICS]
    assert [(row["epoch"], row["step"]) for row in history] == [("1", "5"), ("2", "10")]
    assert float(history[0]["learning_rate"]) == pytest.approx(1e-3)


def test_weights_preprocessing_and_predictions_can_be_read_without_nnrun(finished_run):
    arrays = load_file(finished_run / "model.safetensors")
    assert arrays["weights.params.hidden.dense.0.kernel"].shape == (4, 64)
    fitted = json.loads((finished_run / "preprocessing.json").read_text())
    assert fitted["class_names"] == ["setosa", "versicolor", "virginica"]
    scaling = fitted["input_scaling"]
    assert len(fitted["input_names"]) == len(scaling["offset"]) == len(scaling["scale"]) == 4
    assert (fitted["spec"]["kind"], fitted["spec"]["inputs"], fitted["target_scaling"]) == ("table", [4], None)
    with (finished_run / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == 14
    right = [row["target"] == row["predicted"] for row in predictions]
    assert np.mean(right) == pytest.approx(summary(finished_run)["metrics"]["test/accuracy"])
    assert sum(float(predictions[0][f"probability_{name}"]) for name in fitted["class_names"]) == pytest.approx(1)


def test_the_config_is_whole_and_names_the_choices(finished_run):
    recorded = yaml.safe_load((finished_run / "config.yaml").read_text())
    choices = recorded.pop("choices")
    assert choices == {
        "dataset": "iris",
        "task": "classification",
        "model": "mlp",
        "optimizer": "adam",
        "schedule": "constant",
        "training": "default",
        "augmentation": "none",
        "debug": "tiny",
    }
    assert run_config.build(recorded).training.batch_size == 16


def test_the_log_has_the_lines_of_the_terminal(command, tmp_path):
    done = command(*SMALL, "training.epochs=1", "hydra.run.dir=run", folder=tmp_path)
    log = (tmp_path / "run" / "run.log").read_text()
    assert log == done.out
    first, _, epoch, *_, last = log.splitlines()
    assert first == f"2 x cpu · {tmp_path}/run"
    assert re.fullmatch(r"epoch 1/1  train/loss \d\.\d+  val/loss \d\.\d+  \*", epoch)
    value = epoch.split()[5]
    assert f"\nBest epoch 1 of 1: val/loss {value}\n" in log
    assert last == f"Everything is in {tmp_path}/run"


def test_the_same_command_gives_the_same_files_but_for_seconds(command, finished_run, tmp_path, pictures):
    assert command(*SMALL, "hydra.run.dir=run", folder=tmp_path).code == 0
    again = tmp_path / "run"
    names = {str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    with_seconds = {"metrics.csv", "summary.json", "run.log", "checkpoints/0000000010.safetensors"}
    for name in names - with_seconds:
        assert (again / name).read_bytes() == (finished_run / name).read_bytes(), name
    assert rows(again, {"seconds"}) == rows(finished_run, {"seconds"})
    assert summary(again) | {"seconds": 0} == summary(finished_run) | {"seconds": 0}
    assert (again / "run.log").read_text().replace(str(again), "") == (
        (finished_run / "run.log").read_text().replace(str(finished_run), "")
    )
    (checkpoint,) = (again / "checkpoints").iterdir()
    ours, theirs = load_file(checkpoint), load_file(finished_run / "checkpoints" / checkpoint.name)
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


@pytest.fixture
def offline(monkeypatch):
    """No file can be downloaded."""

    def refuse(file, folder):
        raise RunError(f"{file.name} could not be downloaded.")

    monkeypatch.setattr("nnrun.datasets.public.official.fetch", refuse)


def test_the_default_folder_is_never_shared(nnrun, tmp_path, offline, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda form, *_: {"%Y-%m-%d": "2026-01-02", "%H-%M-%S": "03-04-05"}[form])
    taken = tmp_path / "outputs/runs/2026-01-02/03-04-05_mlp_mnist"
    taken.mkdir(parents=True)
    assert nnrun("dataset=mnist", "dataset.root=.").code == 1
    assert not list(taken.iterdir())
    assert summary(taken.with_name("03-04-05_mlp_mnist_2"))["status"] == "failed"


def test_missing_files_fail_the_run_with_one_line_and_a_traceback_in_the_log(nnrun, tmp_path, offline):
    done = nnrun("dataset=mnist", "dataset.root=.", "hydra.run.dir=run")
    text = "train-images-idx3-ubyte.gz could not be downloaded."
    assert (done.code, done.err) == (1, f"nnrun: {text}\n")
    assert (summary(tmp_path / "run")["status"], summary(tmp_path / "run")["error"]) == ("failed", text)
    assert "Traceback" in (tmp_path / "run" / "run.log").read_text()


def test_a_folder_that_hydra_works_out_is_not_shared_either(nnrun, tmp_path):
    words = (*SMALL, "hydra.run.dir=runs/${seed}")
    assert nnrun(*words).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = nnrun(*words, "training.epochs=3")
    text = "already holds a run. Choose another folder, or continue it: nnrun resume"
    assert (done.code, text in done.err) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (tmp_path / "file").touch()
    done = nnrun(*SMALL, "hydra.run.dir=file/${seed}")
    assert done.code == 2
    assert done.err.startswith("nnrun: The output folder file/0 cannot be written (Not a directory).")


def test_the_folder_of_a_run_that_failed_before_its_first_epoch_is_free_again(nnrun, tmp_path):
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "1.png").write_bytes(b"no image")
    words = ("debug=tiny", "hydra.run.dir=run")
    assert nnrun(*words, "model=cnn", "dataset=image_folder", "dataset.path=images").code != 0
    assert nnrun(*words, "dataset=iris").code == 0
    assert summary(tmp_path / "run")["status"] == "completed"
    assert nnrun(*words, "dataset=iris").code == 2


def test_a_loss_that_becomes_nan_keeps_the_folder_and_the_best_weights(nnrun, tmp_path):
    """One step per epoch: the first has a learning rate of 0, the second breaks the weights, the third sees it."""
    words = ("schedule=warmup_cosine", "schedule.warmup=0.5", "training.batch_size=96", "training.epochs=6")
    done = nnrun(*SMALL, "optimizer=sgd", "optimizer.learning_rate=1e30", *words, "hydra.run.dir=run")
    text = (
        "The training loss became NaN or infinite in epoch 3. Most likely the learning rate is too high: "
        "divide optimizer.learning_rate by 10, or set training.gradient_clip=1. The weights of the best epoch "
        "before it, if there was one, are kept."
    )
    assert (done.code, done.err) == (1, f"nnrun: {text}\n")
    folder = tmp_path / "run"
    found = summary(folder)
    assert (found["status"], found["error"], found["epochs"]) == ("failed", text, 2)
    assert found["objective"]["epoch"] == 1
    arrays = load_file(folder / "model.safetensors")
    assert all(np.isfinite(values).all() for values in arrays.values())
    assert len(rows(folder)) == 2
    assert "RunError" in (folder / "run.log").read_text()


def test_an_objective_that_is_never_defined_says_so(nnrun, tmp_path, monkeypatch):
    monkeypatch.setattr("nnrun.training.fit.Patience.see", lambda self, row: False)
    done = nnrun(*SMALL, "training.epochs=1", "objective.metric=val/auroc", "hydra.run.dir=run")
    assert (done.code, done.err) == (
        1,
        "nnrun: objective.metric=val/auroc was undefined (NaN) in every epoch, so no epoch is the best. Set another "
        "one, for example objective.metric=val/loss, or use more validation data.\n",
    )


def test_a_sweep_over_values_is_a_run_for_each(nnrun, tmp_path):
    done = nnrun("-m", *SMALL, "training.epochs=1", "seed=0,1", "hydra.sweep.dir=sweep")
    assert done.code == 0
    found = [summary(tmp_path / "sweep" / str(i)) for i in range(2)]
    assert [(one["status"], one["seed"]) for one in found] == [("completed", 0), ("completed", 1)]
    assert found[0]["metrics"] != found[1]["metrics"]


MY_MODEL = '''
from dataclasses import dataclass

from flax import nnx

from nnrun.models.base import Model, Outputs
from nnrun.schema import number


@dataclass(frozen=True)
class MyConfig:
    """Keys of model=my."""

    scale: float = number(1.0, "factor on the logits", above=0)


class My(Model):
    """Logits = scale * (x W + b)."""

    kinds = ("table",)

    def __init__(self, config: MyConfig, data, output, *, rngs):
        self.head = nnx.Linear(data.inputs[0], output.size, rngs=rngs)

    def __call__(self, batch, rngs=None, carry=None):
        return Outputs(self.head(batch["inputs"])), carry
'''


def test_a_users_own_model_is_one_python_file_and_one_yaml_file(nnrun, tmp_path):
    (tmp_path / "my_model.py").write_text(MY_MODEL)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "my.yaml").write_text("_target_: my_model.My\nscale: 1.0\n")
    assert "my" in nnrun("list", "models").out.split()
    assert nnrun("model=my", "model.scale=0", "dataset=iris").err == (
        "nnrun: model.scale must be > 0, but got 0.0. Set for example model.scale=1.0.\n"
    )
    assert nnrun(*SMALL, "model=my", "hydra.run.dir=run").code == 0
    assert summary(tmp_path / "run")["parameters"] == 4 * 3 + 3


def test_a_mistake_found_only_in_the_data_leaves_no_folder(nnrun, tmp_path):
    words = ("debug=tiny", "model=autoencoder", "model.output_activation=sigmoid", "task.loss=binary_cross_entropy")
    done = nnrun(*words, "dataset=wine", "hydra.run.dir=run")
    assert done.code == 2
    assert "needs inputs between 0 and 1" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            MemoryError("Unable to allocate 98822067064 bytes."),
            "Training does not fit into memory (98.8 GB were asked for at once). Lower training.batch_size, which is "
            "16, or the sizes of the model.",
        ),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory."), "Training does not fit into memory. Lower training."),
        (OSError("No space left."), "No space left."),
    ],
)
def test_what_the_machine_cannot_do_is_told_in_sentences(command, tmp_path, monkeypatch, error, text):
    def fail(*_):
        raise error

    monkeypatch.setattr("nnrun.execution.serial.SerialRun.compile", fail)
    done = command(*SMALL, "hydra.run.dir=run", folder=tmp_path)
    assert done.code == 1
    assert done.err.startswith(f"nnrun: {text}")
    assert done.err.endswith(f" What was computed is in {tmp_path}/run; its run.log has the details.\n")
    assert ".." not in done.err
