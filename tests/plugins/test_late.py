"""Our plugins in a Hydra that was in use before nnrun."""

import subprocess
import sys

SCRIPT = """
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

def found():
    return {plugin.__name__ for plugin in Plugins.instance().discover(SearchPathPlugin)}

assert "UserConf" not in found()
from nnrun.compose import compose
compose.prepare_imports()
assert "UserConf" in found()
assert "hydra_plugins.nnrun.sweeper.NnrunSweeper" in Plugins.instance().class_name_to_class
"""


def test_a_hydra_that_has_scanned_already_learns_them(tmp_path):
    """In a process of its own: what an earlier test imported stays importable."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
