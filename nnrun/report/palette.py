"""The house style of pictures: colours, empty figures, labelled panels, and how they are saved."""

import textwrap
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from nnrun.config.run_config import PictureFormat
from nnrun.host import disk

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours told apart with any colour vision (Okabe & Ito 2008): the model's is the first, a comparison's the second."""
DOTS_PER_INCH = 200
"""Of pictures in pixels, so that they can be printed."""
LETTERS_PER_INCH = 9
"""Of a figure's title; a line that is longer would be cut at the edge."""
TRUTH = "#333333"
"""The colour of what is true."""


def figure(width: float = 7.0, height: float = 4.2, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure in the house style (inches)."""
    return Figure(figsize=(width, height), layout=layout, dpi=DOTS_PER_INCH)


def rendered(figure: Figure, kind: PictureFormat = "png") -> Image.Image | bytes:
    """The figure as pixels, or as the content of a file of another format. Raises TypeError for anything else."""
    if not isinstance(figure, Figure):
        raise TypeError(f"draw(run) must return a Figure or None, but got {type(figure).__name__}")
    if kind != "png":
        content = BytesIO()
        # Without the date, so that the same run leaves the same bytes; names of what is drawn come from a fixed salt.
        with rc_context({"svg.hashsalt": "nnrun"}):
            figure.savefig(content, format=kind, metadata={"Date" if kind == "svg" else "CreationDate": None})
        return content.getvalue()
    # Everything is drawn once: `savefig` does it twice.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def save(picture: Figure | Image.Image | bytes, path: Path) -> None:
    """Writes a picture: pixels as a png."""
    found = rendered(picture) if isinstance(picture, Figure) else picture
    with disk.create(path) as file:
        if isinstance(found, bytes):
            file.write(found)
        else:
            found.save(file, "png", compress_level=3, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))


def headline(picture: Figure, text: str) -> None:
    """The title of a whole figure, in as many lines as it takes."""
    letters = int(LETTERS_PER_INCH * picture.get_figwidth())
    picture.suptitle("\n".join(textwrap.wrap(text, letters, break_on_hyphens=False)), fontsize=11)


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Names a panel and its axes, in the house style: light grid, no frame on top and right."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(axes: Axes) -> None:
    """A legend to the right of the panel, where it covers no data."""
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)


def whole_numbers(axes: Axes, most: int = 9) -> None:
    """Ticks of the x axis at whole numbers only, at most one more than `most`, at least one."""
    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))
