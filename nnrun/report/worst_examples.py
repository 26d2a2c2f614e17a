"""The images that the network is most wrong about."""

import numpy as np
from matplotlib.figure import Figure
from scipy.special import log_softmax

from nnrun.report.base import FinishedRun
from nnrun.report.palette import figure, headline
from nnrun.report.reconstructions import mosaic
from nnrun.tasks.reconstruction import scaled_inputs

SHOWN = 20
COLUMNS = 5


def draw(run: FinishedRun) -> Figure | None:
    """Test images of the largest losses that are taken for another class, with what each is, and is taken for."""
    spec, logits = run.data.spec, run.logits()
    if spec.kind != "image" or spec.per_step or logits is None:
        return None
    labels, scores, names = run.labels(), log_softmax(logits, axis=1), run.class_names()
    loss, taken = -scores[np.arange(len(labels)), labels], scores.argmax(1)
    wrong = np.flatnonzero(taken != labels)
    if not len(wrong):
        return None
    chosen = wrong[np.argsort(-loss[wrong], kind="stable")[:SHOWN]]
    images = scaled_inputs(run.data, "test")[chosen]
    lines, (height, width) = -(-len(chosen) // COLUMNS), images.shape[1:3]
    picture = figure(1.5 * COLUMNS, 0.6 + lines * (0.5 + 1.35 * height / width))
    for axes, number in zip(picture.subplots(lines, COLUMNS, squeeze=False).flat, range(lines * COLUMNS), strict=True):
        axes.set_axis_off()
        if number < len(chosen):
            axes.imshow(mosaic(images[None, None, number], float(images.min()), float(images.max()))[:-1, :-1])
            which = chosen[number]
            sure = np.exp(scores[which, taken[which]])
            axes.set_title(f"{names[labels[which]]}, taken for\n{names[taken[which]]} ({sure:.2g})", fontsize=8)
    headline(picture, f"{run.title}: the worst of {len(wrong)} errors on {len(labels)} test images")
    return picture
