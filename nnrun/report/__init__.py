"""Pictures of runs: one module per figure, each with `draw(run) -> Figure | None`.

`figures` of a task or a model names modules of this package, or modules of the user's that lie beside ./conf.
"""

import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnrun import schema
from nnrun.errors import ConfigError
from nnrun.host import own_code
from nnrun.host.interruption import Interrupted

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from nnrun.config.run_config import PictureFormat
    from nnrun.report.base import FinishedRun

AUGMENTED = "augmented"
"""The figure of what augmentation does, where there is any, whatever the task and the model name."""
THROUGH_TRAINING = {"through_training", "layer_gradients"}
"""Figures that want the network at several epochs."""
IN_THE_LOG = "The traceback is in run.log."


@cache
def ours() -> frozenset[str]:
    """Names of the figures of this package, read off its files, because importing them would import matplotlib."""
    files = Path(__file__).parent.glob("*.py")
    return frozenset(path.stem for path in files if "\ndef draw(run: " in path.read_text(encoding="utf-8"))


def check(*members: Any) -> None:
    """Raises ConfigError for a figure of a task or a model that is nowhere to be found, or that cannot draw.

    Modules of the user's are imported for it.
    """
    for member in members:
        for name in member.figures:
            if name in ours():
                continue
            key, alike = f"{member.__name__}.figures:", () if "." in name else ours()
            if not callable(schema.locate(f"{name}.draw", key, alike)):
                raise ConfigError(f"{key} {name}.draw must be a function draw(run) that returns a Figure or None.")


def draw(name: str, run: "FinishedRun") -> "Figure | None":
    """The figure of module `name`, or None where the run has nothing to show."""
    module = own_code.imported(f"nnrun.report.{name}" if name in ours() else name)
    figure: Figure | None = module.draw(run)
    return figure


def drawn(
    run: "FinishedRun", say: Callable[[str], None], log: Callable[[str], None], kind: "PictureFormat" = "png"
) -> "dict[str, Image | bytes]":
    """Every picture that the task and the model have to show, by name, in the format of `palette.rendered`.

    One that fails is left out: `say` gets a sentence on it, `log` the traceback.
    """
    from nnrun.report.palette import rendered

    pictures: dict[str, Image | bytes] = {}
    always = (AUGMENTED,) if run.augmentation is not None and run.augmentation.active else ()
    for name in dict.fromkeys((*run.task.figures, *run.model.figures, *always)):
        try:
            figure = draw(name, run)
            if figure is not None:
                pictures[name] = rendered(figure, kind)
        except Interrupted:
            raise
        except Exception as error:
            say(f"The figure {name} could not be drawn. {own_code.told(error, IN_THE_LOG, anywhere=True)}")
            log(traceback.format_exc())
    return pictures
