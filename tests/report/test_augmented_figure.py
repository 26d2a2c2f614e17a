import numpy as np
import pytest

from nnrun import report
from nnrun.config.run_config import AugmentationConfig
from nnrun.datasets.image_folder import ImageFolder, ImageFolderConfig
from nnrun.report import augmented
from nnrun.report.base import FinishedRun
from tests.made_up_files import write_images


@pytest.fixture
def draw(tmp_path):
    write_images(tmp_path, 8)
    data = ImageFolder(ImageFolderConfig(path=str(tmp_path))).load()

    def drawn(augmentation):
        nothing = dict.fromkeys(("task", "model", "outputs"))
        run = FinishedRun("cnn on x", [], "val/loss", 1, data=data, metrics={}, baseline={}, **nothing)
        return data, report.draw("augmented", FinishedRun(**{**vars(run), "augmentation": augmentation}))

    return drawn


def test_originals_stand_beside_what_the_network_sees(draw):
    data, figure = draw(AugmentationConfig(flip=1.0))
    (image,) = figure.axes[0].images
    pixels, (height, width, _) = np.asarray(image.get_array()), data.spec.inputs
    assert pixels.shape == (augmented.IMAGES * (height + 1), (augmented.VERSIONS + 1) * (width + 1), 3)
    original, mirrored = pixels[:height, :width], pixels[:height, width + 1 : 2 * width + 1]
    np.testing.assert_allclose(original[:, ::-1], mirrored)
    assert figure.axes[0].get_xticklabels()[0].get_text() == "original"
    figure.canvas.draw()


@pytest.mark.parametrize("augmentation", [None, AugmentationConfig()])
def test_without_augmentation_there_is_no_figure(draw, augmentation):
    assert draw(augmentation)[1] is None
