"""Sweeps from the command line: the folder they leave, its winner, what is tried, and what goes on after an end."""

import json
import re
import shlex
import time

import numpy as np
import pytest

from nnrun.folders.ledger import Ledger
from tests.sweep_folders import SMALL, ledger, names, pictures, record, rows, summary, table

RATES = "optimizer.learning_rate=tag(log,interval(1e-3,1e-1))"
NAN = (
    "The training loss became NaN or infinite in epoch 2. Most likely the learning rate is too high: "
    "divide optimizer.learning_rate by 10, or set training.gradient_clip=1."
)
SGD = ("training.batch_size=128", "optimizer=sgd")
"""A step per epoch: a learning rate of 1e30 breaks the weights in the first, and the second sees it."""


@pytest.fixture(scope="module")
def random_sweep(command, tmp_path_factory):
    """A random search over numbers and structure, for reading only, with what it showed."""
    folder = tmp_path_factory.mktemp("random")
    words = ("search=random", "search.trials=7", "search.seed=3", "model.hidden_sizes=[8],[8,8]", RATES)
    with pictures():
        done = command(*SMALL[:2], *SMALL[3:], *words, folder=folder)
    assert done.code == 0, done
    return folder / "sweep", done.out


def test_the_folder_holds_every_file_of_the_contract(random_sweep):
    folder, _ = random_sweep
    files = {"sweep.yaml", "sweep.db", "trials.csv", "best.yaml", "best", "report.html", "figures", "run.log"}
    assert names(folder) - {".lock"} == files | {str(number) for number in range(7)}
    for number in range(7):
        assert names(folder / str(number)) == {"config.yaml", "metrics.csv", "summary.json"}
    assert list((folder / "figures").glob("*.png"))


def test_the_record_says_what_was_asked_for_and_how_groups_are_batched(random_sweep):
    found = record(random_sweep[0])
    assert (found["status"], found["strategy"]) == ("completed", "random")
    assert found["command"].startswith("nnrun -m dataset=iris training.epochs=2 hydra.sweep.dir=sweep search=random")
    assert (found["search"]["trials"], found["search"]["seed"]) == (7, 3)
    assert found["space"] == {
        "model.hidden_sizes": {"values": [[8], [8, 8]]},
        "optimizer.learning_rate": {"interval": {"low": 1e-3, "high": 0.1, "log": True, "integer": False}},
    }
    assert found["bases"][0]["config"]["dataset"]["_target_"] == "nnrun.datasets.iris.Iris"
    keys = {"number", "batching", "chunk", "devices", "slots"}
    assert [set(group) for group in found["groups"]] == [keys] * 2
    sizes = dict(table(random_sweep[0], "SELECT group_id, COUNT(*) FROM trials GROUP BY group_id"))
    assert {group["number"]: group["chunk"] for group in found["groups"]} == sizes


def test_ledger_table_and_folders_agree(random_sweep):
    folder, _ = random_sweep
    trials, metrics = ledger(folder)
    listed = rows(folder / "trials.csv")
    assert [row["number"] for row in listed] == [str(number) for number in range(7)]
    for (number, state, params, objective, found, _, error), row in zip(trials, listed, strict=True):
        own, history = summary(folder / str(number)), rows(folder / str(number) / "metrics.csv")
        assert state == row["state"] == own["status"] == "completed"
        assert error is own["error"] is None
        assert objective == float(row["objective"]) == own["objective"]["value"]
        assert objective == min(float(epoch["val/loss"]) for epoch in history)
        assert json.loads(found) == own["metrics"]
        assert float(row["val/accuracy"]) == own["metrics"]["val/accuracy"]
        assert not any(name.startswith("test/") for name in own["metrics"])
        assert json.loads(params)["optimizer.learning_rate"] == float(row["optimizer.learning_rate"])
        recorded = [value for trial, _, name, value in metrics if (trial, name) == (number, "val/loss")]
        assert recorded == [float(epoch["val/loss"]) for epoch in history]


def test_the_winner_has_a_runs_folder_with_test_metrics_and_its_own_weights(random_sweep):
    folder, shown = random_sweep
    trials, _ = ledger(folder)
    best = min(trials, key=lambda trial: trial[3])
    own, winner = summary(folder / str(best[0])), summary(folder / "best")
    assert names(folder / "best") >= {"config.yaml", "metrics.csv", "model.safetensors", "predictions.csv", "figures"}
    assert (winner["status"], winner["objective"]) == ("completed", own["objective"])
    assert winner.keys() == own.keys()
    for name, value in own["metrics"].items():
        assert winner["metrics"][name] == pytest.approx(value, rel=1e-5), name
    assert {"test/loss", "test/accuracy"} <= winner["metrics"].keys()
    assert winner["baseline"]["test/accuracy"]
    assert rows(folder / "best" / "metrics.csv") == rows(folder / str(best[0]) / "metrics.csv")
    lines = shown.splitlines()
    place = [line.split() for line in lines].index(
        ["trial", "val/loss", "model.hidden_sizes", "optimizer.learning_rate"]
    )
    assert lines[place + 1].split()[0] == str(best[0])
    place = lines.index(f"Trial {best[0]} on the test part, beside naive baselines:")
    accuracy, baselines = winner["metrics"]["test/accuracy"], winner["baseline"]["test/accuracy"]
    values = [f"{value:.4g}" for value in (accuracy, *(baselines[name] for name in sorted(baselines)))]
    assert ["test/accuracy", *values] in [line.split() for line in lines[place:]]
    assert "Its figures are in sweep/best/figures, the report is sweep/report.html" in lines
    report = (folder / "report.html").read_text()
    section = report[report.index('<section id="winner">') : report.index('<section id="best-value">')]
    assert "".join(["<tr><td>test/accuracy", *(f"<td class=n>{value}" for value in values)]) in section
    assert section.count("data:image/png;base64,") == len(list((folder / "best" / "figures").glob("*.png"))) > 0


def test_the_best_trial_is_a_command_and_its_config_runs(command, random_sweep, tmp_path):
    folder, _ = random_sweep
    done = command("best", str(folder), folder=tmp_path)
    comment, line = done.out.splitlines()
    number, value = re.fullmatch(r"# trial (\d): val/loss (\S+)", comment).groups()
    for words in (shlex.split(line)[1:], ["repeat", str(folder / number)]):
        assert command(*words, f"hydra.run.dir={words[0][:3]}", folder=tmp_path).code == 0
        again = summary(tmp_path / words[0][:3])["objective"]
        assert again["value"] == pytest.approx(summary(folder / number)["objective"]["value"], rel=1e-5)
    assert float(value) == pytest.approx(again["value"], rel=1e-5)


def test_the_report_can_be_written_again(command, random_sweep, tmp_path):
    folder, _ = random_sweep
    before = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    done = command("report", str(folder), folder=tmp_path)
    assert (done.code, done.out) == (0, f"{folder / 'report.html'}\n")
    assert len((folder / "report.html").read_text()) == len(before)


def test_a_grid_is_the_default_and_goes_through_all_of_it(nnrun, tmp_path):
    words = ("model.activation=relu,tanh", "optimizer.learning_rate=1e-2,1e-1", "objective.metric=val/accuracy")
    done = nnrun(*SMALL, *words)
    assert done.code == 0
    trials, _ = ledger(tmp_path / "sweep")
    assert [json.loads(params) for _, _, params, *_ in trials] == [
        {"model.activation": activation, "optimizer.learning_rate": rate}
        for activation in ("relu", "tanh")
        for rate in (1e-2, 1e-1)
    ]
    best = max(trials, key=lambda trial: (trial[3], -trial[0]))
    assert done.out.splitlines()[-2].startswith("Best: nnrun dataset=iris")
    assert record(tmp_path / "sweep")["strategy"] == "grid"
    assert summary(tmp_path / "sweep" / "best")["objective"]["value"] == best[3]
    assert nnrun("best", "sweep").out.startswith(f"# trial {best[0]}: val/accuracy ")


LEARNING = {"bayes": ("scipy", "initial_trials=2"), "tpe": ("optuna", "initial_trials=2"), "cmaes": ("cmaes", "seed=1")}


@pytest.mark.parametrize("search", LEARNING)
def test_who_learns_asks_in_batches_and_resume_with_more_trials_goes_on_as_if_asked_for_at_once(
    command, tmp_path, search
):
    library, key = LEARNING[search]
    pytest.importorskip(library)
    words = (*SMALL, f"search={search}", f"search.{key}", "search.parallel_trials=2", RATES)
    found = []
    for name, steps in {"once": ["search.trials=6"], "twice": ["search.trials=4", "search.trials=6"]}.items():
        (tmp_path / name).mkdir()
        assert command(*words, steps[0], folder=tmp_path / name).code == 0
        for more in steps[1:]:
            assert command("resume", "sweep", more, folder=tmp_path / name).code == 0
        found.append(ledger(tmp_path / name / "sweep"))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6
    assert len({params for _, _, params, *_ in found[0][0]}) == 6
    assert record(tmp_path / "twice" / "sweep")["search"]["trials"] == 6


@pytest.fixture(scope="module")
def with_failures(command, tmp_path_factory):
    """Three trials, one of them with a learning rate that breaks it."""
    folder = tmp_path_factory.mktemp("failures")
    done = command(*SMALL, *SGD, "optimizer.learning_rate=1e-2,1e30,1e-1", folder=folder)
    assert done.code == 0, done
    return folder / "sweep"


def test_a_trial_that_turns_nan_fails_alone(command, with_failures, tmp_path):
    trials, _ = ledger(with_failures)
    assert [(state, error) for _, state, *_, error in trials] == [
        ("completed", None),
        ("failed", NAN),
        ("completed", None),
    ]
    assert [objective is None for _, _, _, objective, *_ in trials] == [False, True, False]
    assert (summary(with_failures / "1")["status"], summary(with_failures / "1")["error"]) == ("failed", NAN)
    assert len(rows(with_failures / "1" / "metrics.csv")) <= 1
    assert command(*SMALL, *SGD, "optimizer.learning_rate=1e-2,1e-3,1e-1", folder=tmp_path).code == 0
    others, _ = ledger(tmp_path / "sweep")
    for i in (0, 2):
        assert trials[i][3] == others[i][3]


def test_when_all_trials_fail_the_commonest_reason_is_told(nnrun, tmp_path):
    done = nnrun(*SMALL, *SGD, "optimizer.learning_rate=1e30,1e29")
    text = f"nnrun: All 2 trials failed. The commonest reason (2 of 2): {NAN} The folders of the trials are in sweep.\n"
    assert (done.code, done.err) == (1, text)
    assert record(tmp_path / "sweep")["status"] == "failed"
    assert len(rows(tmp_path / "sweep" / "trials.csv")) == 2


def test_more_failures_than_allowed_end_the_sweep(nnrun, tmp_path):
    done = nnrun(*SMALL, *SGD, "search.max_failures=1", "execution=serial", "optimizer.learning_rate=1e30,2e30,1e-2")
    start = (
        "nnrun: More trials failed (2) than search.max_failures=1 allows. The commonest reason (2 of 2): The training"
    )
    assert done.code == 1
    assert done.err.startswith(start)
    text = "What was measured is in sweep. Start a new sweep where fewer fail, or with a larger search.max_failures."
    assert done.err.endswith(f"{text}\n")
    assert [state for _, state, *_ in ledger(tmp_path / "sweep")[0]] == ["failed", "failed", "waiting"]
    assert len(rows(tmp_path / "sweep" / "trials.csv")) == 3


def test_when_the_time_is_over_trials_are_cut_short_and_the_best_so_far_wins(nnrun, tmp_path, monkeypatch):
    recorded, clock, late = Ledger.record, time.monotonic, []
    monkeypatch.setattr(Ledger, "record", lambda self, *rows: (recorded(self, *rows), late.append(1e6))[0])
    monkeypatch.setattr(time, "monotonic", lambda: clock() + sum(late[:1]))
    words = ("training.epochs=3", "search.timeout_seconds=1000", "execution.chunk=2", "seed=0,1,2,3")
    done = nnrun(*SMALL, *words)
    assert done.code == 0, done.err
    found = [(state, error) for _, state, *_, error in ledger(tmp_path / "sweep")[0]]
    short = ("pruned", "search.timeout_seconds ran out after 1 epochs.")
    assert found == [short] * 2 + [("waiting", None)] * 2
    text = "search.timeout_seconds=1000 ran out after 2 trials; the others wait. To go on: nnrun resume sweep "
    assert done.out.endswith(f"{text}search.timeout_seconds=N\n")
    assert summary(tmp_path / "sweep" / "0")["status"] == "pruned"
    assert summary(tmp_path / "sweep" / "best")["epochs"] == 1
    assert record(tmp_path / "sweep")["status"] == "interrupted"
    late.clear()
    monkeypatch.setattr(Ledger, "record", recorded)
    assert nnrun("resume", "sweep", "search.timeout_seconds=2000").code == 0
    found = [(state, error) for _, state, *_, error in ledger(tmp_path / "sweep")[0]]
    assert found == [short] * 2 + [("completed", None)] * 2
    assert summary(tmp_path / "sweep" / "best")["epochs"] == 3
    now = record(tmp_path / "sweep")
    assert (now["status"], now["search"]["timeout_seconds"]) == ("completed", 2000)
    assert nnrun("resume", "sweep", "search.timeout_seconds=9").err.startswith("nnrun: sweep is completed: nothing is")


def test_a_time_that_no_epoch_fits_into_is_told_with_the_way_on(nnrun, tmp_path):
    done = nnrun(*SMALL, "search.timeout_seconds=1e-6", "seed=0,1")
    text = "search.timeout_seconds ran out before any trial had trained an epoch. To give them more time: nnrun resume "
    assert (done.code, done.err) == (1, f"nnrun: {text}sweep search.timeout_seconds=N\n")
    assert nnrun("resume", "sweep", "search.timeout_seconds=1e6").code == 0
    assert [state for _, state, *_ in ledger(tmp_path / "sweep")[0]] == ["completed"] * 2


def test_a_space_means_nothing_to_a_single_run(nnrun, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    recipe = "# @package _global_\nsearch:\n  space:\n    seed: range(3)\n"
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(recipe)
    done = nnrun("experiment=mine", "debug=tiny", "dataset=iris", "hydra.run.dir=run")
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "search.space is for sweeps: without -m one run is trained with the values of the config."
    )


def test_a_budget_larger_than_the_space_and_a_table_with_the_best_alone_are_told_once(nnrun):
    asked = nnrun("-m", "debug=tiny", "dataset=iris", "seed=range(11)", "search.trials=20", "hydra.sweep.dir=sweep").out
    assert asked.count("The space has 11 different trials and no more.\n") == 1
    assert asked.count("These are the best 10 of 11; all are in trials.csv.\n") == 1
    plain = nnrun("-m", "debug=tiny", "dataset=iris", "seed=0,1", "hydra.sweep.dir=plain").out
    assert "no more" not in plain, "four trials are what debug=tiny says, and nobody typed"
    assert "These are" not in plain


def test_keys_of_a_choice_train_where_they_exist(nnrun, tmp_path):
    words = ("-m", "dataset=shapes", "dataset.limit=60", "training.epochs=1", "model=cnn,mlp", "model.filters=[4]")
    assert nnrun(*words, "model.kernel_size=choice(3)", "hydra.sweep.dir=sweep").code == 0
    found = [json.loads(params) for _, _, params, *_ in ledger(tmp_path / "sweep")[0]]
    assert found == [{"model": "cnn", "model.kernel_size": 3}, {"model": "mlp"}]
    assert [row["model.kernel_size"] for row in rows(tmp_path / "sweep" / "trials.csv")] == ["3", ""]
    assert "filters:\n  - 4\n" in (tmp_path / "sweep" / "0" / "config.yaml").read_text()


def test_a_dry_run_writes_nothing(nnrun, tmp_path):
    words = ("dry_run=true", "search=random", "search.trials=40", "model.activation=relu,tanh,elu", RATES)
    done = nnrun(*SMALL, *words)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("trial 0: model.activation=")
    assert lines[20] == "... and 20 more"
    assert lines[21].split() == ["group", "trials", "batching", "devices", "memory", "of", "states"]
    assert [line.split()[2:4] for line in lines[22:25]] == [["vmap", "2"]] * 3
    assert sum(int(line.split()[1]) for line in lines[22:25]) == 40
    assert lines[25] == "Trials: 40. Groups: 3. Programs to compile: 3. Nothing was trained."
    assert not names(tmp_path)


def test_a_dry_run_asks_for_the_first_batch(nnrun):
    last = nnrun(*SMALL, "dry_run=true", "search=bayes", RATES).out.splitlines()[-1]
    assert last.startswith("Trials: 8 asked for first, and more. Groups: 1.")


ONLY = "nnrun resume of a sweep takes only search.trials=N and search.timeout_seconds=N, each once, but got"
REFUSED = [
    (
        ["search.trials=4"],
        "search.trials must be left out, because the sweep has no limit, but got 4. Nothing of {} changed.",
    ),
    (["training.epochs=9"], f"{ONLY} training.epochs=9. For other changes start a new sweep."),
    (
        ["search.trials=4", "search.trials=5"],
        f"{ONLY} search.trials=4 search.trials=5. For other changes start a new sweep.",
    ),
    (
        ["search.timeout_seconds=0"],
        "search.timeout_seconds must be a number > 0, the seconds from now on, but got 0. Set for example "
        "search.timeout_seconds=600.",
    ),
    (["search.trials=4", "seed=1"], f"{ONLY} seed=1. For other changes start a new sweep."),
    ([], "{} is completed: nothing is left to resume. For more trials: nnrun resume {} search.trials=N"),
]


@pytest.mark.parametrize(("words", "text"), REFUSED)
def test_resume_refuses_other_changes(command, with_failures, tmp_path, words, text):
    before = {path: path.stat().st_mtime_ns for path in with_failures.rglob("*")}
    done = command("resume", str(with_failures), *words, folder=tmp_path)
    assert (done.code, done.err) == (2, f"nnrun: {text.replace('{}', str(with_failures))}\n")
    assert before == {path: path.stat().st_mtime_ns for path in with_failures.rglob("*")}


@pytest.mark.parametrize("more", ["search.trials=3", "search.trials=x", "search.trials="])
def test_the_budget_can_only_grow(command, random_sweep, tmp_path, more):
    folder = random_sweep[0]
    got = more.partition("=")[2] or "nothing"
    how = f" For 3 more: nnrun resume {folder} search.trials=10." if got == "3" else ""
    text = f"search.trials must be an integer > 7, all in all, but got {got}.{how} Nothing of {folder} changed."
    done = command("resume", str(folder), more, folder=tmp_path)
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_a_folder_with_a_sweep_is_not_given_to_another(command, random_sweep, tmp_path):
    folder = random_sweep[0]
    done = command(*SMALL[:-1], f"hydra.sweep.dir={folder}", "seed=0,1", folder=tmp_path)
    text = f"hydra.sweep.dir={folder} already holds a sweep. To continue it: nnrun resume {folder}"
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_two_processes_do_not_work_on_one_sweep(command, random_sweep, tmp_path):
    folder = random_sweep[0]
    first = Ledger(folder)
    done = command("resume", str(folder), "search.trials=9", folder=tmp_path)
    first.close()
    text = f"Another process works on {folder}. Wait for it or stop it, then: nnrun resume {folder}"
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")
    assert record(folder)["search"]["trials"] == 7


def test_serial_and_grouped_sweeps_agree(command, tmp_path):
    found = []
    for mode in ("serial", "vectorized"):
        (tmp_path / mode).mkdir()
        assert (
            command(*SMALL, f"execution={mode}", "seed=0,1", "task.label_smoothing=0.1", folder=tmp_path / mode).code
            == 0
        )
        found.append([trial[3] for trial in ledger(tmp_path / mode / "sweep")[0]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
