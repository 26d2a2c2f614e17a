"""A user's data set whose examples have fields of their own: tokens, which stay whole numbers, and a scaled array."""

import csv
import json

import numpy as np
import pytest
from jax import export

import nnrun
from tests.execution.lockstep import LONG_LOOP

PARITY = """\
from dataclasses import dataclass
import numpy as np
from nnrun.datasets.base import DatasetConfig, DataSpec
from nnrun.datasets.fields import Field
from nnrun.datasets.parts.examples import Examples

WORDS, STEPS = 400, 9

class Parity(Examples):
    class_names = ("even", "odd")

    def spec(self):
        words = Field("inputs", (STEPS,), "int32", time=0, lengths="lengths", below=(WORDS,))
        fields = (words, Field("speed", (2,), scaled=True), Field("rare", (STEPS,), "bool", time=0, lengths="lengths"))
        return DataSpec("tokens", (STEPS,), (), "classification", classes=2, lengths=True, fields=fields)

    def examples(self, rng):
        labels = rng.permutation(np.arange(120) % 2)
        words = 300 + 2 * rng.integers(0, 40, (120, STEPS)) + labels[:, None]
        lengths = rng.integers(1, STEPS + 1, 120)
        words = np.where(np.arange(STEPS) < lengths[:, None], words, 1 - labels[:, None])
        speed = rng.normal(1000, 50, (120, 2)).astype(np.float32)
        return {
            "inputs": words, "targets": labels.astype(np.int32), "lengths": lengths, "speed": speed, "rare": words < 303
        }
"""
BAG = """\
from dataclasses import dataclass
import jax.numpy as jnp
from flax import nnx
from nnrun.models.base import Model, Outputs
from nnrun.schema import size

@dataclass(frozen=True)
class BagConfig:
    size: int = size(4)

class Bag(Model):
    kinds = ("tokens",)

    def __init__(self, config: BagConfig, data, output, *, rngs):
        words, = data.example["inputs"].below
        self.table = nnx.Embed(words, config.size, rngs=rngs)
        self.head = nnx.Linear(config.size, output.size, rngs=rngs)
        self.steps = data.inputs[0]

    def __call__(self, batch, rngs=None, carry=None):
        words, speed, dtype = batch["inputs"], batch["speed"], self.head.kernel.dtype
        assert (words.dtype, batch["lengths"].dtype, batch["rare"].dtype) == (jnp.int32, jnp.int32, jnp.bool_)
        assert speed.dtype == dtype
        valid = (jnp.arange(self.steps) < batch["lengths"][:, None])[..., None]
        mean = jnp.where(valid, self.table(words), 0).sum(1) / valid.sum(1)
        rare = (valid[..., 0] & batch["rare"]).mean(1, keepdims=True)
        little = 0.001 * (speed.mean(1, keepdims=True) + rare).astype(dtype)
        return Outputs(self.head(mean.astype(dtype)) + little), carry
"""
YAML = {
    "dataset/parity": "_target_: parity.Parity\n_task_: classification\nseed: 0\nlimit: null\nval_fraction: 0.15\n"
    "test_fraction: 0.15\nscaling: standard\n",
    "model/bag": "_target_: bag.Bag\nsize: 4\n",
}
WORDS = ("model=bag", "dataset=parity", "training.epochs=5", "training.batch_size=12")
RATE = "0.1"


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def home(command, tmp_path_factory, request):
    """A user's folder with the two members and a finished run."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in (("parity.py", PARITY), ("bag.py", BAG)):
        (folder / name).write_text(text)
    for name, text in YAML.items():
        (folder / f"conf/{name}.yaml").parent.mkdir(parents=True)
        (folder / f"conf/{name}.yaml").write_text(text)
    precision = f"training.precision={request.param}"
    words = (f"optimizer.learning_rate={RATE}", precision, "hydra.run.dir=run")
    done = command(*WORDS, *words, folder=folder)
    assert done.code == 0, done
    return folder, precision


def rows_of(path):
    with path.open() as lines:
        return list(csv.DictReader(lines))


def arrays(count=7):
    """New examples that tell by words which no float of 16 bits holds, of other lengths than those of training."""
    rng = np.random.default_rng(1)
    odd = np.arange(count) % 2
    words = 300 + 2 * rng.integers(0, 40, (count, 9)) + odd[:, None]
    lengths, speed = rng.integers(3, 10, count), np.full((count, 2), 1000.0)
    return {"inputs": words, "lengths": lengths, "speed": speed, "rare": words < 303, "targets": odd}


def test_words_are_told_apart_in_every_precision(home):
    folder, _ = home
    assert json.loads((folder / "run/summary.json").read_text())["metrics"]["test/accuracy"] == 1.0
    fitted = json.loads((folder / "run/preprocessing.json").read_text())
    assert 900 < min(fitted["scalings"]["speed"]["offset"]) < 1100
    assert [field["name"] for field in fitted["reader"]["fields"]] == ["inputs", "speed", "rare"]


def test_a_group_of_trials_gives_what_single_runs_give(command, home):
    folder, precision = home
    rates = f"optimizer.learning_rate={RATE},0.05"
    done = command("-m", *WORDS, rates, precision, "hydra.sweep.dir=sweep", "search=grid", folder=folder)
    assert done.code == 0, done
    trials = {row["optimizer.learning_rate"]: float(row["val/loss"]) for row in rows_of(folder / "sweep/trials.csv")}
    alone = json.loads((folder / "run/summary.json").read_text())["metrics"]["val/loss"]
    assert trials[RATE] != trials["0.05"]
    np.testing.assert_allclose(trials[RATE], alone, rtol=0, atol=LONG_LOOP)


def test_it_is_evaluated_and_exported(command, home, monkeypatch):
    folder, _ = home
    given = arrays()
    np.savez(folder / "new.npz", **given)
    shown = {name: values for name, values in given.items() if name != "targets"}
    np.savez(folder / "unknown.npz", **shown)
    for words in (
        ("predict", "run", "unknown.npz", "--trust", "--output", "found.csv", "--overwrite"),
        ("evaluate", "run", "new.npz", "--trust"),
        ("evaluate", "run", "--trust"),
        ("export", "run", "--trust", "--output", "bag.stablehlo", "--overwrite"),
    ):
        done = command(*words, folder=folder)
        assert done.code == 0, done
    measured = json.loads((folder / "run/evaluations/new/evaluation.json").read_text())["metrics"]
    assert measured["test/accuracy"] == 1.0
    rows = rows_of(folder / "found.csv")
    assert [row["predicted"] for row in rows] == [("even", "odd")[odd] for odd in given["targets"]]
    monkeypatch.chdir(folder)
    model = nnrun.load("run", trust=True)
    np.testing.assert_allclose(model.predict_proba(shown)[:, 1], [float(r["probability_odd"]) for r in rows], atol=1e-5)
    signature = json.loads((folder / "bag.preprocessing.json").read_text())["signature"]["arguments"]
    types = {"inputs": "int32", "lengths": "int32", "speed": "float32", "rare": "bool"}
    assert {name: about["dtype"] for name, about in signature.items()} == types
    function = export.deserialize((folder / "bag.stablehlo").read_bytes())
    answer = function.call(*(shown[name].astype(types[name]) for name in signature))
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(shown), atol=1e-2)
    np.testing.assert_array_equal(answer["predicted"], given["targets"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"speed": None},
            "must have an array speed: numbers of shape (n, 2). Give an .npz file or a dict with all arrays.",
        ),
        (
            {"inputs": np.full((7, 9), 2.5)},
            "inputs of shape (n, 9), all whole numbers, but got float64 of shape (7, 9).",
        ),
        (
            {"inputs": np.full((7, 9), 400)},
            "inputs of row 0 (counted from 0) must be whole numbers from 0 to 399, but one is",
        ),
        (
            {"speed": np.full((7, 2), np.nan)},
            "a value of speed of row 0 (counted from 0) is missing or infinite. Fill it",
        ),
        (
            {"rare": np.zeros((7, 3), bool)},
            "must hold rare of shape (n, 9), all whole numbers, but got bool of shape (7, 3)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(command, home, change, said):
    folder, _ = home
    np.savez(folder / "wrong.npz", **{name: value for name, value in (arrays() | change).items() if value is not None})
    done = command("predict", "run", "wrong.npz", "--trust", folder=folder)
    assert (done.code in (1, 2), done.err.count("\n")) == (True, 1)
    assert said in done.err
