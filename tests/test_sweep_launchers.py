"""Our sweeper with Hydra's launchers, and Hydra's sweeper with our launcher."""

import json

import pytest

from nnrun.host.terminal import Terminal
from tests.sweep_folders import ledger, names, record, rows, summary

SMALL = ("-m", "dataset=iris", "model.hidden_sizes=[8]", "training.epochs=1", "hydra.sweep.dir=sweep")
SMALL = (*SMALL, "report.slow_baselines=false")
NOISE = "task.label_smoothing=0,0.2"


@pytest.fixture(scope="module")
def grouped(command, tmp_path_factory):
    """Objectives of the same trials as a group."""
    folder = tmp_path_factory.mktemp("grouped")
    done = command(*SMALL, NOISE, folder=folder)
    assert done.code == 0, done
    return [trial[3] for trial in ledger(folder / "sweep")[0]]


def assert_complete(folder, grouped):
    trials, metrics = ledger(folder)
    assert [state for _, state, *_ in trials] == ["completed", "completed"]
    assert [trial[3] for trial in trials] == pytest.approx(grouped, rel=1e-5)
    for number, *_, found, _, _ in trials:
        own = summary(folder / str(number))
        # Those of single classes are no columns of the table.
        assert json.loads(found) == {n: v for n, v in own["metrics"].items() if n.count("/") == 1}
        assert len(rows(folder / str(number) / "metrics.csv")) == 1
        assert {name for trial, _, name, _ in metrics if trial == number} >= {"train/loss", "val/loss", "learning_rate"}
    assert summary(folder / "best")["objective"]["value"] == min(trial[3] for trial in trials)
    assert record(folder)["status"] == "completed"
    assert names(folder) >= {"trials.csv", "best.yaml", "best", "0", "1"}


def test_jobs_of_hydras_own_launcher(nnrun, tmp_path, grouped):
    done = nnrun(*SMALL, "hydra/launcher=basic", NOISE)
    assert done.code == 0, done
    assert_complete(tmp_path / "sweep", grouped)
    assert "test/f1/setosa" in summary(tmp_path / "sweep/0")["metrics"]


def test_jobs_in_other_processes(nnrun, tmp_path, grouped):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    loky = pytest.importorskip("joblib.externals.loky")
    words = (*SMALL, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", NOISE)
    done = nnrun(*words)
    loky.get_reusable_executor().shutdown()
    assert done.code == 0, done
    assert_complete(tmp_path / "sweep", grouped)


def test_a_launcher_that_fails_ends_no_trial(nnrun, tmp_path, grouped, monkeypatch):
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    def broken(*_, **__):
        raise OSError("no such queue")

    with monkeypatch.context() as patch:
        patch.setattr(BasicLauncher, "launch", broken)
        done = nnrun(*SMALL, "hydra/launcher=basic", NOISE)
    text = "The launcher failed, not its trials: OSError: no such queue Set it right, then continue: nnrun resume sweep"
    assert (done.code, done.err.replace(f"{tmp_path}/", "")) == (1, f"nnrun: {text}\n")
    assert {state for _, state, *_ in ledger(tmp_path / "sweep")[0]} <= {"waiting", "running"}
    assert nnrun("resume", "sweep").code == 0
    assert_complete(tmp_path / "sweep", grouped)


def test_a_job_that_fails_is_one_failed_trial(nnrun, tmp_path):
    words = ("training.batch_size=48", "optimizer=sgd", "optimizer.learning_rate=1e30,1e-2")
    done = nnrun(*SMALL, "hydra/launcher=basic", *words)
    assert (done.code, done.err) == (0, "")
    (first, second), _ = ledger(tmp_path / "sweep")
    assert (first[1], second[1]) == ("failed", "completed")
    assert first[-1].startswith("The training loss became NaN or infinite in epoch 1")


def test_hydras_own_sweeper_gets_a_folder_and_an_objective_from_every_job(nnrun, tmp_path, grouped, monkeypatch):
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    returned, sweep = [], BasicSweeper.sweep

    def keep(self, arguments):
        returned.extend(sweep(self, arguments))
        return returned

    monkeypatch.setattr(BasicSweeper, "sweep", keep)
    done = nnrun(*SMALL, "hydra/sweeper=basic", NOISE, "objective.metric=val/log_loss")
    assert done.code == 0, done
    values = [job.return_value for batch in returned for job in batch]
    assert values == pytest.approx(grouped, rel=1e-5)
    assert [summary(tmp_path / "sweep" / str(i))["objective"]["value"] for i in (0, 1)] == values
    assert summary(tmp_path / "sweep" / "0")["metrics"]["test/loss"]


@pytest.mark.parametrize("words", [["dataset=iris"], ["-m", "dataset=iris", "seed=0,1", "hydra/sweeper=basic"]])
def test_a_dry_run_is_for_our_sweeps(nnrun, words):
    done = nnrun(*words, "dry_run=true")
    text = "dry_run=true shows what a sweep would do: put -m before it, and leave hydra/sweeper out."
    assert (done.code, done.err) == (2, f"nnrun: {text}\n")


def test_a_job_that_fails_late_has_no_result(nnrun, tmp_path, monkeypatch):
    end_epoch = Terminal.epoch

    def broken(self, row, *rest):
        end_epoch(self, row, *rest)
        if row["epoch"] == 2:
            raise RuntimeError("a late mistake")

    monkeypatch.setattr(Terminal, "epoch", broken)
    done = nnrun(*SMALL, "hydra/launcher=basic", "training.epochs=2", "seed=0,1")
    assert done.code == 1
    assert "All 2 trials failed." in done.err
    trials, _ = ledger(tmp_path / "sweep")
    assert {(state, objective) for _, state, _, objective, *_ in trials} == {("failed", None)}
