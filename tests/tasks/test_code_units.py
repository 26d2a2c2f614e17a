import csv
import json

import jax.numpy as jnp
import numpy as np
from flax import nnx

from nnrun.datasets.base import Data, DataSpec
from nnrun.models.autoencoder import Autoencoder, AutoencoderConfig
from nnrun.models.base import OutputSpec
from nnrun.tasks import code_units

NAMES = ("length", "width", "height")


def test_a_unit_is_named_by_what_it_moves():
    spec = DataSpec("table", (3,), None, "reconstruction")
    config = AutoencoderConfig(hidden_sizes=(), latent_size=3, sparsity=0.1)
    model = Autoencoder(config, spec, OutputSpec((3,)), rngs=nnx.Rngs(0))
    model.encoder.code.kernel[...] = jnp.array([[1.0, 0, 0], [0, 1, 0], [0, 0, -1]])
    model.decoder.head.kernel[...] = jnp.array([[0, 0.5, 0], [3.0, 0, -4], [1, 1, 1]])
    part = {"inputs": np.array([[2.0, 0, 1], [4, 1, 1], [0, 3, 2], [1, 0, 1]], np.float32)}
    data = Data(spec, part, part, part, input_names=NAMES)
    outputs = model({"inputs": part["inputs"]})[0]
    found = code_units.table(model, outputs, data)
    # Of the third unit nothing is ever seen: its inputs are never negative.
    assert found["unit"].tolist() == [2, 1, 3]
    np.testing.assert_allclose(found["active_share"], [0.5, 0.75, 0])
    np.testing.assert_allclose(found["effect"], [2 * 5, 7 / 3 * 0.5, 0], rtol=1e-6)
    assert found["inputs"].tolist() == ["-height, +length", "+width", ""]


def test_pixels_are_named_by_their_place():
    spec = DataSpec("image", (1, 2, 1), None, "reconstruction")
    part = {"inputs": np.zeros((3, 1, 2, 1), np.float32)}
    assert code_units._names(Data(spec, part, part, part, input_names=("grey",))) == ["1/1", "1/2"]
    spec = DataSpec("series", (2, 2), None, "reconstruction")
    part = {"inputs": np.zeros((3, 2, 2), np.float32)}
    expected = ["1 channel_1", "1 channel_2", "2 channel_1", "2 channel_2"]
    assert code_units._names(Data(spec, part, part, part)) == expected


def test_a_run_writes_the_table_and_the_metrics(nnrun, tmp_path):
    words = ("debug=tiny", "model=autoencoder", "dataset=iris", "model.hidden_sizes=[]", "model.latent_size=3")
    assert nnrun(*words, "model.sparsity=0.1", "hydra.run.dir=run").code == 0
    rows = list(csv.DictReader((tmp_path / "run/code_units.csv").read_text().splitlines()))
    assert len(rows) == 3
    assert rows[0]["inputs"].count("(cm)") == 4
    metrics = json.loads((tmp_path / "run/summary.json").read_text())["metrics"]
    assert 0 <= metrics["test/active_share"] <= 1
    assert 0 <= metrics["test/sparseness"] <= 1
    assert nnrun("evaluate", "run").code == 0
