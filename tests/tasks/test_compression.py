import csv
import io

import numpy as np
import pytest
from PIL import Image

from nnrun.tasks.compression import quantized, scan_bytes


def test_values_are_told_apart_by_so_many_levels():
    values = np.linspace(-1, 3, 101)
    found = quantized(values, np.array(0.0), np.array(2.0), 2)
    np.testing.assert_allclose(np.unique(found), [0, 2 / 3, 4 / 3, 2])
    inside = (values >= 0) & (values <= 2)
    assert np.abs(found - values)[inside].max() <= 1 / 3 + 1e-12
    np.testing.assert_array_equal(quantized(np.ones(3), np.ones(3), np.ones(3), 4), np.ones(3))


def test_the_bytes_of_a_jpeg_are_those_of_its_pixels():
    def size(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "jpeg", quality=50)
        return scan_bytes(file.getvalue()), len(file.getvalue())

    plain, whole = size(np.zeros((16, 16), np.uint8))
    # Four blocks of a few bits each.
    assert plain <= 8 < 200 < whole
    noisy, more = size(np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8))
    assert noisy - plain == more - whole


@pytest.mark.parametrize("model", ["autoencoder", "vae"])
def test_the_run_compares_bytes_and_errors(nnrun, tmp_path, model):
    words = ("debug=tiny", f"model={model}", "dataset=digits", "task=reconstruction", "task.compression=true")
    assert nnrun(*words, "model.hidden_sizes=[8]", "model.latent_size=4", "hydra.run.dir=run").code == 0
    rows = list(csv.DictReader((tmp_path / "run/compression.csv").read_text().splitlines()))
    sizes = {name: [float(r["bytes"]) for r in rows if r["method"] == name] for name in ("autoencoder", "pca", "jpeg")}
    assert sizes["autoencoder"] == [1, 1.5, 2, 3, 4]
    assert sizes["pca"] == [1, 2, 3, 4]
    assert sizes["jpeg"] == sorted(sizes["jpeg"])
    errors = [float(r["mse"]) for r in rows if r["method"] != "autoencoder"]
    assert errors[:4] == sorted(errors[:4], reverse=True)
    assert errors[4:] == sorted(errors[4:], reverse=True)


def test_a_network_without_a_code_is_refused(nnrun):
    refused = nnrun("model=mlp", "dataset=digits", "task=reconstruction", "task.compression=true")
    assert refused.code == 2
    assert "task.compression=true needs a network with a code. Set model=autoencoder" in refused.err
