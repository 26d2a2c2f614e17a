"""The house style of pictures: colours, empty figures, labelled panels, and how they are saved."""

from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from nnrun.host import disk

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours told apart with any colour vision (Okabe & Ito 2008): the model's is the first, a comparison's the second."""
TRUTH = "#333333"
"""The colour of what is true."""


def figure(width: float = 7.0, height: float = 4.2, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure in the house style (inches)."""
    return Figure(figsize=(width, height), layout=layout, dpi=120)


def rendered(figure: Figure) -> Image.Image:
    """The figure as pixels, with everything drawn once: `savefig` does it twice. Raises TypeError for anything else."""
    if not isinstance(figure, Figure):
        raise TypeError(f"draw(run) must return a Figure or None, but got {type(figure).__name__}")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def save(picture: Figure | Image.Image, path: Path) -> None:
    """Writes a picture as a png."""
    with disk.create(path) as file:
        (rendered(picture) if isinstance(picture, Figure) else picture).save(file, "png", compress_level=3)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Names a panel and its axes, in the house style: light grid, no frame on top and right."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def whole_numbers(axes: Axes, most: int = 9) -> None:
    """Ticks of the x axis at whole numbers only, at most one more than `most`, at least one."""
    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))
