"""training.epochs=auto, and the best epoch where the validation part is small."""

import json

import pytest
import yaml

from nnrun.execution.prepared import prepare
from nnrun.training.epochs import automatic
from nnrun.training.objective import Objective

IRIS = ("model=mlp", "dataset=iris", "dataset.limit=30", "model.hidden_sizes=[2]", "training.batch_size=22")


@pytest.mark.parametrize(
    ("examples", "batch_size", "expected"),
    [(1, 32, 1000), (36, 32, 1000), (320, 32, 300), (321, 32, 273), (4799, 32, 20), (60_000, 32, 20), (60_000, 1, 20)],
)
def test_the_rule_gives_enough_steps(examples, batch_size, expected):
    assert automatic(examples, batch_size) == expected


@pytest.mark.parametrize(
    ("dataset", "more", "expected"),
    [
        ("iris", {}, 750),
        ("iris", {"training.batch_size": 53}, 1000),
        ("iris", {"training.epochs": 7}, 7),
        ("two_moons", {}, 20),
        ("digits", {}, 20),
    ],
)
def test_the_number_is_known_once_the_data_are(make_config, dataset, more, expected):
    config = make_config({"training.epochs": "auto", **more}, model="mlp", dataset=dataset)
    prepared = prepare(config).config
    assert prepared.training.passes == expected
    if config.training.epochs == "auto":
        with pytest.raises(ValueError, match="no number yet"):
            config.training.passes  # noqa: B018
    else:
        assert config.training.passes == expected


ROWS = [{"val/loss": loss, "epoch": epoch} for epoch, loss in enumerate([0.5, 0.3, 0.9, 1.2, float("nan")], 1)]


@pytest.mark.parametrize(("last", "epoch"), [(False, 2), (True, 4)])
def test_the_best_epoch_is_the_last_with_a_finite_objective_where_the_loss_cannot_choose(last, epoch):
    assert Objective("val/loss", "minimize", last).best(ROWS)["epoch"] == epoch
    assert Objective("val/loss", "minimize", last).best(ROWS[-1:]) is None


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ({"dataset": "iris", "dataset.limit": 60}, True),
        ({"dataset": "iris"}, False),
        ({"dataset": "iris", "dataset.limit": 60, "objective.metric": "val/auroc"}, False),
        ({"dataset": "diabetes", "dataset.limit": 60}, False),
        ({"dataset": "digits"}, False),
        ({"dataset": "two_moons", "dataset.limit": 60}, False),
    ],
)
def test_few_validation_examples_do_not_choose_by_their_loss(make_config, words, last):
    values = {key: value for key, value in words.items() if "." in key}
    prepared = prepare(make_config(values, model="mlp", dataset=words["dataset"]))
    assert (prepared.objective.last, bool(prepared.notes)) == (last, last)
    if last:
        assert prepared.notes[0].startswith("The validation part has 9 examples, too few for their val/loss to choose")


def test_a_run_records_the_number_and_tells_how_the_epoch_was_chosen(nnrun, tmp_path, monkeypatch):
    monkeypatch.setattr("nnrun.training.epochs.automatic", lambda examples, batch_size: 3)
    done = nnrun(*IRIS, "hydra.run.dir=run")
    assert done.code == 0
    assert "Note: The validation part has 4 examples" in done.out
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["training"]["epochs"] == 3
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["epochs"], summary["stopped_early"]) == (3, False)
    more = nnrun("resume", "run", "training.epochs=4")
    assert more.code == 0
    assert json.loads((tmp_path / "run/summary.json").read_text())["epochs"] == 4


@pytest.mark.parametrize("batching", ["auto", "serial"])
def test_a_sweep_knows_the_number_too(nnrun, tmp_path, monkeypatch, batching):
    monkeypatch.setattr("nnrun.training.epochs.automatic", lambda examples, batch_size: 2)
    assert nnrun("-m", *IRIS, "seed=0,1", f"execution.mode={batching}", "hydra.sweep.dir=sweep").code == 0
    for folder in ("0", "1", "best"):
        assert yaml.safe_load((tmp_path / f"sweep/{folder}/config.yaml").read_text())["training"]["epochs"] == 2
        summary = json.loads((tmp_path / f"sweep/{folder}/summary.json").read_text())
        assert (summary["epochs"], summary["stopped_early"]) == (2, False)
