"""Settings that are judged by several networks: folds and repeats, alone and in a sweep."""

import csv
import json

import numpy as np
import pytest

from tests.sweep_folders import pictures, record, rows, summary, table

SMALL = ("dataset=iris", "model.hidden_sizes=[8]", "training.epochs=4", "optimizer.learning_rate=0.1")
FOLDER = "hydra.sweep.dir=sweep"


def members(folder):
    """What every member measured, by trial and epoch."""
    found = {}
    for trial, epoch, text in table(folder, "SELECT trial, epoch, metrics FROM members ORDER BY trial, epoch, member"):
        found.setdefault((trial, epoch), []).append(json.loads(text))
    return found


@pytest.fixture(scope="module")
def folded(command, tmp_path_factory):
    """One setting with folds and repeats, without -m, and what it said."""
    folder = tmp_path_factory.mktemp("folded")
    with pictures():
        done = command(*SMALL, "training.folds=3", "training.repeats=2", "hydra.run.dir=sweep", folder=folder)
    assert done.code == 0, done
    return folder / "sweep", done.out


@pytest.fixture(scope="module")
def repeated(command, tmp_path_factory):
    """Two settings with three repeats."""
    folder = tmp_path_factory.mktemp("repeated")
    words = ("-m", *SMALL[:-1], "optimizer.learning_rate=0.1,1e-3", "training.repeats=3", FOLDER)
    done = command(*words, folder=folder)
    assert done.code == 0, done
    return folder / "sweep", done.out


def test_the_best_epoch_is_that_of_the_mean_curve(folded):
    folder, _ = folded
    found = members(folder)
    assert [len(rows) for rows in found.values()] == [6] * 4
    means = [np.mean([row["val/loss"] for row in found[0, epoch]]) for epoch in range(1, 5)]
    known = table(folder, "SELECT value FROM metrics WHERE name = 'val/loss' ORDER BY epoch")
    np.testing.assert_allclose([value for (value,) in known], means)
    best = summary(folder / "0")["objective"]
    assert best["epoch"] == 1 + int(np.argmin(means))
    assert best["value"] == pytest.approx(min(means))


def test_every_number_has_its_spread_in_every_place(folded):
    folder, said = folded
    epoch = summary(folder / "0")["objective"]["epoch"]
    values = [row["val/accuracy"] for row in members(folder)[0, epoch]]
    for one in (folder / "0", folder / "best"):
        found = summary(one)["spread"]["val/accuracy"]
        assert found["values"] == values
        assert found["mean"] == pytest.approx(np.mean(values)) == summary(one)["metrics"]["val/accuracy"]
        assert found["std"] == pytest.approx(np.std(values, ddof=1))
    with (folder / "trials.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["val/accuracy std"]) == pytest.approx(np.std(values, ddof=1))
    assert ">val/loss std</button>" in (folder / "report.html").read_text()
    assert "mean ± standard deviation of 3 folds of 2 seeds" in said
    assert f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}" in said


def test_the_winner_of_folds_learns_from_all_of_them(folded):
    folder, said = folded
    found = summary(folder / "best")
    assert found["refit"] == {"examples": 128, "epochs": found["objective"]["epoch"]}
    assert "Training anew on training and validation part: 128 examples" in said
    assert "test/accuracy" in found["metrics"]
    assert not any(name.startswith("test/") for name in found["spread"])


def test_repeats_are_tested_each_and_the_first_is_kept(repeated):
    folder, said = repeated
    found = summary(folder / "best")
    spread = found["spread"]["test/accuracy"]
    assert len(spread["values"]) == 3
    assert spread["values"][0] == found["metrics"]["test/accuracy"]
    assert f"{spread['mean']:.4g} ± {spread['std']:.2g}" in said
    seeds = {tuple(row.items()) for row in members(folder)[0, 1]}
    assert len(seeds) == 3


def test_a_repeat_is_the_run_with_its_seed(repeated, nnrun, tmp_path):
    folder, _ = repeated
    assert nnrun(*SMALL, "seed=1", "hydra.run.dir=run").code == 0
    alone = [float(row["val/loss"]) for row in rows(tmp_path / "run" / "metrics.csv")]
    ours = [members(folder)[0, epoch][1]["val/loss"] for epoch in range(1, 5)]
    np.testing.assert_allclose(ours, alone, rtol=1e-4)


def test_one_setting_is_a_sweep_that_says_how_to_get_it_again(folded):
    folder, said = folded
    assert record(folder)["command"] == record(folder)["command"].replace("-m", "")
    assert "Best: nnrun dataset=iris" in said
    assert "training.folds=3 training.repeats=2" in said.partition("Best: ")[2]


TOO_MANY = (
    "training.folds=43 is too many for a class of 42 examples outside the test part, one for each fold. Set "
    "training.folds=42."
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dataset=iris", "training.folds=43"), TOO_MANY),
        (("dataset=sine", "training.folds=5"), "windows of one series are no independent examples"),
        (("dataset=iris", "training.folds=2", "task.class_weights=balanced"), "Give the weights as numbers"),
        (("-m", "dataset=iris", "training.folds=2", "search=random"), "has nothing to search"),
        (("-m", "dataset=iris", "training.repeats=2", "hydra/sweeper=basic"), "Leave hydra/sweeper out."),
    ],
)
def test_what_folds_cannot_do_is_told_before_anything_is_trained(nnrun, tmp_path, words, said):
    done = nnrun(*words, "training.epochs=1")
    assert done.code == 2
    assert said in done.err
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".db"]
