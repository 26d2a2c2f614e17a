"""Weights to start from, taken by name from a file."""

import shutil

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nnrun.errors import ConfigError
from nnrun.execution.compiled import Compiled
from nnrun.execution.devices import Placement, TrialPlacement
from nnrun.execution.serial import SerialRun
from nnrun.execution.vectorized import CompiledGroup, GroupRun
from nnrun.training import initial
from nnrun.training.initial import Initial
from nnrun.training.network import weight_names
from nnrun.training.state import Weights

EXTENTS = {"head.bias": (3,), "head.kernel": (4, 3), "hidden.kernel": (2, 4)}
SHAPES = Weights(
    {
        "head": {name: jax.ShapeDtypeStruct(EXTENTS[f"head.{name}"], np.float32) for name in ("bias", "kernel")},
        "hidden": {"kernel": jax.ShapeDtypeStruct((2, 4), np.float32)},
    },
    {"norm": {"mean": jax.ShapeDtypeStruct((4,), np.float32)}},
)


def test_what_fits_is_taken_and_what_does_not_is_said_with_its_reason(tmp_path):
    path = tmp_path / "weights.safetensors"
    given = {
        "hidden.kernel": np.arange(8).reshape(2, 4).astype(ml_dtypes.bfloat16),
        "norm.mean": np.arange(4.0),
        "head.kernel": np.zeros((4, 10), np.float32),
        "tail.bias": np.zeros(1, np.float32),
    }
    save_file(given, path)
    source = Initial(str(path))
    assert source.remarks == ()
    found = source.arrays(lambda: SHAPES)
    assert {name: values.dtype for name, values in found.items()} == dict.fromkeys(
        ("hidden.kernel", "norm.mean"), np.float32
    )
    np.testing.assert_array_equal(found["hidden.kernel"], np.arange(8).reshape(2, 4))
    assert source.remarks == (
        f"2 of 4 arrays of the network start as in {path}. The others start anew: head.bias (not there), "
        "head.kernel ((4, 10) there, (4, 3) here). Not used: tail.bias.",
    )
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in source.like(lambda: SHAPES).items()}
    assert shapes == {name: (values.shape, values.dtype) for name, values in found.items()}


def test_a_network_with_another_head_starts_from_an_encoder(tmp_path):
    path = tmp_path / "weights.safetensors"
    names = ("encoder.hidden.kernel", "encoder.code.kernel", "decoder.hidden.kernel", "encoder.blocks.0.kernel")
    given = {f"weights.params.{name}": np.full((2, 4), i, np.float32) for i, name in enumerate(names)}
    save_file(given, path)
    leaf = jax.ShapeDtypeStruct((2, 4), np.float32)
    shapes = SHAPES._replace(params=SHAPES.params | {"blocks": [{"conv": {"kernel": leaf}}]})
    source = Initial(str(path))
    found = source.arrays(lambda: shapes)
    assert {name: int(values[0, 0]) for name, values in found.items()} == {
        "hidden.kernel": 0,
        "blocks.0.conv.kernel": 3,
    }
    assert source.remarks[0].endswith("Not used: decoder.hidden.kernel, code.kernel.")
    own = Weights({"encoder": {"hidden": {"kernel": leaf}}}, {})
    assert list(source.arrays(lambda: own)) == ["encoder.hidden.kernel"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "must name a safetensors file or the folder of a run, but there is no "),
        (b"not safetensors at all", "must be a safetensors file, but "),
        ({"heads.bias": np.zeros(3, np.float32)}, "it holds heads.bias. Did you mean head.bias?"),
        ({"head.bias": np.zeros(3, np.int64)}, "it holds head.bias. head.bias (I64 there, float32 here)"),
        ({"head.bias": np.zeros(2, np.float32)}, "it holds head.bias. head.bias ((2,) there, (3,) here)"),
        ({}, "has no weight of this network in its shape: it holds nothing. "),
    ],
)
def test_a_file_that_gives_nothing_is_refused(tmp_path, content, text):
    path = tmp_path / "weights.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file(content, path)
    with pytest.raises(ConfigError) as caught:
        initial.check(str(path), SHAPES)
    assert str(caught.value).startswith("training.initial")
    assert text in str(caught.value)
    assert Initial(str(path)).like(lambda: SHAPES) == {}


@pytest.fixture(scope="module")
def data(make_config):
    return make_config({"dataset.limit": 40}, dataset="iris").dataset.create().load()


def test_runs_and_every_member_of_a_group_start_from_a_run_of_before(make_config, data, finished_run):
    """The first hidden layer fits; the second has another size, and the head other inputs."""
    kept = load_file(finished_run / "model.safetensors")

    def make(seed, source):
        values = {"dataset.limit": 40, "model.hidden_sizes": [64, 5], "seed": seed, "training.initial": source}
        return make_config(values, dataset="iris", optimizer="momentum")

    def weights(state):
        return dict(zip(weight_names(state.params), jax.tree.leaves(state.params), strict=True))

    configs = [make(seed, str(finished_run)) for seed in (0, 1)]
    alone = SerialRun(make(0, None), data, Compiled(make(0, None).split()[0], data, Placement(1)))
    run = SerialRun(configs[0], data, Compiled(configs[0].split()[0], data, Placement(1)))
    group = GroupRun(configs, CompiledGroup(configs[0].split()[0], data, TrialPlacement(1, "map")))
    found, drawn, members = weights(run.state.weights), weights(alone.state.weights), weights(group.state.weights)
    for name in ("hidden.dense.0.kernel", "hidden.dense.0.bias"):
        np.testing.assert_array_equal(found[name], kept[f"weights.params.{name}"])
        for seat in range(2):
            np.testing.assert_array_equal(members[name][seat], found[name])
    for name in ("hidden.dense.1.kernel", "head.kernel"):
        np.testing.assert_array_equal(found[name], drawn[name])
        assert not np.array_equal(members[name][0], members[name][1])
    np.testing.assert_array_equal(run.state.best.params["hidden"]["dense"][0]["kernel"], found["hidden.dense.0.kernel"])
    assert run.compiled.initial.remarks[0].startswith("3 of 6 arrays of the network start as in ")


def test_a_run_says_what_it_starts_from_and_goes_on_without_the_file(nnrun, finished_run, tmp_path):
    shutil.copy(finished_run / "model.safetensors", tmp_path / "old.safetensors")
    words = ("debug=tiny", "dataset=iris", "training.initial=old.safetensors", "hydra.run.dir=run")
    done = nnrun(*words)
    assert done.code == 0, done
    assert (
        "Note: 6 of 6 arrays of the network start as in old.safetensors." in (tmp_path / "run" / "run.log").read_text()
    )
    (tmp_path / "old.safetensors").unlink()
    done = nnrun("resume", "run", "training.epochs=3")
    assert done.code == 0, done
    refused = nnrun(*words[:3], "hydra.run.dir=other")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "there is no old.safetensors. Set for example training.initial=" in refused.err
    assert not (tmp_path / "other").exists()
