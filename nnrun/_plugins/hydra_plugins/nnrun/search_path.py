"""Adds the user's own `./conf` to Hydra's search path."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from nnrun.config.choices import conf_folders


class UserConf(SearchPathPlugin):
    """A `./conf` in the current folder is searched after ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Appends the folder where it exists."""
        for folder in conf_folders()[1:]:
            search_path.append("user", f"file://{folder}")
