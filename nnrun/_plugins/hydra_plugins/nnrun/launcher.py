"""Adapter for Hydra's launchers."""

from hydra._internal.core_plugins.basic_launcher import BasicLauncher


class NnrunLauncher(BasicLauncher):
    """Leaves our trials to the sweep, which trains them in groups; runs jobs of another app one by one."""
