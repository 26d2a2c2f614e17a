"""Every change against NumPy and SciPy, the whole against what was drawn, and trials in a group against single ones."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from nnrun.compose import compatible
from nnrun.config.run_config import AugmentationConfig
from nnrun.datasets.base import DataSpec
from nnrun.datasets.fields import Field
from nnrun.errors import ConfigError
from nnrun.models.kernels.randomness import Streams, uniform
from nnrun.training import augmentation
from nnrun.training.augmentation import augment
from tests.execution.lockstep import Trials, assert_close

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 7, 10, 3), np.uint8)
COLOURS = DataSpec("image", (7, 10, 3), (), "classification", classes=2)
CHANGES = [field.name for field in dataclasses.fields(AugmentationConfig)]


def streams(step=0):
    return Streams(jax.random.key(5), jnp.int32(step))


@pytest.mark.parametrize(("axis", "reversed_axis"), [(2, np.s_[:, ::-1]), (1, np.s_[::-1])])
def test_mirror_reverses_the_chosen_images_alone(axis, reversed_axis):
    chosen = np.array([True, False, True, True, False, False])
    found = augmentation.mirror(BYTES, chosen, axis)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [i[reversed_axis] if on else i for i, on in zip(BYTES, chosen, strict=True)])


@pytest.mark.parametrize(("outside", "border"), [(None, {"mode": "edge"}), (0, {}), (255, {"constant_values": 255})])
def test_crop_is_pad_and_slice(outside, border):
    moves = np.array([[0, 0], [3, -5], [-4, 5], [1, 1], [-1, 2], [4, 0]])
    padded = np.pad(BYTES, ((0, 0), (4, 4), (5, 5), (0, 0)), **border)
    expected = [padded[i, 4 + dy : 11 + dy, 5 + dx : 15 + dx] for i, (dy, dx) in enumerate(moves)]
    found = augmentation.crop(jnp.asarray(BYTES), jnp.asarray(moves), outside)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_crop_of_half_a_side_of_odd_images_stays_inside_the_border():
    moves = augmentation.whole_move(0.5, 7, jnp.array([-1.0, 0.0, np.nextafter(1, 0, dtype=np.float32)]))
    np.testing.assert_array_equal(moves, [-4, 0, 4])
    image, corners = jnp.ones((2, 7, 7, 1)), jnp.array([[4, 4], [-4, -4]])
    np.testing.assert_array_equal(augmentation.crop(image, corners, 0).sum((1, 2, 3)), [9, 9])


def test_every_whole_move_is_equally_likely():
    moves = augmentation.whole_move(0.125, 32, (jnp.arange(90_000) + 0.5) / 45_000 - 1)
    np.testing.assert_array_equal(np.unique(moves, return_counts=True), [range(-4, 5), [10_000] * 9])


@pytest.mark.parametrize("shape", [(7, 10, 3), (8, 8, 1)])
def test_rotation_is_bilinear_interpolation(shape):
    angles = np.float32([0, 17.5, -90, 133])
    images = RNG.uniform(0, 1, (4, *shape)).astype(np.float32)
    for outside, mode in ((None, "nearest"), (0, "grid-constant")):
        turned = [turn(image, angle, mode) for image, angle in zip(images, angles, strict=True)]
        found = jax.jit(lambda images, angles: augmentation.rotate(images, angles, outside))(images, angles)  # noqa: B023
        np.testing.assert_allclose(found, turned, atol=2e-5)


def turn(image, angle, mode="nearest"):
    return ndimage.rotate(image, angle, (1, 0), reshape=False, order=1, mode=mode, prefilter=False)


def test_rotation_by_a_right_angle_is_that_of_numpy():
    images = BYTES[:, :7, :7]
    found = jax.jit(augmentation.rotate)(images, np.full(6, 90.0, np.float32))
    np.testing.assert_allclose(found, np.rot90(images, 1, (1, 2)), atol=2e-3)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_colours(channels):
    images = RNG.uniform(0, 255, (4, 5, 6, channels)).astype(np.float32)
    factor = np.float32([0, 0.5, 1, 1.7])
    wide = factor[:, None, None, None]
    weights = [0.299, 0.587, 0.114] if channels == 3 else [1 / channels] * channels
    grey = (images @ np.array(weights))[..., None]
    mean = grey.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(augmentation.brighten(images, factor), images * wide, rtol=1e-5)
    np.testing.assert_allclose(
        augmentation.stretch_contrast(images, factor), mean + (images - mean) * wide, rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(
        augmentation.saturate(images, factor), grey + (images - grey) * wide, rtol=1e-4, atol=1e-3
    )


def test_all_together_do_to_each_image_what_was_drawn_for_it():
    strengths = AugmentationConfig(0.5, 0.4, 20.0, 0.3, 0.4, 0.5, 0.6)
    found = jax.jit(lambda images: augment(strengths, {"inputs": images}, streams(3), COLOURS))(BYTES)["inputs"]
    drawn = streams(3)
    first, second, angle, dy, dx, light, contrast, colour = (
        np.asarray(uniform(drawn.augmentation(), (6,))) for _ in range(8)
    )
    for i, image in enumerate(BYTES):
        image = image[:, ::-1] if first[i] < 0.5 else image
        image = (image[::-1] if second[i] < 0.4 else image).astype(np.float64)
        image = turn(image, 20 * (2 * angle[i] - 1))
        # 0.3 of 7 and 10 pixels: at most 2 and 3.
        y, x = int(dy[i] * 5) - 2, int(dx[i] * 7) - 3
        image = np.pad(image, ((2, 2), (3, 3), (0, 0)), "edge")[2 + y : 9 + y, 3 + x : 13 + x]
        image = image * (1 + 0.4 * (2 * light[i] - 1))
        mean = (image @ augmentation.LUMA).mean()
        image = mean + (image - mean) * (1 + 0.5 * (2 * contrast[i] - 1))
        grey = (image @ augmentation.LUMA)[..., None]
        image = grey + (image - grey) * (1 + 0.6 * (2 * colour[i] - 1))
        np.testing.assert_allclose(found[i], image.clip(0, 255), atol=2e-2)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shade", [0, 255])
def test_an_even_picture_stays_as_it_is(dtype, shade):
    even = np.full((16, 7, 10, 3), shade, dtype)
    moved = AugmentationConfig(flip=0.5, flip_vertical=0.5, rotation=180.0, crop=0.5)
    found = jax.jit(lambda images: augment(moved, {"inputs": images}, streams(), COLOURS)["inputs"])(even)
    np.testing.assert_allclose(found, even, rtol=1e-6)


def test_an_inverted_picture_is_moved_as_the_picture_is():
    moved = AugmentationConfig(flip=0.5, flip_vertical=0.5, rotation=180.0, crop=0.5)
    change = jax.jit(lambda images: augment(moved, {"inputs": images}, streams(1), COLOURS)["inputs"])
    np.testing.assert_allclose(change(255 - BYTES), 255 - change(BYTES), atol=1e-3)


def with_mask(**about):
    """A spec of BYTES with a mask of pixels, and a batch whose mask says which pixels of the image are bright."""
    mask = Field("mask_of_pixels", (7, 10), "uint8", answer=True, moves_with="inputs", **about)
    spec = dataclasses.replace(COLOURS, fields=(mask, Field("weight", (), "float32")))
    bright = np.where(BYTES.max(-1) > 200, 1, 2).astype(np.uint8)
    return spec, {"inputs": BYTES, "mask_of_pixels": bright, "weight": np.ones(6, np.float32)}


@pytest.mark.parametrize("strengths", [(0.5, 0.5), (0.0, 0.0, 0.0, 0.4), (0.5, 0.5, 0, 0.4)])
def test_a_mask_is_mirrored_and_cropped_with_its_image(strengths):
    spec, batch = with_mask()
    found = augment(AugmentationConfig(*strengths, brightness=0.5), batch, streams(2), spec)
    images = augment(AugmentationConfig(*strengths), batch, streams(2), COLOURS)["inputs"]
    assert not np.array_equal(images, BYTES)
    expected = np.where(np.asarray(images).max(-1) > 200, 1, 2)
    np.testing.assert_array_equal(found["mask_of_pixels"], expected)
    # With a value of its own beyond the edge, the mask differs there alone.
    spec, _ = with_mask(outside=255)
    marked = np.asarray(augment(AugmentationConfig(*strengths), batch, streams(2), spec)["mask_of_pixels"])
    np.testing.assert_array_equal(marked[marked != 255], expected[marked != 255])
    assert (marked == 255).any() == any(strengths[2:])
    assert (found["mask_of_pixels"].dtype, found["weight"]) == (np.uint8, batch["weight"])


def test_a_turned_mask_keeps_its_numbers_and_takes_the_nearest_pixel():
    spec, batch = with_mask(outside=9)
    angles = jnp.array([0.0, 45.0, 180.0, 31.0, -29.0, 11.0])
    mask = batch["mask_of_pixels"]
    found = np.asarray(jax.jit(lambda x: augmentation.rotate(x[..., None], angles, 9, nearest=True))(mask))[..., 0]
    # With an edge of its own, because SciPy takes no pixel for what lies less than half a pixel beyond the edge.
    wide = np.pad(mask, ((0, 0), (1, 1), (1, 1)), constant_values=9)
    turned = [
        ndimage.rotate(m, a, reshape=False, order=0, cval=9) for m, a in zip(wide, np.asarray(angles), strict=True)
    ]
    np.testing.assert_array_equal(found, np.array(turned)[:, 1:-1, 1:-1])
    np.testing.assert_array_equal(found[[0, 2]], [mask[0], mask[2, ::-1, ::-1]])
    both = augment(AugmentationConfig(rotation=40.0), batch, streams(), spec)
    assert set(np.unique(both["mask_of_pixels"])) == {1, 2, 9}
    assert both["mask_of_pixels"].dtype == np.uint8


def test_what_is_off_leaves_no_trace_and_draws_nothing():
    unused = streams()
    assert augment(AugmentationConfig(), {"inputs": BYTES}, unused, COLOURS)["inputs"] is BYTES
    assert unused._asked == 0


@pytest.mark.parametrize("name", CHANGES)
def test_steps_and_images_differ_and_equal_steps_agree(name):
    strengths = AugmentationConfig(**{name: 0.5 if name != "rotation" else 45.0})
    images = np.repeat(BYTES[:1], 64, 0)
    changed = jax.jit(
        lambda step: augment(strengths, {"inputs": jnp.asarray(images)}, streams(step), COLOURS)["inputs"]
    )
    first, again, other = (np.asarray(changed(step)) for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first.reshape(64, -1), axis=0)) > 1


def test_images_of_floats_have_no_bound():
    images = {"inputs": jnp.full((64, 4, 4, 1), 200.0)}
    found = augment(AugmentationConfig(brightness=1.0), images, streams(), COLOURS)["inputs"]
    assert found.max() > 300


IMAGES = {"model": "mlp", "dataset": "shapes"}
SMALL = {"dataset.limit": 30, "dataset.image_size": 8, "training.epochs": 2, "training.batch_size": 8}
SMALL |= {"model.hidden_sizes": [4], "training.devices": 1}


def augmented(make_config, **strengths):
    built = make_config(SMALL, **IMAGES)
    return dataclasses.replace(built, augmentation=AugmentationConfig(**strengths))


def test_a_sweep_over_strengths_is_one_program_and_its_trials_are_those_run_alone(make_config):
    low = {"flip": 0.2, "rotation": 5.0, "crop": 0.1, "contrast": 0.2}
    trials = Trials([augmented(make_config, **{n: (i + 1) * s for n, s in low.items()}) for i in range(3)])
    expected = [[epoch[0] for epoch in trials.epochs(run, 2)] for run in trials.alone()]
    grouped = trials.group(trials.compiled())
    before = grouped.evaluate(trials.data.val)
    assert len({one.loss for one in before}) == 1, "evaluation sees the images as they are"
    found = list(zip(*trials.epochs(grouped, 2), strict=True))
    assert_close(found, expected)
    assert len({float(epochs[1][0].loss) for epochs in found}) == 3


@pytest.mark.parametrize(
    ("dataset", "strengths", "text"),
    [
        ("iris", {"flip": 0.5}, "augmentation changes images, but dataset=iris is table data. Set augmentation=none."),
        (
            "shapes",
            {"saturation": 0.5},
            "augmentation.saturation needs red, green and blue, but dataset=shapes has 1 channel(s). "
            "Set augmentation.saturation=0.",
        ),
    ],
)
def test_data_that_it_does_not_suit_are_refused(make_config, dataset, strengths, text):
    built = dataclasses.replace(make_config(dataset=dataset), augmentation=AugmentationConfig(**strengths))
    with pytest.raises(ConfigError) as caught:
        compatible.check_fit(built)
    assert str(caught.value) == text
