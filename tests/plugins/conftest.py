"""Hydra with our plugin folder, whatever an earlier test let it scan."""

import copy
from pathlib import Path

import pytest
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton

import nnrun


@pytest.fixture
def hydra_scans_anew(monkeypatch):
    state = copy.copy(Singleton.get_state()["instances"])
    monkeypatch.syspath_prepend(Path(nnrun.__file__).parent / "_plugins")
    Singleton._instances.pop(Plugins, None)
    yield
    Singleton._instances = state
