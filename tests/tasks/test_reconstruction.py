import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.datasets import base as data_module
from nnrun.datasets.base import Data, DataSpec, Scaling
from nnrun.errors import ConfigError
from nnrun.models.base import Outputs
from nnrun.tasks import metrics
from nnrun.tasks.baselines import pca as pca_module
from nnrun.tasks.baselines.distances import distances
from nnrun.tasks.baselines.isolation_forest import isolation_forest
from nnrun.tasks.baselines.pca import fit_pca
from nnrun.tasks.reconstruction import Reconstruction, ReconstructionConfig, errors, scaled_inputs

SHAPE = (3, 4)


def make_data(anomalies=True, n=40, seed=0):
    rng = np.random.default_rng(seed)
    spec = DataSpec("series", SHAPE, None, "reconstruction", anomalies=anomalies)
    scaling = Scaling(np.array([1.0, 2, 3, 4], np.float32), np.array([2.0, 1, 4, 3], np.float32))

    def part(count):
        marks = {"anomaly": (np.arange(count) % 3 == 0).astype(np.int32)} if anomalies else {}
        return {"inputs": rng.normal(size=(count, *SHAPE)).astype(np.float32), **marks}

    return Data(spec, part(n), part(9), part(11), scaling)


def task(loss="mse", anomalies=True, **spec):
    return Reconstruction(
        ReconstructionConfig(loss), DataSpec("series", SHAPE, None, "reconstruction", anomalies=anomalies, **spec)
    )


def fake_outputs(data, seen=False, seed=1):
    clean, rng = scaled_inputs(data, "test"), np.random.default_rng(seed)
    predicted, noisy = (clean + size * rng.normal(size=clean.shape).astype(np.float32) for size in (0.1, 0.5))
    return Outputs(predicted, np.zeros((len(clean), 2), np.float32), seen=noisy if seen else None)


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_cross_entropy"])
def test_losses_by_hand(loss):
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(5, *SHAPE)), rng.uniform(size=(5, *SHAPE))
    p = 1 / (1 + np.exp(-logits))
    expected = {
        "mse": (p - x) ** 2,
        "mae": np.abs(p - x),
        "binary_cross_entropy": -x * np.log(p) - (1 - x) * np.log(1 - p),
    }[loss].mean((1, 2))
    with jax.enable_x64(True):
        outputs = Outputs(jnp.asarray(p), logits=jnp.asarray(logits))
        np.testing.assert_allclose(task(loss).loss(outputs, {"inputs": jnp.asarray(x)}), expected, rtol=1e-12)


def test_cross_entropy_survives_certain_logits():
    def loss(z):
        outputs = Outputs(jax.nn.sigmoid(z), logits=z)
        return task("binary_cross_entropy").loss(outputs, {"inputs": jnp.ones((1, *SHAPE))}).sum()

    z = jnp.full((1, *SHAPE), -200.0)
    assert float(loss(z)) == pytest.approx(200.0)
    np.testing.assert_allclose(jax.grad(loss)(z), -1 / 12, rtol=1e-6)


def test_metrics_ignore_padding_and_add_up_over_batches():
    data = make_data()
    outputs, clean = fake_outputs(data), scaled_inputs(data, "test")
    sums, rows = [], []
    for start in (0, 4, 8):
        keep = np.arange(start, min(start + 4, 11))
        pad = np.concatenate([keep, np.zeros(4 - len(keep), int)])
        batch = {
            "inputs": jnp.asarray(clean[pad]),
            "anomaly": jnp.asarray(data.test["anomaly"][pad]),
            "mask": jnp.asarray(np.arange(4) < len(keep), jnp.float32),
        }
        found = task().statistics(Outputs(jnp.asarray(outputs.prediction[pad])), batch, None)
        sums.append({name: np.asarray(value) for name, value in found.sums.items()})
        rows.append({name: np.asarray(value)[: len(keep)] for name, value in found.rows.items()})
    total = {name: sum(s[name] for s in sums) for name in sums[0]}
    joined = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
    metrics = task().finish(total, joined, data)
    difference = (outputs.prediction - clean).reshape(11, -1).astype(np.float64)
    error, marks = (difference**2).mean(1), data.test["anomaly"]
    pairs = [(a > b) + 0.5 * (a == b) for a in error[marks == 1] for b in error[marks == 0]]
    assert tuple(metrics) == task().metric_names() == ("mse", "mae", "auroc")
    assert metrics["mse"] == pytest.approx(error.mean(), rel=1e-5)
    assert metrics["mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert metrics["auroc"] == pytest.approx(np.mean(pairs))


def test_a_penalised_code_is_told_to_be_sparse_or_not():
    data = make_data(anomalies=False)
    code = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0.001, -1, 0]], np.float32)
    clean = scaled_inputs(data, "test")[:4]
    batch = {"inputs": jnp.asarray(clean), "mask": jnp.array([1.0, 1, 1, 1])}
    outputs = Outputs(jnp.asarray(clean), jnp.asarray(code))
    own = task(anomalies=False)
    plain = own.statistics(outputs, batch, None)
    found = own.statistics(outputs._replace(penalties={"sparsity": jnp.zeros(4)}), batch, None)
    rows = {name: np.asarray(values) for name, values in found.rows.items()}
    metrics = own.finish({name: np.asarray(value) for name, value in found.sums.items()}, rows, data)
    assert "active_share" not in plain.sums
    assert metrics["active_share"] == pytest.approx((0.25 + 1 + 0 + 0.5) / 4)
    last = 2 - (2.001 / np.sqrt(2.000001))
    assert metrics["sparseness"] == pytest.approx((1 + 0 + 1 + last) / 4, rel=1e-5)


def test_no_auroc_without_both_classes():
    sums = {"squared": np.float32(2), "absolute": np.float32(3), "examples": np.float32(4)}
    rows = {"error": np.arange(4.0), "anomaly": np.zeros(4)}
    assert task().finish(sums, rows, make_data()) == {"mse": 0.5, "mae": 0.75}
    assert task(anomalies=False).metric_names() == ("mse", "mae")


def test_decode_gives_original_units():
    data = make_data()
    outputs = fake_outputs(data, seen=True)
    found = task().decode(outputs, data)
    assert set(found) == {"inputs", "seen", "reconstruction", "error", "latent", "anomaly"}
    expected = outputs.prediction * data.input_scaling.scale + data.input_scaling.offset
    np.testing.assert_allclose(found["reconstruction"], expected, rtol=1e-6)
    expected = ((outputs.prediction - scaled_inputs(data, "test")) ** 2).mean((1, 2))
    np.testing.assert_allclose(found["error"], expected, rtol=1e-5)
    assert set(task(anomalies=False).decode(fake_outputs(make_data(False)), make_data(False))) == {
        "inputs", "reconstruction", "error", "latent",
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(50, 6), (5, 9)])
def test_pca_is_the_eigendecomposition_of_the_covariance(shape):
    rows = np.random.default_rng(0).normal(size=shape) @ np.diag(np.arange(1, shape[1] + 1))
    pca = fit_pca(rows.astype(np.float32).astype(np.float64), 3)
    covariance = np.cov(rows, rowvar=False)
    values = np.sort(np.linalg.eigvalsh(covariance))[::-1][:3]
    np.testing.assert_allclose(covariance @ pca.components, pca.components * values, atol=2e-4)
    np.testing.assert_allclose(pca.components.T @ pca.components, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(pca.encode(rows).var(0, ddof=1), values, rtol=1e-5)


def test_pca_with_every_component_is_exact():
    rows = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_allclose(fit_pca(rows, 99).reconstruct(rows), rows, atol=1e-12)


def test_pca_against_scikit_learn():
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).normal(size=(60, 8)) @ np.diag(np.arange(1, 9))
    theirs = PCA(3, svd_solver="full").fit(rows)
    np.testing.assert_allclose(
        fit_pca(rows, 3).reconstruct(rows), theirs.inverse_transform(theirs.transform(rows)), atol=1e-10
    )


@pytest.mark.parametrize("shape", [(300, 40), (40, 300)])
def test_pca_of_large_data_leaves_the_same_error(shape, monkeypatch):
    rows = np.random.default_rng(0).normal(size=shape) * np.geomspace(5, 0.1, shape[1])
    rows = rows.astype(np.float32) + 3
    whole = fit_pca(rows, 5).reconstruct(rows) - rows
    monkeypatch.setattr(pca_module, "MOST_PRODUCTS", 0)
    leading = fit_pca(rows, 5).reconstruct(rows) - rows
    assert (leading**2).mean() == pytest.approx((whole**2).mean(), rel=1e-4)
    np.testing.assert_array_equal(fit_pca(rows, 5).components, fit_pca(rows, 5).components)


def test_the_range_of_the_inputs_is_found_block_by_block(monkeypatch):
    data = make_data()
    monkeypatch.setattr(data_module, "ROWS_AT_ONCE", 7)
    train = scaled_inputs(data, "train")
    assert data.input_range == (float(train.min()), float(train.max()))


def test_baselines():
    data = make_data(n=5000)
    clean, train = scaled_inputs(data, "test").reshape(11, -1), scaled_inputs(data, "train").reshape(5000, -1)
    found = task().baselines(fake_outputs(data), data)
    assert set(found) == {"pca", "median_distance", "isolation_forest"}
    difference = fit_pca(train, 2).reconstruct(clean) - clean
    assert found["pca"]["mse"] == pytest.approx((difference**2).mean(), rel=1e-5)
    assert found["pca"]["mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-5)
    assert 0 <= found["pca"]["auroc"] <= 1


def test_baselines_of_a_denoiser_start_from_the_noisy_inputs():
    data = make_data(anomalies=False)
    outputs = fake_outputs(data, seen=True)
    clean, seen = scaled_inputs(data, "test").reshape(11, -1), outputs.seen.reshape(11, -1)
    found = task(anomalies=False).baselines(outputs, data)
    assert found["noisy_input"]["mse"] == pytest.approx(((seen - clean) ** 2).mean(), rel=1e-5)
    pca = fit_pca(scaled_inputs(data, "train").reshape(40, -1), 2)
    assert found["pca"] == {
        "mse": pytest.approx(((pca.reconstruct(seen) - clean) ** 2).mean(), rel=1e-5),
        "mae": pytest.approx(np.abs(pca.reconstruct(seen) - clean).mean(), rel=1e-5),
    }


@pytest.mark.parametrize("units", [11, 12, 13])
def test_a_code_that_holds_all_inputs_has_no_pca_beside_it(units, caplog):
    data = make_data()
    outputs = fake_outputs(data, seen=True)._replace(latent=np.zeros((11, units), np.float32))
    with caplog.at_level(logging.INFO, "nnrun"):
        found = task().baselines(outputs, data)
    assert found.keys() - {"median_distance", "isolation_forest"} == (
        {"noisy_input", "pca"} if units < 12 else {"noisy_input"}
    )
    assert caplog.messages == [
        f"Note: there is no PCA baseline, because a code of {units} units can hold the inputs as they are. "
        "For a comparison set model.latent_size below 12, the number of inputs."
    ] * (units >= 12)


def test_cross_entropy_error_texts():
    with pytest.raises(ConfigError) as caught:
        task("binary_cross_entropy").loss(Outputs(jnp.zeros((1, *SHAPE))), {"inputs": jnp.zeros((1, *SHAPE))})
    assert str(caught.value) == (
        "task.loss=binary_cross_entropy needs predictions between 0 and 1, but the model's are linear. "
        "Set model.output_activation=sigmoid and a dataset.scaling to 0..1."
    )
    data = make_data()
    data.train["inputs"][:] = np.where(np.arange(4) == 0, 5.0, 0.0)
    with pytest.raises(ConfigError) as caught:
        Reconstruction.prepare(ReconstructionConfig("binary_cross_entropy"), data)
    assert str(caught.value) == (
        "task.loss=binary_cross_entropy needs inputs between 0 and 1, but the scaled training inputs lie between "
        "-2 and 2. Set dataset.scaling=minmax, or task.loss=mse."
    )


def test_unequal_lengths_are_refused():
    with pytest.raises(ConfigError) as caught:
        task(lengths=True).output_spec()
    assert str(caught.value) == (
        "task=reconstruction needs numeric examples of equal length, but the data set has sequences of unequal "
        "length. Set task=auto."
    )


def test_the_threshold_is_the_quantile_of_the_validation_errors():
    data = make_data()
    data = dataclasses.replace(data, val=data.test)
    outputs, quarter = fake_outputs(data), Reconstruction(ReconstructionConfig(threshold_quantile=0.75), data.spec)
    assert data.error_threshold is None
    assert "flagged" not in quarter.decode(outputs, data)
    threshold = quarter.calibrate(lambda: outputs, data).error_threshold
    error = errors(outputs, data)
    assert threshold == pytest.approx(np.quantile(error, 0.75))
    flagged = quarter.decode(outputs, dataclasses.replace(data, error_threshold=threshold))["flagged"]
    np.testing.assert_array_equal(flagged, error > threshold)


def test_metrics_of_the_flags_by_hand():
    data = dataclasses.replace(make_data(), error_threshold=1.0)
    sums = {"squared": np.float32(2), "absolute": np.float32(3), "examples": np.float32(4)}
    rows = {"error": np.array([2.0, 0, 0, 3, 0, 2]), "anomaly": np.array([0, 0, 1, 1, 0, 0])}
    images = Reconstruction(ReconstructionConfig(), dataclasses.replace(data.spec, kind="image"))
    found = images.finish(sums, rows, data)
    assert found["flagged"] == 3 / 6
    assert found["false_alarms"] == 2 / 4
    assert found["recall"] == 1 / 2
    assert found["precision"] == 1 / 3
    assert "anomalies_found" not in found, "images have no order"
    series = Reconstruction(ReconstructionConfig(), dataclasses.replace(data.spec, kind="series"))
    found = series.finish(sums, rows, data)
    expected = {"anomalies_found": 1.0, "episodes": 3.0, "false_episodes": 2.0}
    assert {name: found[name] for name in expected} == expected
    shifts = [metrics.stretches_found(rows["anomaly"], np.roll(rows["error"] > 1, shift)) for shift in range(6)]
    assert found["found_by_chance"] == np.mean(np.array(shifts) == 1)
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 6) / 2)
    assert "average_precision" not in series.finish(sums, rows, make_data()), "not in every epoch"
    rows = {"error": np.array([2.0, 0, 0, 0]), "anomaly": np.array([1, 0, 1, 1])}
    assert series.finish(sums, rows, data)["anomalies_found"] == 0.5
    assert series.finish(sums, {"error": rows["error"]}, data).keys() == {"mse", "mae", "flagged"}


def test_distances_are_those_of_the_newest_step_from_what_is_usual():
    data = make_data()
    places = np.arange(40) % 2, np.array([1] * 10 + [2])
    found = distances(dataclasses.replace(data, places=places))
    train, test = (scaled_inputs(data, part)[:, -1] for part in ("train", "test"))
    np.testing.assert_allclose(found["median_distance"], ((test - np.median(train, 0)) ** 2).mean(1), rtol=1e-5)
    usual = np.stack([train[1::2].mean(0)] * 10 + [train.mean(0)])  # training never shows the last place
    np.testing.assert_allclose(found["season_distance"], ((test - usual) ** 2).mean(1), rtol=1e-5)
    assert set(distances(data)) == {"median_distance"}
    images = dataclasses.replace(data, spec=dataclasses.replace(data.spec, kind="image", inputs=SHAPE))
    flat = [scaled_inputs(data, part).reshape(-1, 12) for part in ("train", "test")]
    expected = ((flat[1] - np.median(flat[0], 0)) ** 2).mean(1)
    np.testing.assert_allclose(distances(images)["median_distance"], expected, rtol=1e-5)


def test_distances_stand_beside_the_network_where_anomalies_are_marked():
    data = dataclasses.replace(make_data(), places=(np.arange(40) % 2, np.arange(11) % 2))
    found = task().baselines(fake_outputs(data), data)
    assert set(found) == {"pca", "median_distance", "season_distance", "isolation_forest"}
    assert found["median_distance"].keys() == found["isolation_forest"].keys() == {"auroc", "average_precision"}
    unmarked = make_data(anomalies=False)
    assert set(task(anomalies=False).baselines(fake_outputs(unmarked), unmarked)) == {"pca"}
    chosen = Reconstruction(ReconstructionConfig(baselines=("season_distance",)), data.spec)
    assert set(chosen.baselines(fake_outputs(data), data)) == {"season_distance"}
    alike = dataclasses.replace(data, test=data.test | {"anomaly": np.zeros(11, np.int32)})
    assert set(task().baselines(fake_outputs(data), alike)) == {"pca"}, "there is nothing to find"


def test_the_forest_is_scikit_learns_on_the_inputs_as_they_are():
    from sklearn.ensemble import IsolationForest

    data = make_data()
    train, test = (part["inputs"].reshape(-1, 12) for part in (data.train, data.test))
    expected = IsolationForest(random_state=0).fit(train).score_samples(test)
    np.testing.assert_array_equal(isolation_forest(data), -expected)
    odd = data.test["inputs"].copy()
    odd[4] += 20
    assert isolation_forest(dataclasses.replace(data, test={"inputs": odd})).argmax() == 4


def test_a_note_says_that_chance_finds_as_many():
    found = {"test/anomalies_found": 1.0, "test/found_by_chance": 0.2}
    (note,) = task().remarks({}, found, make_data())
    assert "in 20 % of all cases" in note
    assert task().remarks({}, found | {"test/found_by_chance": 0.01}, make_data()) == ()
    assert task().remarks({}, found | {"test/anomalies_found": 0.0}, make_data()) == ()
    assert task().remarks({}, {"test/mse": 1.0}, make_data()) == ()
    assert (task().headline(), task(anomalies=False).headline()) == ("auroc", "mse")
