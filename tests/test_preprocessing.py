import json

import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling, Series
from nnrun.errors import ConfigError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing


def fitted():
    spec = DataSpec("series", (7, 2), (3, 1), "forecasting")
    part = {"inputs": np.zeros((4, 7, 2), np.float32), "targets": np.zeros((4, 3, 1), np.float32)}
    third = np.float32([1 / 3, np.pi])
    scaling, of_targets = Scaling(third, third + 1), Scaling(third[1:], third[1:] + 1)
    series = Series(12, np.float32([0.1]), (1,))
    return Preprocessing.of(Data(spec, part, part, part, scaling, of_targets, ("a", "b"), ("b",), series=series))


def test_what_was_saved_comes_back_bit_for_bit(tmp_path):
    saved = fitted()
    saved.save(tmp_path)
    found = preprocessing.read(tmp_path)
    assert (found.spec, found.input_names, found.reader) == (saved.spec, saved.input_names, saved.reader)
    assert np.array_equal(found.input_scaling.offset, saved.input_scaling.offset)
    assert np.array_equal(found.series.naive_error, saved.series.naive_error)
    assert (found.series.period, found.series.target_columns) == (12, (1,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reader": {"name": "os.system", "shape": [7, 2]}}, "damaged or of another version ('os.system')"),
        ({"reader": {"name": "arrays", "shape": "large"}}, "damaged or of another version"),
        ({"reader": []}, "damaged or of another version (Expected `object`, got `array`)"),
        ({"reader": {"name": ["x"]}}, "damaged or of another version (Expected `str`, got `array`)"),
        ({"spec": 3}, "damaged or of another version"),
        ({"target_names": None}, "damaged or of another version"),
    ],
)
def test_what_no_run_writes_is_refused_with_the_file_and_the_next_move(tmp_path, change, said):
    fitted().save(tmp_path)
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError) as error:
        preprocessing.read(tmp_path)
    assert said in str(error.value)
    assert f"Train again: nnrun repeat {tmp_path}" in str(error.value)


@pytest.mark.parametrize("shape", [[2**40, 2], [0, 2], [-1, 2]])
def test_absurd_shapes_are_refused_before_any_memory_is_taken(tmp_path, shape):
    fitted().save(tmp_path)
    path = tmp_path / "preprocessing.json"
    content = json.loads(path.read_text())
    content["spec"]["inputs"] = shape
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="which no run writes"):
        preprocessing.read(tmp_path)


def test_what_is_no_object_is_told_without_pythons_internals(tmp_path):
    (tmp_path / preprocessing.NAME).write_text("[]")
    with pytest.raises(ConfigError) as caught:
        preprocessing.read(tmp_path)
    assert "is damaged or of another version (Expected `object`, got `array`). Train again:" in str(caught.value)
