"""Our sweeper with our task function, and with small apps that know nothing of us."""

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

import nnrun
from nnrun.compose.hydra_app import SweepJob
from nnrun.config import choices
from nnrun.errors import ConfigError
from nnrun.search.base import SearchConfig, Strategy

PLUGINS = Path(nnrun.__file__).parent / "_plugins"
WORDS = [
    "-m",
    f"hydra.searchpath=[file://{choices.conf_folder()}]",
    "hydra/sweeper=nnrun",
    "hydra/hydra_logging=none",
    "hydra/job_logging=none",
    "hydra.sweep.dir=sweep",
]
CONFIG = "x: 0\ny: 0\nname: nobody\n"


@dataclass(frozen=True)
class DownhillConfig(SearchConfig):
    pass


class Downhill(Strategy):
    """Asks for the middle first, then one to the left of the best."""

    config: DownhillConfig
    made = []

    def __init__(self, config: DownhillConfig, space):
        super().__init__(config, space)
        self.made.append(self)

    def propose(self, count):
        best = min(self.told, key=self.told.get, default=None)
        x = 8 if best is None else self.asked[best]["x"] - 1
        return [{"x": x - i, "y": 3} for i in range(min(count, 2))]


SEARCH = CONFIG + f"search:\n  _target_: {__name__}.Downhill\n  trials: 5\n  parallel_trials: 2\n"


@pytest.fixture
def app(tmp_path, monkeypatch, hydra_scans_anew):
    """Runs a task function with Hydra in an empty folder, and returns that folder."""
    monkeypatch.chdir(tmp_path)

    def run(job, *words, config=CONFIG):
        Path("config.yaml").write_text(config)
        monkeypatch.setattr(sys, "argv", ["app", *WORDS, *words])
        hydra.main(config_path=str(tmp_path), config_name="config", version_base="1.3")(job)()
        return tmp_path / "sweep"

    return run


def recorded(calls, cost=lambda cfg: 0.0):
    def job(cfg):
        calls.append(OmegaConf.to_container(cfg))
        return cost(cfg)

    return job


@pytest.mark.parametrize("launcher", ["nnrun", "basic"])
def test_another_app_gets_a_grid(app, launcher):
    calls = []
    folder = app(recorded(calls), f"hydra/launcher={launcher}", "x=1,2.5", "+extra=range(2)", "name='a, b'")
    assert calls == [{"x": x, "y": 0, "name": "a, b", "extra": extra} for x in (1, 2.5) for extra in (0, 1)]
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "3", "multirun.yaml"]


def test_its_own_search_is_asked_in_batches_and_told_costs(app):
    calls, made = [], Downhill.made
    made.clear()
    app(recorded(calls, lambda cfg: float(cfg.x)), "x=range(9)", "y=3,4", config=SEARCH)
    assert [call["x"] for call in calls] == [8, 7, 6, 5, 4]
    assert made[-1].told == {0: 8.0, 1: 7.0, 2: 6.0, 3: 5.0, 4: 4.0}


def test_a_space_in_its_config_gives_way_to_the_command_line(app):
    calls = []
    search = "search: {_target_: nnrun.search.grid.Grid, space: {x: 'choice(1,2)', y: [5, 6]}}\n"
    app(recorded(calls), "x=7", config=CONFIG + search)
    assert [(call["x"], call["y"]) for call in calls] == [(7, 5), (7, 6)]


def test_a_search_that_is_not_ours_is_left_alone(app):
    calls = []
    app(recorded(calls), "x=1,2", config=CONFIG + "search: {_target_: collections.OrderedDict, trials: 1}\n")
    assert [call["x"] for call in calls] == [1, 2]


def test_no_trial_is_asked_for_after_the_timeout(app):
    calls = []
    app(recorded(calls), "x=range(9)", config=SEARCH + "  timeout_seconds: 1e-9\n")
    assert not calls


def test_a_failed_job_surfaces_after_its_batch(app):
    calls = []
    with pytest.raises(ZeroDivisionError):
        app(recorded(calls, lambda cfg: 1 / cfg.x), "x=0,1,2", "hydra.sweeper.max_batch_size=2")
    assert [call["x"] for call in calls] == [0, 1]


def test_a_wrong_override_starts_no_job(app):
    calls = []
    with pytest.raises(hydra.errors.HydraException):
        app(recorded(calls), "x=1,2", "z=1,2")
    assert not calls


def never(*given):
    raise AssertionError("nothing is trained")


def test_our_task_function_runs_the_sweep_itself(app):
    seen = []

    app(
        SweepJob(never, lambda folder, launch: seen.append((folder, launch))), "hydra/launcher=nnrun", "x=interval(0,1)"
    )
    assert seen == [(Path("sweep"), None)]
    assert not Path("sweep").exists()


def test_our_task_function_gets_a_foreign_launcher(app):
    results = []

    class Job(SweepJob):
        def __call__(self, node):
            return node.x

    job = Job(never, lambda folder, launch: results.extend(launch([["x=1"], ["x=2"]], initial_job_idx=7)))
    folder = app(job, "hydra/launcher=basic", "x=interval(0,1)")
    assert [(result.return_value, result.overrides) for result in results] == [(1, ["x=1"]), (2, ["x=2"])]
    assert sorted(path.name for path in folder.iterdir()) == ["7", "8"]


def test_hydras_batch_size_is_not_ours(app):
    with pytest.raises(ConfigError) as error:
        app(SweepJob(never, never), "x=1,2", "hydra.sweeper.max_batch_size=2")
    assert str(error.value) == (
        "hydra.sweeper.max_batch_size is for other apps, but got 2. Set search.parallel_trials=2."
    )


FOREIGN = """
from pathlib import Path
import hydra

@hydra.main(config_path=".", config_name="config", version_base="1.3")
def job(cfg):
    Path(hydra.core.hydra_config.HydraConfig.get().runtime.output_dir, "cost").write_text(str(cfg.x**2))
    return cfg.x**2

job()
"""


def test_jobs_of_another_app_through_joblib(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "app.py").write_text(FOREIGN)
    paths = os.pathsep.join([str(PLUGINS), str(PLUGINS.parents[1])])
    words = [*WORDS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "x=1,2,3"]
    done = subprocess.run(
        [sys.executable, "app.py", *words], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert [(tmp_path / "sweep" / str(i) / "cost").read_text() for i in range(3)] == ["1", "4", "9"]


@pytest.mark.parametrize("path", sorted(PLUGINS.rglob("*.py")), ids=lambda path: path.stem)
def test_hydra_reads_our_adapters_without_loading_us(path):
    body = ast.parse(path.read_text()).body
    names = {node.module for node in body if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    ours = {name for name in names if name.split(".")[0] not in {"hydra", *sys.stdlib_module_names}}
    assert ours <= {"nnrun.config.choices"}
