"""Evaluation's chunks: every example once, whatever the sizes."""

import numpy as np
import pytest

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.training import batches


def part(count):
    return {"inputs": np.arange(count, dtype=np.float32)[:, None], "targets": np.arange(count, dtype=np.int32)}


@pytest.mark.parametrize(("val", "test"), [(1, 1), (2, 5), (255, 256), (257, 300), (8192, 8193), (20_001, 7)])
def test_every_example_is_in_the_chunks_of_its_part_exactly_once(val, test):
    scaling = Scaling(np.zeros(1), np.ones(1))
    data = Data(DataSpec("table", (1,), (), "classification", classes=2), part(3), part(val), part(test), scaling)
    shape = batches.chunk_shape(data)
    assert shape[1] % 2 == 0
    for of in (data.train, data.val, data.test):
        found = list(batches.chunks(of, shape))
        assert all(chunk["inputs"].shape == (*shape, 1) and chunk["mask"].shape == shape for chunk in found)
        seen = np.concatenate([chunk["targets"][chunk["mask"] == 1] for chunk in found])
        np.testing.assert_array_equal(seen, of["targets"])
        for chunk in found:
            np.testing.assert_array_equal(chunk["index"], chunk["targets"])
            np.testing.assert_array_equal(chunk["inputs"][..., 0], chunk["targets"])
