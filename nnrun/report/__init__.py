"""Pictures: one module per figure, each with `draw(run) -> Figure | None`."""

from importlib import import_module

from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun

__all__ = ["FinishedRun", "draw"]


def draw(name: str, run: FinishedRun) -> Figure | None:
    """The figure of module `name`, or None where the run has nothing to show."""
    return import_module(f"nnrun.report.{name}").draw(run)
