"""The test part's codes on a plane, and whether they lie in clusters that are the classes."""

from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from nnrun.report.base import FinishedRun
from nnrun.report.palette import COLOURS, figure, label
from nnrun.tasks.baselines.pca import fit_pca

POINTS = 3000
CLASSES = 20
SPREAD = 0.35
"""How far a row's points reach up and down; rows are 1 apart."""


def draw(run: FinishedRun) -> Figure | None:
    """One code unit in a row per group, two as they are, more through PCA; coloured by class or anomaly, if known."""
    if run.outputs.latent is None or len(run.outputs.latent) < 2:
        return None
    latent = np.asarray(run.outputs.latent, np.float64)
    plane, x, y = _rows(run, latent) if latent.shape[1] == 1 else _plane(latent)
    picture = figure(7.0, 5.4)
    axes = picture.subplots()
    for name, member, colour in _groups(run):
        x_values, y_values = plane[:POINTS][member[:POINTS]].T
        axes.scatter(x_values, y_values, s=9, alpha=0.75, linewidths=0, color=colour, label=name)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), markerscale=2)
    title, agrees = f"{run.title}: codes of the test part", agreement(run, latent)
    if agrees is not None:
        rand, mutual = agrees
        title += f"\nk-means beside the classes: adjusted Rand {rand:.2f}, normalized mutual information {mutual:.2f}"
    label(axes, title, x, y)
    if not y:
        axes.set_yticks([])
    return picture


def agreement(run: FinishedRun, latent: np.ndarray) -> tuple[float, float] | None:
    """How well as many clusters of the codes (n, latent) as there are classes agree with these: the adjusted Rand index
    (Hubert and Arabie, 1985), 0 by chance and 1 at best, and the mutual information over the mean of both entropies.

    None without classes, or with fewer different codes than classes.
    """
    labels = run.data.test.get("targets")
    if run.data.spec.classes is None or labels is None or labels.ndim != 1:
        return None
    labels, latent = labels[:POINTS], latent[:POINTS]
    count = len(np.unique(labels))
    if count < 2 or len(np.unique(latent, axis=0)) < count:
        return None
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    clusters = KMeans(count, n_init=10, random_state=0).fit_predict(latent)
    return adjusted_rand_score(labels, clusters), normalized_mutual_info_score(labels, clusters)


def _rows(run: FinishedRun, latent: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Codes (n, 1) as points (n, 2), the groups in rows in the order of the legend; and the names of the axes."""
    # Points of one line would hide each other: a fixed jitter spreads every group over a row.
    heights = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(latent))
    for row, (_, member, _) in enumerate(_groups(run)):
        heights[member] -= row
    return np.column_stack([latent[:, 0], heights]), "code unit 0", ""


def _plane(latent: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Codes (n, latent) as points (n, 2); and the names of the axes."""
    if latent.shape[1] == 2:
        return latent, "code unit 0", "code unit 1"
    plane = fit_pca(latent, 2).encode(latent)
    shares = plane.var(0) / max(latent.var(0).sum(), 1e-12)
    first, second = (f"principal component {i} ({share:.0%})" for i, share in enumerate(shares, 1))
    return plane, first, second


def _groups(run: FinishedRun) -> Iterator[tuple[str | None, np.ndarray, object]]:
    """The name, the members and the colour of each group that has a colour of its own."""
    data, labels = run.data, run.data.test.get("targets")
    if data.spec.classes is not None and data.spec.classes <= CLASSES and labels is not None and labels.ndim == 1:
        palette = matplotlib.colormaps["tab10" if data.spec.classes <= 10 else "tab20"]
        for number in range(data.spec.classes):
            name = data.class_names[number] if data.class_names else f"class {number}"
            members = labels == number
            # The training part never shows a class of which all test examples are anomalies.
            held_out = data.spec.anomalies and members.any() and data.test["anomaly"][members].all()
            yield f"{name} (held out)" if held_out else name, members, palette(number)
    elif data.spec.anomalies:
        yield "normal", data.test["anomaly"] == 0, COLOURS[0]
        yield "anomaly", data.test["anomaly"] == 1, COLOURS[1]
    else:
        yield None, np.ones(len(data.test["inputs"]), bool), COLOURS[0]
