"""A run's folder, its tables and arrays."""

from pathlib import Path

import numpy as np
import pytest

from nnrun.folders.run_folder import RunFolder


@pytest.mark.parametrize("label", ["file", "allow_pickle", "args", "row"])
def test_a_label_may_have_any_name(tmp_path: Path, label: str) -> None:
    columns = {label: np.array(["a.png", "b.png"]), "prediction": np.arange(6.0).reshape(2, 3)}
    RunFolder(tmp_path).write_columns("predictions", columns)
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {label, "prediction"}
        assert archive[label].tolist() == ["a.png", "b.png"]
        np.testing.assert_array_equal(archive["prediction"], columns["prediction"])
