"""Two CPU devices for every test, and the command run inside the test's own process."""

import os

from tests import compiling

os.environ.setdefault("NNRUN_CACHE", os.path.join(os.path.dirname(__file__), "..", ".pytest_cache", "nnrun"))
os.environ["HYDRA_FULL_ERROR"] = "1"
os.environ.setdefault("XLA_FLAGS", compiling.FLAGS)

import contextlib
import gc
import io
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from nnrun.commands import cli
from tests import sweep_folders
from tests.made_up_files import write_image_sets

jax.config.update("jax_num_cpu_devices", 2)
gc.set_threshold(cli.COLLECTED_AFTER)


class Finished(NamedTuple):
    """What a command left: its exit code, and what it wrote on the terminal."""

    code: int
    out: str
    err: str


def pytest_collection_modifyitems(items):
    """Long files come first, before all those that wait for other processes: at the end one core would be idle."""
    items.sort(key=lambda item: ("killed" not in item.path.name, item.path.name != "test_docs.py"))


@pytest.fixture(autouse=True, scope="session")
def _two_cores():
    """Two devices whatever the machine has, what was compiled once is kept, and reports are drawn in this process.

    Pictures take half of a small run, so that there are some only where a test asks for `pictures`.
    """
    import plotly.offline  # noqa: F401

    from nnrun.execution import devices

    with pytest.MonkeyPatch.context() as patch:
        sweep_folders.draw_nothing(patch)
        patch.setattr(devices, "cores", lambda: 2)
        devices.prepare()
        yield


@pytest.fixture(autouse=True, scope="session")
def get_mode():
    """Hydra's own look at a run's config for hydra.mode, for which it composes all of it once more.

    Tests of Hydra's conventions put it back; for all others it finds none, as it would.
    """
    from hydra._internal.hydra import Hydra

    kept = Hydra.get_mode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hydra, "get_mode", lambda *_, **__: None)
        yield kept


@pytest.fixture(scope="session")
def command():
    """Runs a command in a folder as `nnrun` would, without a new process."""
    return in_process()


def in_process():
    """What `command` is, for programs beside the tests."""

    def run(*words: str, folder: Path) -> Finished:
        out, err, argv, path = io.StringIO(), io.StringIO(), sys.argv, list(sys.path)
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.run(list(words))
            finally:
                sys.argv, sys.path[:] = argv, path
        return Finished(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """Keys that name the files of every set that is read from files, by the name of the set."""
    return write_image_sets(tmp_path_factory.mktemp("images"))


@pytest.fixture
def nnrun(command, tmp_path):
    """Runs a command in the test's own empty folder."""
    return lambda *words: command(*words, folder=tmp_path)


TINY = ("debug=tiny", "dataset=iris", "hydra.run.dir=run")
"""Words of the smallest run."""


@pytest.fixture(scope="session")
def finished_run(command, tmp_path_factory):
    """The folder of a small completed run, for reading only."""
    folder = tmp_path_factory.mktemp("finished")
    with sweep_folders.pictures():
        done = command(*TINY, folder=folder)
    assert done.code == 0, done
    return folder / "run"


@pytest.fixture(scope="session")
def make_config():
    """Builds a RunConfig from choices and dotted keys: make_config({"training.epochs": 2}, dataset="iris")."""
    from nnrun.config import choices as members
    from nnrun.config import run_config

    def make(values=(), **choices):
        names = {"model": "mlp", "dataset": "digits", "optimizer": "adam", "schedule": "constant"}
        names |= {"training": "default", **choices}
        plain = {group: members.load_choice(group, name) for group, name in names.items()}
        task = names.get("task") or plain["dataset"]["_task_"]
        plain |= {"task": members.load_choice("task", task), "seed": 0}
        plain |= {"objective": {"metric": "val/loss", "direction": "auto"}}
        for key, value in {"training.epochs": 20, **dict(values)}.items():
            *parents, last = key.split(".")
            node = plain
            for name in parents:
                node = node[name]
            assert last in node, key
            node[last] = value
        return run_config.build(plain)

    return make


@pytest.fixture
def pictures():
    """Draws what runs and sweeps draw."""
    with sweep_folders.pictures():
        yield
