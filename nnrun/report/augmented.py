"""Training images as they are, and as augmentation shows them to the network."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from nnrun.models.kernels.randomness import Streams
from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure, headline
from nnrun.report.reconstructions import show_mosaic
from nnrun.training.augmentation import augment

IMAGES = 6
VERSIONS = 9


def draw(run: FinishedRun) -> Figure | None:
    """A row for each of the first images: the original, then as many draws as fit. None without augmentation."""
    if run.augmentation is None or not run.augmentation.active:
        return None
    originals = np.asarray(run.data.train["inputs"][:IMAGES])
    repeated, streams = np.repeat(originals, VERSIONS, 0), Streams(jax.random.key(0), jnp.int32(0))
    changed = augment(run.augmentation, {"inputs": jnp.asarray(repeated)}, streams, run.data.spec)["inputs"]
    versions = np.asarray(changed, np.float32).reshape(len(originals), VERSIONS, *originals.shape[1:])
    tiles = np.concatenate([originals[:, None].astype(np.float32), versions], 1)
    height, width, _ = run.data.spec.inputs
    picture = figure(0.6 * (VERSIONS + 1) + 0.6, 0.8 + 0.6 * len(originals) * height / width)
    names = ["original", *(str(i + 1) for i in range(VERSIONS))]
    show_mosaic(picture.subplots(), tiles, originals, names, [])
    headline(picture, f"{run.title}: training images as the network sees them")
    return picture
