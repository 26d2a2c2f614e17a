"""What a network of few inputs has learned, at several epochs: a fitted curve, or where classes are told apart."""

import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nnrun.models.base import of_each
from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, TRUTH, figure, headline, label

POINTS = 200
"""Values along an input."""
MOST_INPUTS = 12
MOST_CLASSES = 10
SHOWN = 1000
"""Test examples that are drawn at most."""


def draw(run: FinishedRun) -> Figure | None:
    """Classes of two numbers: regions per stage of the training. A number from up to 12: a curve per stage along each
    of the inputs, the others at their mean. None for everything else."""
    spec = run.data.spec
    if spec.kind != "table" or len(spec.inputs) != 1 or spec.categories:
        return None
    if spec.classes is not None and spec.inputs == (2,) and spec.classes <= MOST_CLASSES:
        return _regions(run)
    if spec.classes is None and spec.targets == (1,) and spec.inputs[0] <= MOST_INPUTS:
        return _curves(run)
    return None


def _answers(run: FinishedRun, raw: np.ndarray) -> dict[str, np.ndarray]:
    """What the network answers to raw inputs, by the names of the stages in their order; the kept one is the last."""
    names = ["untrained" if epoch == 0 else f"epoch {epoch}" for epoch in run.stages]
    names.append(f"epoch {run.best_epoch}, kept" if run.best_epoch else "kept")
    scaled = jnp.asarray(run.data.input_scaling.apply(raw), jnp.float32)
    models = [*run.stages.values(), run.model]
    found = of_each(models, lambda net, x: net({"inputs": x})[0].prediction, scaled)
    return dict(zip(names, map(np.asarray, found), strict=True))


def _regions(run: FinishedRun) -> Figure:
    test = run.data.test
    inputs = test["inputs"][:SHOWN]
    low, high = test["inputs"].min(0), test["inputs"].max(0)
    low, high = low - 0.08 * (high - low), high + 0.08 * (high - low)
    across, up = (np.linspace(low[i], high[i], POINTS) for i in (0, 1))
    grid = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    colours, stages = matplotlib.colormaps["tab10"], _answers(run, grid)
    columns = min(len(stages), 4)
    rows = -(-len(stages) // columns)
    picture = figure(0.4 + 2.5 * columns, 0.5 + 2.6 * rows)
    panels = picture.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, answer) in zip(panels, stages.items(), strict=False):
        # One logit is that of the second class.
        chosen = (answer[:, 0] > 0).astype(int) if answer.shape[1] == 1 else answer.argmax(1)
        extent = (low[0], high[0], low[1], high[1])
        regions = colours(chosen.reshape(POINTS, POINTS))
        axes.imshow(regions, origin="lower", extent=extent, aspect="auto", alpha=0.35)
        axes.scatter(*inputs.T, s=5, c=colours(test["targets"][:SHOWN]), linewidths=0)
        axes.set_title(name, fontsize=9, loc="left")
        axes.set(xticks=[], yticks=[])
    for axes in panels[len(stages) :]:
        axes.set_axis_off()
    names = (*run.data.input_names, "input 1", "input 2")[:2]
    headline(picture, f"{run.title}: where classes are told apart ({names[0]} across, {names[1]} up)")
    return picture


def _curves(run: FinishedRun) -> Figure:
    data = run.data
    count = data.spec.inputs[0]
    columns = min(count, 4)
    rows = -(-count // columns)
    picture = figure(1.0 + 2.6 * columns, 0.8 + 2.3 * rows)
    panels = picture.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    test = data.test["inputs"]
    middle, target = data.train["inputs"].mean(0), (*data.target_names, "target")[0]
    low, high = np.quantile(test, (0.01, 0.99), axis=0)
    alongs = [np.linspace(low[i], high[i], POINTS) for i in range(count)]
    grid = np.tile(middle, (count * POINTS, 1))
    for i, along in enumerate(alongs):
        grid[i * POINTS : (i + 1) * POINTS, i] = along
    stages = _answers(run, grid)
    shades = matplotlib.colormaps["Blues"](np.linspace(0.3, 0.75, max(len(stages) - 1, 1)))
    for number, (name, answer) in enumerate(stages.items()):
        values = (answer if data.target_scaling is None else data.target_scaling.invert(answer)).reshape(count, POINTS)
        is_kept = number == len(stages) - 1
        colour = COLOURS[1] if is_kept else shades[number]
        for axes, along, curve in zip(panels, alongs, values, strict=False):
            axes.plot(along, curve, color=colour, linewidth=2 if is_kept else 1.1, label=name)
    for i, axes in enumerate(panels[:count]):
        label(axes, "", (*data.input_names, *[f"input {i + 1}"] * count)[i], target if i % columns == 0 else "")
    if count == 1:
        panels[0].scatter(test[:SHOWN, 0], data.test["targets"][:SHOWN, 0], s=6, color=TRUTH, alpha=0.4, zorder=0)
    for axes in panels[count:]:
        axes.set_axis_off()
    names = panels[0].get_legend_handles_labels()
    picture.legend(*names, frameon=False, fontsize=8, loc="outside lower center", ncols=len(stages))
    others = "" if count == 1 else ", the other inputs at their means"
    headline(picture, f"{run.title}: the fitted curve through training{others}")
    return picture
