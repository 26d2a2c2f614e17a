"""Composing before Hydra runs: every combination of a sweep, the task behind `auto`, a user's own choices."""

import re
import shlex

import pytest
from hydra.core.global_hydra import GlobalHydra

from nnrun.compose import compose
from nnrun.errors import ConfigError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    compose.prepare_imports()


def one(*overrides):
    (composed,) = compose.compose_all(list(overrides), False)
    return composed


def refused(*overrides, multirun=False):
    with pytest.raises(ConfigError) as caught:
        compose.compose_all(list(overrides), multirun)
    assert not GlobalHydra.instance().is_initialized()
    return str(caught.value)


def test_auto_becomes_the_data_sets_task_with_its_defaults_and_keys():
    composed = one("dataset=sine", "task.loss=huber")
    assert composed.choices["task"] == "forecasting"
    assert composed.plain["task"]["loss"] == "huber"
    assert composed.plain["task"]["huber_delta"] == 1.0


def test_a_model_brings_its_task_and_an_explicit_one_wins():
    assert one("model=autoencoder").choices["task"] == "reconstruction"
    assert one("model=autoencoder", "task=classification").choices["task"] == "classification"


def test_a_sweep_is_every_combination_of_groups_and_every_value_of_the_other_keys():
    varied = compose.compose_all(["model=mlp,autoencoder", "seed=0,1,2", "training.epochs=3"], True)
    assert [(c.choices["model"], c.plain["seed"]) for c in varied] == [
        ("mlp", 0),
        ("autoencoder", 0),
        ("mlp", 1),
        ("mlp", 2),
    ]
    assert {c.plain["training"]["epochs"] for c in varied} == {3}


def test_hydra_is_left_as_it_was():
    one("dataset=iris")
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["model=mpl"], "There is no model=mpl. Did you mean mlp?"),
        (["optimizer=admn"], "There is no optimizer=admn. Did you mean adam?"),
        (["experiment=digits_mpl"], "There is no experiment=digits_mpl. Did you mean digits_mlp?"),
        (["datset=digits"], "There is no key datset. Did you mean dataset?"),
        (["model.hiden_sizes=[3]"], "There is no key model.hiden_sizes in model=mlp. Did you mean model.hidden_sizes?"),
        (
            ["model.nope.x=3"],
            "There is no key model.nope in model=mlp. Choose from: model.activation, model.dropout, "
            "model.hidden_sizes, model.normalization.",
        ),
        (["optimizer.lr=0.1"], "There is no key optimizer.lr in optimizer=adam. Did you mean optimizer.learning_rate?"),
        (["model=MLP"], "There is no model=MLP. Did you mean mlp?"),
        (["=5"], "=5 has no key. Write key=value, for example model=lstm."),
        (
            ["experiment=vanishing_gradient", "model=mlp"],
            "task.hidden_size is to be as model.hidden_size is, which is no key here. Set task.hidden_size=VALUE, or "
            "choose what has model.hidden_size.",
        ),
        (
            ['model="lstm dataset=sine"'],
            "model is given two words at once: lstm dataset=sine. Write them apart, without quotes: model=lstm "
            "dataset=sine",
        ),
        (
            ["+model=mlp", "dataset=iris"],
            "model has its choice already, which another one replaces. Leave the + out: model=NAME.",
        ),
        (["++model=mlp"], "model has its choice already, which another one replaces. Leave the + out: model=NAME."),
        (
            ["+dataset=iris"],
            "dataset has its choice already, which another one replaces. Leave the + out: dataset=NAME.",
        ),
        (["task.los=mse"], "There is no key task.los in task=classification. Did you mean task.loss?"),
        (
            ["seed=1,2", "model=mlp"],
            "Several values for seed need -m: nnrun -m seed=1,2 model=mlp",
        ),
        (
            ["training.early_stopping.patence=3"],
            "There is no key training.early_stopping.patence in training=default. "
            "Did you mean training.early_stopping.patience?",
        ),
    ],
)
def test_wrong_names_name_the_nearest(overrides, text):
    assert refused(*overrides) == text


@pytest.mark.parametrize("typed", ["null", "", "3"])
def test_a_group_needs_a_name(typed):
    text = refused(f"debug={typed}")
    assert text == f"debug must be a choice's name, but got {typed or 'nothing'}. Choose from: tiny."


def test_an_interval_cannot_be_walked_by_a_grid():
    assert refused("optimizer.learning_rate=interval(0,1)", multirun=True) == (
        "optimizer.learning_rate is given an interval, which a grid cannot walk through. "
        "List the values, for example optimizer.learning_rate=1e-3,1e-2."
    )


@pytest.mark.parametrize("value", ["data/Müller/x", "price($)", "a=b", 'say "hi"(', "it's", "data\\new(1)", "a b(c"])
def test_a_value_that_needs_quotes_is_answered_with_a_form_that_works(value):
    text = refused("dataset=mnist", f"dataset.root={value}")
    needs_quotes = "dataset.root has a value that needs quotes, or a bracket or comma is missing: "
    assert text.startswith((needs_quotes, "dataset.root: there is no function price."))
    (override,) = shlex.split(re.search(r"(?:Write|quotes:) ('.*|\S+)\.$", text)[1])
    assert one("dataset=mnist", override).plain["dataset"]["root"] == value


def test_the_text_of_a_value_that_needs_quotes():
    assert refused("dataset.root=a=b") == (
        "dataset.root has a value that needs quotes, or a bracket or comma is missing: a=b. "
        """Write 'dataset.root="a=b"'."""
    )


def test_a_users_choice_composes_and_one_that_hides_ours_is_refused(tmp_path):
    folder = tmp_path / "conf" / "training"
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text("epochs: 1\n")
    compose.prepare_imports()
    assert one("training=quick").choices["training"] == "quick"
    (folder / "default.yaml").write_text("epochs: 1\n")
    assert refused("dataset=iris").startswith(
        f"{folder}/default.yaml defines training=default, which nnrun has already ("
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("model.dropout=interval(0,0.5", "lacks ) at its end: interval(0,0.5. Write 'model.dropout=interval(0,0.5)'."),
        ("model.dropout=tag(log,interval(0,1)", "lacks ) at its end: tag(log,interval(0,1). Write 'model.dropout=tag("),
        ("model.widths=[64,64", "lacks ] at its end: [64,64. Write 'model.widths=[64,64]'."),
        ("model.widths=[64,64]]", "has a closing bracket that nothing opens: [64,64]]. Leave it out."),
        (
            "model.dropout=0.1,",
            "has no value after its last comma: 0.1, Write model.dropout=0.1, or go on without a space: "
            "model.dropout=0.1,VALUE.",
        ),
        (
            "model=lstm dataset=sine",
            "is given two words at once: lstm dataset=sine. Write them apart, without quotes: model=lstm dataset=sine",
        ),
    ],
)
def test_a_slip_in_a_value_is_named_where_quotes_would_not_help(override, text):
    assert refused(override).startswith(f"{override.partition('=')[0]} {text}")
