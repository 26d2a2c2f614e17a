"""Trials of a sweep are ranked by a metric that means the same for all of them."""

from dataclasses import dataclass

import pytest

from nnrun import schema
from nnrun.datasets.base import DatasetConfig
from nnrun.errors import ConfigError
from nnrun.schema import setting
from nnrun.sweeps import record as sweep_record
from nnrun.sweeps import ruler
from nnrun.tasks.regression import RegressionConfig
from tests.sweep_folders import record, rows, summary

EXAMPLES = (
    "dataset.seed changes the examples that are measured, or how hard they are, so the best trial may be the one with "
    "the easiest examples and no better setting. Compare trials of equal examples, or the mean over them."
)


def settled(words):
    return ruler.settled(sweep_record.start(words.split(), ""))


@pytest.mark.parametrize(
    ("words", "metric", "start"),
    [
        ("dataset=diabetes task.loss=mse,mae,huber", "val/rmse", "task.loss changes what the loss measures"),
        ("dataset=diabetes task=regression task.loss=huber task.huber_delta=0.1,1", "val/rmse", "task.huber_delta"),
        ("dataset=diabetes dataset.scaling=standard,minmax", "val/rmse", "dataset.scaling changes the units of the"),
        ("dataset=iris task.label_smoothing=0,0.1 task.class_weights=none,balanced", "val/log_loss", "task.label_smo"),
        ("dataset=digits model=vae model.beta=0.1,1", "val/mse", "model.beta changes what the loss measures"),
        ("dataset=digits model=autoencoder,vae", "val/mse", "model changes what the loss measures"),
        ("dataset=digits model=autoencoder,vae model.beta=0.1,1", "val/mse", "model, model.beta change what"),
    ],
)
def test_where_a_key_changes_the_loss_another_metric_compares(words, metric, start):
    found = settled(words)
    assert {base.plain["objective"]["metric"] for base in found.plan.bases.values()} == {metric}
    assert sweep_record.objective(found).metric == metric
    (note,) = found.notes
    assert note.startswith(start)
    assert f"not compared by val/loss but by {metric}, which also picks each trial's best epoch." in note
    assert f"objective.metric={metric}" in found.command_of(next(iter(found.plan.strategy().ask(1))))


def test_the_least_change_of_early_stopping_is_in_the_unit_of_the_metric():
    words = "dataset=diabetes task.loss=mse,mae training.early_stopping.minimum_change=0.01"
    (note,) = settled(words).notes
    assert "best epoch, in whose unit training.early_stopping.minimum_change is now. For another metric" in note


@pytest.mark.parametrize(
    "words",
    [
        "dataset=iris model.dropout=0,0.1 optimizer=adam,sgd seed=0,1 training.batch_size=8,16",
        "dataset=diabetes task=regression task.loss=mse task.huber_delta=0.1,1",
        "dataset=iris dataset.scaling=standard,minmax",
        "dataset=diabetes task.loss=mse,mae objective.metric=val/mae",
        "dataset=digits model=mlp,cnn augmentation=none,standard",
        "dataset=sine model=rnn,lstm dataset.window=8,16",
        "dataset=digits model=autoencoder model.noise_at_evaluation=false model.input_noise=0.1,0.5",
    ],
)
def test_where_no_key_does_nothing_is_said_or_changed(words):
    before = sweep_record.start(words.split(), "")
    assert ruler.settled(before) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("dataset=digits model=mlp,autoencoder", "model changes what is predicted, so val/loss does not compare trials "
         "that differ in it. Sweep its values apart. objective.metric=val/loss has them ranked by it nonetheless."),
        ("dataset=iris,wine", "dataset changes what is predicted, so val/loss does not compare trials that differ in "
         "it. Set objective.metric=val/auroc, or sweep its values apart. objective.metric=val/loss has them"),
        ("dataset=sine dataset.horizon=1,4", "dataset.horizon changes what is predicted.* objective.metric=val/r2, or"),
        ("dataset=digits model=autoencoder dataset.scaling=standard,minmax", "dataset.scaling changes the units of"),
    ],
)  # fmt: skip
def test_where_none_compares_the_sweep_is_refused(words, text):
    with pytest.raises(ConfigError, match=text.replace(".", r"\.").replace(r"\.*", ".*")):
        settled(words)


@pytest.mark.parametrize(
    ("words", "notes"),
    [
        ("dataset=iris dataset.seed=0,1,2", [EXAMPLES]),
        (
            "dataset=digits model=autoencoder model.input_noise=0.1,0.5",
            [EXAMPLES.replace("dataset.seed", "model.input_noise")],
        ),
        (
            "dataset=diabetes task.loss=mse,mae objective.metric=val/loss",
            ["task.loss changes what the loss measures, so val/loss does not compare trials that differ in it. "
             "Set objective.metric=val/rmse."],
        ),
        (
            "dataset=diabetes task.loss=mse,mae objective.direction=maximize",
            ["task.loss changes what the loss measures, so val/loss does not compare trials that differ in it. "
             "Set objective.metric=val/rmse."],
        ),
        (
            "dataset=sine dataset.horizon=1,4 objective.metric=val/r2",
            ["dataset.horizon changes what is predicted, so the best val/r2 may be that of the easiest question."],
        ),
        (
            "dataset=digits model=mlp,autoencoder objective.metric=val/loss",
            ["model changes what is predicted, so val/loss does not compare trials that differ in it. "
             "Sweep its values apart."],
        ),
    ],
)  # fmt: skip
def test_what_was_asked_for_stays_and_what_it_cannot_compare_is_said(words, notes):
    asked = sweep_record.start(words.split(), "")
    found = ruler.settled(asked)
    assert (found.notes, found.plan) == (notes, asked.plan)


def test_the_winner_best_epochs_and_report_go_by_the_common_metric(nnrun, tmp_path, pictures):
    words = ("-m", "dataset=diabetes", "task=regression", "task.loss=huber", "task.huber_delta=0.05,1.0")
    done = nnrun(*words, "training.epochs=6", "optimizer.learning_rate=0.01", "hydra.sweep.dir=sweep")
    assert done.code == 0
    sweep, trials = tmp_path / "sweep", rows(tmp_path / "sweep" / "trials.csv")
    best = min(trials, key=lambda trial: float(trial["val/rmse"]))
    # Measured in units of the loss, the other trial would have won.
    assert min(trials, key=lambda trial: float(trial["val/loss"])) != best
    assert summary(sweep / "best")["objective"]["value"] == float(best["objective"]) == float(best["val/rmse"])
    for trial in trials:
        history = rows(sweep / trial["number"] / "metrics.csv")
        assert float(trial["objective"]) == min(float(row["val/rmse"]) for row in history)
    (note,) = record(sweep)["notes"]
    assert f"Note: {note}" in done.out
    assert f"Note: {note}".replace("'", "&#x27;") in (sweep / "report.html").read_text()


@dataclass(frozen=True)
class OwnConfig(DatasetConfig):
    """A data set with another default of a key that all have, and one that tells by its value."""

    scaling: str = setting("none", "an own default")
    kept: int = setting(3, changes=lambda config: "question" if config.kept > 3 else None)


def test_a_key_that_is_defined_anew_changes_what_it_did():
    assert schema.change(OwnConfig(), "scaling") == "units"
    assert [schema.change(OwnConfig(kept=kept), "kept") for kept in (3, 4)] == [None, "question"]
    assert schema.change(RegressionConfig(), "nothing") is None


@pytest.fixture
def table(tmp_path):
    rows = [f"{i / 7:.3f},{i % 3},{i / 3:.3f},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "table.csv").write_text("\n".join(["x,y,height,kind", *rows]))
    return f"dataset=csv dataset.path={tmp_path / 'table.csv'}"


def test_swept_targets_say_what_the_task_is(table):
    found = settled(f"{table} dataset.target=height,x objective.metric=val/r2 task.loss=mae")
    assert found.plan.first.choices["task"] == "regression"
    assert [point["dataset.target"] for point in found.plan.strategy().ask(9)] == ["height", "x"]
    with pytest.raises(ConfigError, match=r"^dataset.target changes what is predicted.* Set objective.metric=val/r2, "):
        settled(f"{table} dataset.target=height,x")


def test_swept_targets_of_different_tasks_are_refused(table):
    with pytest.raises(ConfigError) as error:
        settled(f"{table} dataset.target=height,x,kind")
    assert str(error.value) == (
        "dataset.target=height calls for task=regression, but dataset.target=kind for task=classification, and no "
        "metric compares trials of different tasks. Sweep its values apart, or set one task for all with task=."
    )


def test_swept_targets_apply_where_the_data_set_is_swept_too(table):
    words = f"{table.replace('dataset=csv', 'dataset=csv,iris')} dataset.target=kind,y objective.metric=val/auroc"
    assert {base.choices["task"] for base in settled(words).plan.bases.values()} == {"classification"}
