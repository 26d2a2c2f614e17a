"""The jax.export artifact: the network's own answers for batches of any size, also where there is no nnrun."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import polars
import pytest
from jax import export

from nnrun.trained.export import function as network
from nnrun.trained.export import stablehlo
from nnrun.trained.export.arguments import Argument
from nnrun.trained.export.function import Exported
from tests import documented
from tests.export import networks


@pytest.mark.parametrize("family", networks.TAKEN)
def test_answers_are_those_of_predict_for_several_batch_sizes(make_config, family):
    run = networks.load(make_config, *networks.TAKEN[family])
    whole = network.network(run)
    content, any_size = stablehlo.translate(whole)
    assert any_size
    artifact = export.deserialize(content)
    assert artifact.platforms == ("cpu", "cuda", "tpu")
    arrays = network.examples(run, whole, 7)
    names = [one.name for one in whole.arguments]
    wanted = networks.expected(run, dict(zip(names, arrays, strict=True)))
    call = jax.jit(artifact.call)
    for count in (7, 1, 2):
        answer = call(*(values[:count] for values in arrays))
        networks.assert_same(answer, {name: values[:count] for name, values in wanted.items()})
    signature = whole.signature()
    assert signature["arguments"]["inputs"] == {"dtype": "float32", "shape": ["batch", *run.preprocessing.spec.inputs]}
    shapes = {name: tuple(found["shape"][1:]) for name, found in signature["results"].items()}
    assert shapes == {name: values.shape[1:] for name, values in wanted.items()}


def test_a_network_that_looks_at_the_size_of_its_batch_takes_one_example_at_a_time():
    def function(x):
        return {"y": x * 2 if x.shape[0] > 3 else x}

    content, any_size = stablehlo.translate(Exported((Argument("inputs", np.dtype("float32"), (2,)),), function))
    assert not any_size
    np.testing.assert_array_equal(export.deserialize(content).call(np.ones((1, 2), np.float32))["y"], [[1, 1]])


def test_what_is_wrong_with_a_network_is_not_hidden():
    def function(x):
        raise KeyError("what is wrong")

    with pytest.raises(KeyError, match="what is wrong"):
        stablehlo.translate(Exported((Argument("inputs", np.dtype("float32"), (2,)),), function))


SCRIPT = documented.file("use_exported.py")
NEEDED = ("jax", "jaxlib", "numpy", "numpy.libs", "scipy", "scipy.libs", "ml_dtypes", "opt_einsum", "flatbuffers")


@pytest.fixture
def bare(tmp_path):
    """A folder of packages with JAX and what it needs alone."""
    packages = tmp_path / "packages"
    packages.mkdir()
    installed = Path(jax.__file__).parent.parent
    for name in NEEDED:
        if (installed / name).exists():
            (packages / name).symlink_to(installed / name)
    return packages


def test_the_artifact_runs_where_nnrun_is_not_installed(nnrun, finished_run, tmp_path, bare):
    done = nnrun("export", str(finished_run), "--output", "model.stablehlo")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("model.stablehlo (")
    inputs = np.loadtxt(finished_run / "predictions.csv", delimiter=",", skiprows=1, usecols=(2, 3, 4, 3)) * 3
    names = json.loads((tmp_path / "model.preprocessing.json").read_text())["input_names"]
    np.savetxt(tmp_path / "new.csv", inputs, delimiter=",", header=",".join(names), comments="")
    assert len(SCRIPT.splitlines()) <= 10
    isolated = [sys.executable, "-I", "-S", "-c"]
    path = f"import sys; sys.path.insert(0, {str(bare)!r})\n"
    found = subprocess.run(
        [*isolated, path + SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=True
    )
    refused = subprocess.run([*isolated, path + "import nnrun"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'nnrun'"
    assert nnrun("predict", str(finished_run), "new.csv", "--output", "wanted.csv").code == 0
    wanted = polars.read_csv(tmp_path / "wanted.csv")
    lines = [line.split() for line in found.stdout.splitlines()]
    assert [name for name, _ in lines] == wanted["predicted"].to_list()
    largest = wanted.select(polars.max_horizontal("^probability_.*$")).to_series()
    np.testing.assert_allclose([float(value) for _, value in lines], largest, atol=1e-6)
