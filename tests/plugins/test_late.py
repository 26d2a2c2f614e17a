"""Our plugins in a Hydra that was in use before nnrun."""

import sys
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.search_path_plugin import SearchPathPlugin

import nnrun
from nnrun import composition


def found():
    return {plugin.__name__ for plugin in Plugins.instance().discover(SearchPathPlugin)}


def test_a_hydra_that_has_scanned_already_learns_them(hydra_scans_anew, monkeypatch):
    ours = str(Path(nnrun.__file__).parent / "_plugins")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != ours])
    Singleton._instances.pop(Plugins, None)
    assert "UserConf" not in found()
    composition.prepare_imports()
    assert "UserConf" in found()
    assert "hydra_plugins.nnrun.sweeper.NnrunSweeper" in Plugins.instance().class_name_to_class
