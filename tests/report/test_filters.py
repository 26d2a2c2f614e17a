import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.models.base import Outputs
from nnrun.report import feature_maps, filters
from nnrun.report.base import FinishedRun
from nnrun.report.feature_maps import strongest


class Net(nnx.Module):
    """Only what the pictures ask of a network; its last map is what it saw."""

    def __init__(self, kernel, maps):
        self.kernel, self.maps = nnx.data(kernel), nnx.data(maps)

    def first_kernel(self):
        return self.kernel

    def feature_maps(self, x):
        return [*self.maps, x]


def run(model, shape, examples=2):
    spec = DataSpec("image" if len(shape) == 3 else "series", shape, (), "classification", 3)
    part = {"inputs": np.random.default_rng(0).normal(size=(examples, *shape)), "targets": np.zeros(examples, np.int32)}
    data = Data(spec, part, part, part, Scaling(np.full(1, 1.0), np.full(1, 2.0)))
    return FinishedRun("net on set", [], "val/loss", 1, data, None, model, Outputs(np.zeros(1)), {}, {})


def drawn(figure):
    return [axes for axes in figure.axes if axes.images or axes.lines]


def test_every_filter_is_an_image_on_one_scale():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 1, 10))
    figure = filters.draw(run(Net(kernel, []), (8, 8, 1)))
    panels = drawn(figure)
    assert len(panels) == 10
    for index, axes in enumerate(panels):
        np.testing.assert_allclose(axes.images[0].get_array(), kernel[..., 0, index], rtol=1e-6)
        assert axes.images[0].get_clim() == pytest.approx((-np.abs(kernel).max(), np.abs(kernel).max()))


def test_filters_of_colour_images_and_series():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 70))
    figure = filters.draw(run(Net(kernel, []), (8, 8, 3)))
    assert len(drawn(figure)) == 64
    assert "64 of 70" in figure.get_suptitle()
    assert drawn(figure)[0].images[0].get_array().shape == (3, 3, 3)
    lines = drawn(filters.draw(run(Net(kernel[0], []), (8, 3))))[0].lines
    np.testing.assert_allclose(lines[1].get_ydata(), kernel[0][:, 1, 0], rtol=1e-6)


@pytest.mark.parametrize(("shape", "extents"), [((8, 8, 1), (4, 4)), ((8, 2), (4,))])
def test_feature_maps_show_the_channels_that_differ_most(shape, extents):
    maps = np.random.default_rng(2).normal(size=(1, *extents, 12)) * np.arange(12)
    net = Net(None, [maps, maps[..., :3]])
    finished = run(net, shape)
    figure = feature_maps.draw(finished)
    panels = drawn(figure)
    assert len(panels) == 1 + 8 + 3 + shape[-1]
    first = strongest((finished.data.test["inputs"][0] - 1) / 2)[0]
    assert panels[12].get_title() == f"#{first}"
    first = np.ptp(maps.reshape(-1, 12), axis=0).argmax()
    assert figure.axes[1].get_title() == f"#{first}"


def test_the_maps_of_a_block_share_a_scale_and_are_framed():
    maps = np.array([1.0, 5.0, 3.0]).reshape(1, 1, 1, 3)
    panels = drawn(feature_maps.draw(run(Net(None, [maps]), (8, 8, 1))))[1:4]
    assert [axes.get_title() for axes in panels] == ["#1", "#2", "#0"]
    assert [axes.images[0].get_array().item() for axes in panels] == [1, 0.5, 0]
    assert all(axes.axison and axes.spines["top"].get_edgecolor() == (0.6, 0.6, 0.6, 1) for axes in panels)


def test_the_lines_of_a_block_share_a_scale():
    maps = np.random.default_rng(2).normal(size=(1, 5, 3))
    panels = drawn(feature_maps.draw(run(Net(None, [maps]), (8, 2))))[1:4]
    (low, high) = {axes.get_ylim() for axes in panels}.pop()
    assert all(axes.get_ylim() == (low, high) for axes in panels)
    assert low < maps.min() < maps.max() < high


def test_nothing_to_show():
    assert filters.draw(run(object(), (8, 8, 1))) is None
    assert feature_maps.draw(run(object(), (8, 8, 1))) is None
    assert feature_maps.draw(run(Net(None, []), (8, 8, 1), examples=0)) is None
