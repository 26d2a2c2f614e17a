"""A run's folder, its tables and arrays."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from nnrun.folders import columns_file
from nnrun.folders.run_folder import RunFolder
from nnrun.trained import prediction


@pytest.mark.parametrize("label", ["file", "allow_pickle", "args", "row"])
def test_a_label_may_have_any_name(tmp_path: Path, label: str) -> None:
    columns = {label: np.array(["a.png", "b.png"]), "prediction": np.arange(6.0).reshape(2, 3)}
    RunFolder(tmp_path).write_columns("predictions", columns)
    with np.load(tmp_path / "predictions.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {label, "prediction"}
        assert archive[label].tolist() == ["a.png", "b.png"]
        np.testing.assert_array_equal(archive["prediction"], columns["prediction"])


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_blocks_are_joined_and_none_but_the_last_is_held_in_memory(tmp_path: Path, ending: str) -> None:
    held: list[weakref.ref[np.ndarray]] = []
    expected = []
    with columns_file.writing(tmp_path / f"out.{ending}") as write:
        for i in range(20):
            values = np.arange(100.0) + 100 * i
            names = np.array([f"{'long ' * (i % 7)}name {value:.0f}" for value in values])
            write({"value": values, "name": names, "count": np.arange(100, dtype=np.int16 if i else np.int64)})
            expected += names.tolist()
            held.append(weakref.ref(values))
            del values
            assert ending == "parquet" or not any(array() is not None for array in held)
    assert [path.name for path in tmp_path.iterdir()] == [f"out.{ending}"]
    if ending == "npz":
        found = dict(np.load(tmp_path / "out.npz"))
    else:
        read = polars.read_csv if ending == "csv" else polars.read_parquet
        found = {name: column.to_numpy() for name, column in read(tmp_path / f"out.{ending}").to_dict().items()}
    assert found["value"].tolist() == list(range(2000))
    assert found["name"].tolist() == expected
    assert found["count"].tolist() == [*range(100)] * 20


def test_a_disk_that_is_full_for_a_parquet_file_is_an_error_of_the_disk(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise polars.exceptions.ComputeError("No space left on device")

    monkeypatch.setattr(polars.LazyFrame, "sink_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        prediction.write([{"value": np.arange(3)}] * 5, tmp_path / "out.parquet", (), False)
    assert not list(tmp_path.iterdir())
