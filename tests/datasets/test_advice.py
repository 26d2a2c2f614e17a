"""What data sets advise does no harm, and what they can settle themselves they do."""

import numpy as np
import pytest
from PIL import Image

from nnrun.datasets.image_folder import ImageFolder, ImageFolderConfig
from nnrun.datasets.npz import Npz, NpzConfig
from nnrun.errors import ConfigError
from tests.datasets.tables import write


@pytest.mark.parametrize("target", ["quality", -1])
def test_a_task_of_regression_makes_numbers_of_a_few_whole_ones(target, make_config, tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(3, 63), "quality": [3 + i % 5 for i in range(60)]})
    values = {"dataset.path": str(path), "dataset.target": target}
    assert make_config(values, dataset="csv", task="regression").dataset.create().spec().task == "regression"
    assert make_config(values, dataset="csv", task="classification").dataset.create().spec().classes == 5
    stated = values | {"dataset.types": {target: "categorical"}}
    assert make_config(stated, dataset="csv", task="regression").dataset.create().spec().classes == 5


def test_the_same_of_arrays(make_config, tmp_path):
    np.savez(tmp_path / "a.npz", inputs=np.ones((60, 2)), targets=np.arange(60) % 5)
    values = {"dataset.path": str(tmp_path / "a.npz")}
    assert make_config(values, dataset="npz", task="regression").dataset.create().spec().task == "regression"
    assert make_config(values, dataset="npz", task="classification").dataset.create().spec().classes == 5


def test_arrays_that_are_stored_by_columns_are_read(tmp_path):
    values = np.asfortranarray(np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32))
    np.savez(tmp_path / "a.npz", inputs=values, targets=values[:, 0])
    plain = np.ascontiguousarray(values)
    np.savez(tmp_path / "b.npz", inputs=plain, targets=plain[:, 0])
    first, second = (Npz(NpzConfig(path=str(tmp_path / name))).load() for name in ("a.npz", "b.npz"))
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(first, part)["inputs"], getattr(second, part)["inputs"])


def test_images_of_a_test_folder_without_classes_are_told_as_that(tmp_path):
    image = Image.fromarray(np.zeros((4, 4), np.uint8))
    for name in ("train/cat", "train/dog", "test"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(5):
            image.save(tmp_path / name / f"{i}.png")
    with pytest.raises(ConfigError) as caught:
        ImageFolder(ImageFolderConfig(path=str(tmp_path))).spec()
    assert str(caught.value) == (
        f"{tmp_path}/test holds 5 images in no folder of a class, so their classes are unknown. Put each into the "
        "folder of its class, or move the whole folder elsewhere and let the trained network tell: nnrun "
        "predict RUN test"
    )
