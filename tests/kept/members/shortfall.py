"""A figure of one's own: how far predictions stay below the truth."""

import numpy as np
from matplotlib.figure import Figure


def draw(run):
    """A histogram of the test part, and the task's table beside it; None without predictions."""
    missed = run.data.test["targets"] - run.predicted()
    if not missed.size:
        return None
    figure = Figure(figsize=(4, 2), dpi=50)
    left, right = figure.subplots(1, 2)
    left.hist(np.ravel(missed), bins=8)
    left.set_title(run.metric_caption("pinball"))
    right.plot(*run.tables["along_x"].values())
    answers, _ = run.model({"inputs": run.data.input_scaling.apply(run.data.test["inputs"])})
    right.set_title(f"{len(answers.prediction)} points, constant {run.baseline.get('test/pinball', {})}"[:40])
    figure.suptitle(f"{run.title}, {len(run.history)} epochs")
    return figure
