"""What every unit of a generative network's code does to an image."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from nnrun.models.base import in_one_program
from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure, headline
from nnrun.report.reconstructions import mosaic

MOST = 12
"""Units that are drawn, those that vary most over the test part."""
STEPS = 9
REACH = 3.0


def draw(run: FinishedRun) -> Figure | None:
    """A row per unit: images of codes that are 0 but for this unit, which goes from -3 to 3."""
    latent = run.outputs.latent
    if run.data.spec.kind != "image" or latent is None or not hasattr(run.model, "sample"):
        return None
    units = np.argsort(-np.asarray(latent).var(0), kind="stable")[:MOST]
    values = np.linspace(-REACH, REACH, STEPS)
    codes = np.zeros((len(units), STEPS, latent.shape[1]), np.float32)
    codes[np.arange(len(units)), :, units] = values
    rows = codes.reshape(-1, latent.shape[1])
    decoded = in_one_program(run.model, lambda model, code: model.decoded(code)[0], jnp.asarray(rows))
    images = np.asarray(jax.device_get(decoded), np.float32)
    picture = figure(0.9 + 0.62 * STEPS, 0.9 + 0.62 * len(units))
    axes = picture.subplots()
    cells = images.reshape(len(units), STEPS, *images.shape[1:])
    drawn = mosaic(cells, float(images.min()), float(images.max()))
    axes.imshow(drawn, extent=(0, STEPS, len(units), 0))
    axes.set_yticks(np.arange(len(units)) + 0.5, [f"unit {unit}" for unit in units])
    axes.set_xticks(np.arange(STEPS) + 0.5, [f"{value:g}" for value in values])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    headline(picture, f"{run.title}: codes along every unit, the others at 0")
    return picture
