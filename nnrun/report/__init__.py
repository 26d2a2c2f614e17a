"""Pictures: one module per figure, each with `draw(run) -> Figure | None`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nnrun.report.base import FinishedRun

__all__ = ["draw", "drawn"]


def draw(name: str, run: "FinishedRun") -> "Figure | None":
    """The figure of module `name`, or None where the run has nothing to show."""
    figure: Figure | None = import_module(f"nnrun.report.{name}").draw(run)
    return figure


def drawn(run: "FinishedRun") -> "dict[str, Figure]":
    """Every figure that the task and the model have to show, by name."""
    names = dict.fromkeys((*run.task.figures, *run.model.figures, "augmented"))
    figures = {name: draw(name, run) for name in names}
    return {name: figure for name, figure in figures.items() if figure is not None}
