"""training.refit: a second training on training and validation part."""

import csv
import json

import numpy as np
import pytest

from nnrun.datasets.part import count
from nnrun.errors import ConfigError, RunError
from nnrun.execution.prepared import prepare
from nnrun.execution.serial import SerialRun
from nnrun.training.refit import joined, refit

IRIS = ("model=mlp", "dataset=iris", "dataset.limit=40", "model.hidden_sizes=[3]", "training.epochs=4")


def read(folder):
    return json.loads((folder / "summary.json").read_text())


def test_the_parts_are_joined_and_what_was_fitted_stays(make_config):
    data = prepare(make_config({}, model="mlp", dataset="iris")).data
    whole = joined(data)
    assert count(whole.train) == count(data.train) + count(data.val)
    np.testing.assert_array_equal(whole.train["inputs"][-count(data.val) :], data.val["inputs"])
    assert whole.input_scaling is data.input_scaling


def test_mapped_data_are_refused(make_config, tmp_path):
    data = prepare(make_config({}, model="mlp", dataset="iris")).data
    np.save(tmp_path / "x.npy", data.train["inputs"])
    data.train["inputs"] = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ConfigError, match=r"training.refit=true joins .* Set training.refit=false"):
        joined(data)


def test_it_trains_as_a_run_on_the_joined_parts_would(make_config):
    prepared = prepare(make_config({"training.epochs": 5, "schedule.factor": 0.5}, dataset="iris", schedule="step"))
    trainers = [SerialRun(prepared.config, joined(prepared.data)) for _ in range(2)]
    stretches = list(refit(trainers[0], [0.5, 0.4, 0.3]))
    for epoch in range(3):
        trainers[1].steps(trainers[1].train_steps)
        trainers[1].end_epoch([0.0], [epoch == 2])
    assert stretches[-1].epoch == 3
    found, expected = (trainer.outputs(prepared.data.test).prediction for trainer in trainers)
    np.testing.assert_array_equal(found, expected)


def test_a_loss_that_is_lost_is_told(make_config):
    prepared = prepare(make_config({"training.epochs": 2, "optimizer.learning_rate": 1e30}, dataset="diabetes"))
    with pytest.raises(RunError, match=r"NaN or infinite in epoch . of the training on training and validation part"):
        list(refit(SerialRun(prepared.config, joined(prepared.data)), [0.0] * 2))


def test_the_run_keeps_the_network_of_both_parts_and_the_metrics_of_the_first(nnrun, tmp_path):
    for name in ("false", "true"):
        assert nnrun(*IRIS, f"training.refit={name}", f"hydra.run.dir=run_{name}").code == 0
    plain, again = read(tmp_path / "run_false"), read(tmp_path / "run_true")
    assert again.pop("refit") == {"examples": 34, "epochs": again["objective"]["epoch"]}
    assert again["objective"] == plain["objective"]
    assert again["metrics"]["val/loss"] == plain["metrics"]["val/loss"] == again["objective"]["value"]
    assert again["metrics"]["test/loss"] != plain["metrics"]["test/loss"]
    rows = list(csv.DictReader((tmp_path / "run_true/predictions.csv").read_text().splitlines()))
    own = np.log([float(row[f"probability_{row['target']}"]) for row in rows])
    assert again["metrics"]["test/loss"] == pytest.approx(-own.mean(), rel=1e-5)
    assert nnrun("evaluate", "run_true").code == 0


def test_the_winner_of_a_sweep_is_trained_as_a_run_alone_would_be(nnrun, tmp_path):
    assert nnrun("-m", *IRIS, "training.refit=true", "seed=0,1", "hydra.sweep.dir=sweep").code == 0
    best = read(tmp_path / "sweep/best")
    assert nnrun(*IRIS, "training.refit=true", f"seed={best['seed']}", "hydra.run.dir=run").code == 0
    alone = read(tmp_path / "run")
    assert best["refit"] == alone["refit"]
    assert "refit" not in read(tmp_path / "sweep/0")
    assert best["metrics"]["test/loss"] == pytest.approx(alone["metrics"]["test/loss"], rel=1e-4)
