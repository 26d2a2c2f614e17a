import numpy as np
from matplotlib.figure import Figure

from nnrun.datasets.base import DataSpec
from nnrun.models.base import Outputs
from nnrun.report import compression
from nnrun.report.base import FinishedRun


def run(**tables):
    spec = DataSpec("table", (2,), None, "reconstruction")
    return FinishedRun("net on set", [], "val/loss", 1, spec, None, None, Outputs(np.zeros(1)), {}, {}, tables)


def test_a_line_per_method():
    table = {
        "method": np.array(["pca", "jpeg", "pca"]),
        "bytes": np.array([4.0, 9, 2]),
        "mse": np.array([0.1, 0.3, 0.2]),
    }
    picture = compression.draw(run(compression=table))
    assert isinstance(picture, Figure)
    lines = {line.get_label(): line.get_xdata().tolist() for line in picture.axes[0].get_lines()}
    assert lines == {"pca": [2, 4], "jpeg": [9]}
    assert compression.draw(run()) is None
