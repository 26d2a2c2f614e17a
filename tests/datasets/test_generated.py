import numpy as np
import pytest

from nnrun.datasets.adding import Adding, AddingConfig
from nnrun.datasets.friedman1 import Friedman1, Friedman1Config
from nnrun.datasets.shapes import SHAPES, Shapes, ShapesConfig
from nnrun.datasets.spirals import Spirals, SpiralsConfig
from nnrun.datasets.two_moons import TwoMoons, TwoMoonsConfig
from nnrun.datasets.xor import Xor, XorConfig


def examples(dataset):
    part = dataset.examples(np.random.default_rng(0))
    return part["inputs"], part["targets"]


@pytest.mark.parametrize("length", [2, 7, 100])
def test_adding_targets_are_the_marked_sums(length):
    inputs, targets = examples(Adding(AddingConfig(length=length)))
    values, marks = inputs[..., 0], inputs[..., 1]
    np.testing.assert_allclose((values * marks).sum(1), targets[:, 0], rtol=1e-6)
    assert set(np.unique(marks)) <= {0, 1}
    half = length // 2
    np.testing.assert_array_equal(marks[:, :half].sum(1), 1)
    np.testing.assert_array_equal(marks[:, half:].sum(1), 1)
    assert marks.any(axis=0).all()
    assert 0 <= values.min() < values.max() < 1
    assert abs(targets.var() - 1 / 6) < 0.01
    assert abs(targets.mean() - 1) < 0.02


def test_friedman1_is_its_formula():
    x, y = examples(Friedman1(Friedman1Config(noise=0.0)))
    x = x.astype(np.float64)
    expected = [10 * np.sin(np.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e for a, b, c, d, e in x[:, :5]]
    np.testing.assert_allclose(y[:, 0], expected, atol=1e-4)
    _, noisy = examples(Friedman1(Friedman1Config(noise=2.0)))
    assert abs((noisy - y).std() - 2.0) < 0.1


def test_xor_classes_are_in_opposite_quadrants():
    points, labels = examples(Xor(XorConfig(noise=0.05)))
    np.testing.assert_array_equal(labels, points[:, 0] * points[:, 1] < 0)
    np.testing.assert_allclose(abs(points).mean(0), 1, atol=0.02)


def test_two_moons_lie_on_their_half_circles():
    points, labels = examples(TwoMoons(TwoMoonsConfig(noise=0.0)))
    upper, lower = points[labels == 0], points[labels == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, atol=1e-6)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, atol=1e-6)
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5
    assert len(upper) == len(lower) == 500


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_spirals_turn_as_often_as_asked(classes):
    points, labels = examples(Spirals(SpiralsConfig(classes=classes, turns=2.0, noise=0.0)))
    radius = np.hypot(*points.T)
    angle = np.arctan2(points[:, 1], points[:, 0])
    off = angle - 2 * np.pi * (2.0 * radius + labels / classes)
    np.testing.assert_allclose(np.cos(off), 1, atol=1e-5)
    assert radius.max() <= 1
    assert Spirals(SpiralsConfig(classes=classes)).load().class_names[-1] == f"arm {classes - 1}"


def test_shapes_are_whole_and_of_the_right_area():
    images, labels = examples(Shapes(ShapesConfig(image_size=32, classes=6, noise=0.0, examples=600)))
    assert images.min() == 0
    assert images.max() == 1
    areas = [np.pi, 4, 3 * np.sqrt(3) / 4, 20 / 9, np.pi * 0.75, 2]
    squared_radius = (32**2) * (0.4**3 - 0.2**3) / (3 * 0.2)
    for label, area in enumerate(areas):
        of_class = images[labels == label]
        assert len(of_class) == 100
        found = of_class.sum(axis=(1, 2, 3)).mean()
        assert abs(found / (area * squared_radius) - 1) < 0.15, SHAPES[label].__name__
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]])
    assert border.mean() < 0.05


def test_shapes_distances_are_zero_on_their_edges():
    one, zero = np.array([1.0]), np.array([0.0])
    circle, square, triangle, cross, ring, diamond = SHAPES
    for shape in (circle, square, cross, ring, diamond):
        np.testing.assert_allclose(shape(one, zero, one), 0, atol=1e-12)
    np.testing.assert_allclose(triangle(zero, -one, one), 0, atol=1e-12)
    np.testing.assert_allclose(triangle(one * np.sqrt(3) / 2, one / 2, one), 0, atol=1e-12)
    np.testing.assert_allclose(ring(one / 2, zero, one), 0, atol=1e-12)
    assert cross(one * 0.9, one * 0.9, one) > 0 > cross(one * 0.9, zero, one)
