"""Hydra's own test suites on our sweeper and our launcher, each alone, and together where scripts are run."""

import runpy
import sys

import pytest
from hydra.test_utils import test_utils
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

from nnrun.config import choices

OURS = f"hydra.searchpath=[file://{choices.conf_folder()}]"
IN_ITS_FOLDER = "hydra.job.chdir=true"
SILENT = ["hydra/hydra_logging=none", "hydra/job_logging=none"]

pytestmark = pytest.mark.usefixtures("hydra_scans_anew")


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [
        ("nnrun", [OURS, IN_ITS_FOLDER, "hydra/sweeper=basic"]),
        ("basic", [OURS, IN_ITS_FOLDER, "hydra/sweeper=nnrun"]),
    ],
    ids=["our launcher", "our sweeper"],
)
class TestLauncher(LauncherTestSuite):
    pass


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("nnrun", [OURS, IN_ITS_FOLDER, "hydra/sweeper=nnrun", "hydra.sweeper.max_batch_size=2"])],
)
class TestBatches(BatchedSweeperTestSuite):
    pass


@pytest.fixture
def _scripts_in_this_process(monkeypatch):
    """Hydra's scripts run here, since a process each takes four times as long."""

    def run(words, env):
        monkeypatch.setattr(sys, "argv", words[1:])
        runpy.run_path(words[1], run_name="__main__")

    monkeypatch.setattr(test_utils.subprocess, "check_call", run)


@pytest.mark.usefixtures("_scripts_in_this_process")
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", OURS, *SILENT, "hydra/launcher=nnrun", "hydra/sweeper=nnrun"])],
    ids=["both"],
)
class TestIntegration(IntegrationTestSuite):
    pass
