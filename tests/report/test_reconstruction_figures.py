import dataclasses
import io

import jax
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.models.autoencoder import Autoencoder, AutoencoderConfig
from nnrun.models.vae import VAE, VAEConfig
from nnrun.report import anomaly_scores, latent_map, reconstructions, samples, traversal
from nnrun.report.base import FinishedRun
from nnrun.report.reconstructions import mosaic
from nnrun.tasks.reconstruction import Reconstruction, ReconstructionConfig, errors, scaled_inputs

SCORES = {"pca": 0.6, "median_distance": 0.7}
SHAPES = {"image": (4, 3, 1), "table": (12,), "series": (6, 2)}


def finished(kind="image", config=None, anomalies=False, n=30, classes=3):
    config = config or AutoencoderConfig(hidden_sizes=(4,), latent_size=3)
    rng = np.random.default_rng(0)
    spec = DataSpec(kind, SHAPES[kind], () if classes else None, "classification", classes, anomalies=anomalies)
    part = {"inputs": rng.normal(size=(n, *spec.inputs)).astype(np.float32)}
    if classes:
        part["targets"] = rng.integers(0, classes, n).astype(np.int32)
    if anomalies:
        part["anomaly"] = (np.arange(n) % 4 == 0).astype(np.int32)
    data = Data(spec, part, part, part, Scaling(np.float32(0), np.float32(1)), input_names=tuple("abcdefghijkl"))
    task = Reconstruction(ReconstructionConfig(), spec)
    kinds = {AutoencoderConfig: Autoencoder, VAEConfig: VAE}
    model = kinds[type(config)](config, spec, task.output_spec(), rngs=nnx.Rngs(0))
    batch = {"inputs": scaled_inputs(data, "test"), "index": np.arange(n, dtype=np.int32)}
    outputs = jax.tree.map(np.asarray, model(batch)[0])
    metrics = {"test/mse": 0.5, "test/auroc": 0.75}
    return FinishedRun("toy", [], "val/loss", 1, data, task, model, outputs, metrics, {"test/auroc": SCORES})


def drawn(picture):
    picture.savefig(io.BytesIO())
    return [axes for axes in picture.axes if axes.has_data()]


@pytest.mark.parametrize("kind", SHAPES)
def test_reconstructions(kind):
    noisy = AutoencoderConfig(hidden_sizes=(4,), latent_size=3, input_noise=0.3)
    run = finished(kind, noisy, anomalies=True)
    axes = drawn(reconstructions.draw(run))
    rows = ["clean", "noisy", "rebuilt"]
    if kind == "image":
        assert [text.get_text() for text in axes[0].get_yticklabels()] == rows
        captions = [text.get_text() for text in axes[0].get_xticklabels()]
        assert len(captions) == 10
    else:
        assert [text.get_text() for text in axes[0].get_legend().get_texts()] == rows
        captions = [a.get_title("left") for a in axes]
        assert len(captions) == 4
    shown = [float(caption.split("\n")[0]) for caption in captions]
    assert shown == sorted(shown)


def test_without_noise_the_first_row_is_the_input():
    (axes,) = drawn(reconstructions.draw(finished()))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["input", "rebuilt"]


def test_small_test_parts_are_drawn_whole():
    (axes,) = drawn(reconstructions.draw(finished(n=3)))
    assert len(axes.get_xticks()) == 3


def test_mosaic():
    images = np.array([[[[0.0], [4.0]]], [[[2.0], [9.0]]]])[:, None]
    np.testing.assert_array_equal(mosaic(images, 0, 4)[..., 0], [[0, 1, 1], [1, 1, 1], [0.5, 1, 1], [1, 1, 1]])
    colours = np.random.default_rng(0).uniform(size=(1, 2, 3, 3, 3))
    np.testing.assert_array_equal(mosaic(colours, 0, 1)[:3, 4:7], colours[0, 1])


@pytest.mark.parametrize("latent", [2, 5])
def test_latent_map_by_class(latent):
    run = finished(config=AutoencoderConfig(hidden_sizes=(4,), latent_size=latent))
    (axes,) = drawn(latent_map.draw(run))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["class 0", "class 1", "class 2"]
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    assert len(points) == 30
    if latent == 2:
        np.testing.assert_allclose(np.sort(points[:, 0]), np.sort(run.outputs.latent[:, 0]), rtol=1e-6)


def test_latent_map_says_whether_clusters_are_the_classes():
    run = finished(n=60)
    labels, rng = run.data.test["targets"], np.random.default_rng(1)
    spread = rng.normal(0, 0.05, (60, 2))
    apart = np.eye(3)[labels, :2] + spread
    assert latent_map.agreement(run, apart) == pytest.approx((1.0, 1.0))
    rand, mutual = latent_map.agreement(run, np.eye(3)[rng.permutation(labels), :2] + spread)
    assert abs(rand) < 0.1
    assert mutual < 0.2
    assert latent_map.agreement(run, np.zeros((60, 2))) is None
    assert latent_map.agreement(finished(classes=None), apart[:30]) is None
    (axes,) = drawn(latent_map.draw(dataclasses.replace(run, outputs=run.outputs._replace(latent=apart))))
    assert axes.get_title("left").endswith("adjusted Rand 1.00, normalized mutual information 1.00")


def test_latent_map_without_classes():
    (axes,) = drawn(latent_map.draw(finished(classes=None, anomalies=True)))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["normal", "anomaly"]
    (axes,) = drawn(latent_map.draw(finished(classes=None)))
    assert axes.get_legend() is None


def test_latent_map_names_the_class_held_out():
    run = finished(anomalies=True)
    part = run.data.test | {"anomaly": (run.data.test["targets"] == 1).astype(np.int32)}
    (axes,) = drawn(latent_map.draw(dataclasses.replace(run, data=dataclasses.replace(run.data, test=part))))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["class 0", "class 1 (held out)", "class 2"]


def test_latent_map_of_one_unit_has_a_row_per_class():
    run = finished(config=AutoencoderConfig(hidden_sizes=(4,), latent_size=1))
    (axes,) = drawn(latent_map.draw(run))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["class 0", "class 1", "class 2"]
    for number, points in enumerate(axes.collections):
        codes, heights = np.asarray(points.get_offsets()).T
        np.testing.assert_allclose(codes, run.outputs.latent[run.data.test["targets"] == number, 0], rtol=1e-6)
        assert set(heights.round()) == {-number}
    assert list(axes.get_yticks()) == []


@pytest.mark.parametrize("kind", SHAPES)
def test_samples(kind):
    run = finished(kind, VAEConfig(hidden_sizes=(4,), latent_size=3))
    (axes,) = drawn(samples.draw(run))
    height, width = SHAPES["image"][:2]
    if kind == "image":
        assert axes.images[0].get_array().shape == (6 * (height + 1), 6 * (width + 1), 3)
    else:
        assert len(axes.lines) == 2 * 36
    assert samples.draw(finished(kind)) is None


def test_a_traversal_has_a_row_per_unit_and_moves_one_of_them():
    run = finished("image", VAEConfig(hidden_sizes=(4,), latent_size=3))
    (axes,) = drawn(traversal.draw(run))
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert sorted(names) == ["unit 0", "unit 1", "unit 2"]
    assert int(names[0][-1]) == run.outputs.latent.var(0).argmax()
    image = axes.images[0].get_array()
    height, width = SHAPES["image"][:2]
    assert image.shape == (3 * (height + 1), 9 * (width + 1), 3)
    middle = [image[5 * row : 5 * row + 4, 4 * (width + 1) : 5 * (width + 1) - 1] for row in range(3)]
    np.testing.assert_allclose(middle[0], middle[1], atol=1e-5)
    assert np.abs(image[:4, :3] - middle[0]).max() > 0.01
    assert traversal.draw(finished("table", VAEConfig(hidden_sizes=(4,), latent_size=3))) is None
    assert traversal.draw(finished()) is None


@pytest.mark.parametrize(("n", "shape"), [(1, (5, 4)), (5, (10, 12)), (1000, (100, 80))])
def test_grid_of_any_number(n, shape):
    (axes,) = drawn(samples.grid(np.ones((n, 4, 3, 1), np.float32), "image", "toy", (0.0, 2.0)))
    assert axes.images[0].get_array().shape[:2] == shape


def test_anomaly_scores():
    run = finished(anomalies=True)
    picture = anomaly_scores.draw(run)
    (axes,) = drawn(picture)
    assert picture.get_suptitle() == "toy: auroc 0.75; best baseline: median_distance, auroc 0.7"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["normal (22)", "anomalous (8)"]
    error = errors(run.outputs, run.data)
    with_flags = dataclasses.replace(run, data=dataclasses.replace(run.data, error_threshold=float(np.median(error))))
    (axes,) = drawn(anomaly_scores.draw(with_flags))
    at = axes.lines[0].get_xdata()[0]
    logarithmic = axes.get_xlabel().startswith("log10")
    assert at == pytest.approx(np.log10(np.median(error)) if logarithmic else np.median(error))
    assert axes.get_legend().get_texts()[2].get_text() == "threshold from validation"
    assert anomaly_scores.draw(finished()) is None
