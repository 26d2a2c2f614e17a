"""What people know from Hydra works as they know it: folders, job settings, callbacks, resolvers, flags."""

import json
import logging

import pytest

from tests.made_up_files import write_housing

TINY = ("debug=tiny", "dataset=iris")
CALLBACK = """
from pathlib import Path

from hydra.experimental.callback import Callback


class Told(Callback):
    def __getattribute__(self, name):
        if name.startswith("on_"):
            with Path("told.txt").open("a") as file:
                file.write(name + "\\n")
        return super().__getattribute__(name)
"""


@pytest.fixture(autouse=True)
def _as_hydra_does(monkeypatch, get_mode):
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", get_mode)


def status(folder):
    return json.loads((folder / "summary.json").read_text())["status"]


def test_the_folder_of_a_run_follows_its_pattern(nnrun, tmp_path):
    words = ("hydra.job.name=first", "hydra.run.dir=runs/${hydra.job.name}/${hydra.runtime.choices.model}")
    assert nnrun(*TINY, *words).code == 0
    assert status(tmp_path / "runs" / "first" / "mlp") == "completed"
    refused = nnrun(*TINY, *words)
    assert refused.code == 2
    assert refused.err.startswith("nnrun: hydra.run.dir=runs/first/mlp already holds a run.")


def test_a_job_is_called_nnrun_unless_it_is_given_a_name(nnrun, tmp_path):
    assert nnrun(*TINY, "hydra.run.dir=${hydra.job.name}").code == 0
    assert status(tmp_path / "nnrun") == "completed"


def test_the_folders_of_another_sweeper_follow_their_patterns(nnrun, tmp_path):
    folders = ("hydra.sweep.dir=all/${hydra.job.name}", "hydra.sweep.subdir=seed_${seed}")
    assert nnrun("-m", "hydra/sweeper=basic", *TINY, *folders, "seed=3,5").code == 0
    assert [status(tmp_path / "all" / "nnrun" / f"seed_{seed}") for seed in (3, 5)] == ["completed"] * 2


def test_the_folder_of_a_sweep_follows_its_pattern(nnrun, tmp_path):
    assert nnrun("-m", *TINY, "hydra.sweep.dir=all/${hydra.job.name}", "seed=3,5").code == 0
    assert (tmp_path / "all" / "nnrun" / "trials.csv").exists()


def test_a_job_may_work_in_its_folder_and_with_variables_of_its_own(nnrun, tmp_path):
    words = ("hydra.job.chdir=true", "+hydra.job.env_set.NNRUN_TRACEBACK='1'", "hydra.run.dir=run")
    assert nnrun(*TINY, *words).code == 0
    assert status(tmp_path / "run") == "completed"


def test_callbacks_of_ones_own_hear_of_everything(nnrun, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "told.py").write_text(CALLBACK)
    words = ("+hydra.callbacks.told._target_=told.Told", "hydra.run.dir=run")
    assert nnrun(*TINY, *words).code == 0
    told = (tmp_path / "told.txt").read_text().split()
    assert told == ["on_run_start", "on_job_start", "on_job_end", "on_run_end"]


def test_callbacks_of_ones_own_do_not_hear_of_a_job_that_is_refused(nnrun, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "told.py").write_text(CALLBACK)
    refused = nnrun(*TINY, "+hydra.callbacks.told._target_=told.Told", "training.epochs=0")
    assert (refused.code, refused.err) == (2, "nnrun: training.epochs must be >= 1, but got 0. Set for example "
    "training.epochs=auto.\n")  # fmt: skip
    assert not (tmp_path / "told.txt").exists()
    assert not (tmp_path / "outputs").exists()


def test_a_value_may_ask_hydra_for_what_it_knows(nnrun, tmp_path):
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    own = "defaults: [csv]\npath: ${hydra:runtime.cwd}/houses.csv\ntarget: median_house_value\n"
    (tmp_path / "conf" / "dataset" / "mine.yaml").write_text(own)
    write_housing(tmp_path / "houses.csv")
    assert nnrun("debug=tiny", "dataset=mine", "hydra.run.dir=run").code == 0
    assert f"path: {tmp_path}/houses.csv\n" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_value_may_name_the_folder_of_its_run(nnrun, tmp_path):
    words = ("training.trainable=['*','${hydra:runtime.output_dir}*']", "hydra.run.dir=run")
    refused = nnrun(*TINY, *words)
    assert refused.code == 2
    assert f"training.trainable has {tmp_path}/run*, which matches no weight." in refused.err
    assert not (tmp_path / "run").exists()


def test_hydras_own_words_are_written_down_when_asked_for(nnrun, tmp_path, monkeypatch):
    # Hydra raises these levels for the whole process, in which it then composes once more to show what it composed.
    for name in ("", "hydra", "hydra.core.utils"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.getLogger(name).level)
    assert nnrun(*TINY, "hydra.verbose=true", "hydra.run.dir=run").code == 0
    assert nnrun(*TINY, "hydra.output_subdir=.hydra", "hydra.run.dir=second").code == 0
    assert (tmp_path / "second" / ".hydra" / "overrides.yaml").read_text() == "- debug=tiny\n- dataset=iris\n"


@pytest.mark.parametrize(("what", "shown"), [("job", "model:\n"), ("hydra", "name: nnrun\n"), ("all", "hydra:\n")])
def test_a_config_is_shown_and_nothing_is_trained(nnrun, tmp_path, what, shown):
    done = nnrun(*TINY, "--cfg", what)
    assert done.code == 0
    assert shown in done.out
    assert not (tmp_path / "outputs").exists()


def test_a_run_is_composed_twice_and_built_once(nnrun, monkeypatch):
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    from nnrun.config import run_config

    counted = []

    def count(owner, name):
        kept = getattr(owner, name)

        def counting(*args, **given):
            counted.append(name)
            return kept(*args, **given)

        monkeypatch.setattr(owner, name, counting)

    count(ConfigLoaderImpl, "load_configuration")
    count(run_config, "build")
    assert nnrun(*TINY).code == 0
    assert sorted(counted) == ["build", "load_configuration", "load_configuration"]
