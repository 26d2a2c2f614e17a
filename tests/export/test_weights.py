"""Exported weights: every array is explained, and PyTorch's networks made by the map give the same answers."""

import numpy as np
import pytest
from safetensors.numpy import load

from nnrun.trained.export import weights
from tests.export import networks


@pytest.mark.parametrize("family", networks.FAMILIES | networks.SLOW)
def test_every_array_has_a_layer_a_shape_and_a_meaning(make_config, family):
    run = networks.load(make_config, *(networks.FAMILIES | networks.SLOW)[family])
    content, described = weights.translate(run)
    arrays = load(content)
    assert arrays.keys() == described["arrays"].keys()
    for name, array in arrays.items():
        about = described["arrays"][name]
        assert about["shape"] == list(array.shape)
        assert name.startswith(about["layer"] + ".")
        assert " " in about["meaning"], name
    assert not {name for name in arrays if name.startswith(("params", "weights", "numbers"))}


def parameters(content, described, prefix, module):
    """A torch.nn module's parameters by the map, from the arrays under `prefix`."""
    import torch

    found = {}
    for name, array in load(content).items():
        equal = described["arrays"][name].get("pytorch")
        if name.startswith(prefix) and equal and equal["module"] == f"torch.nn.{module}":
            if blocks := equal.get("blocks"):
                parts = np.split(array, len(blocks), -1)
                array = np.concatenate([parts[i] for i in blocks], -1)
            array = np.transpose(array, equal["axes"]) if "axes" in equal else array
            found[equal["parameter"]] = torch.tensor(np.ascontiguousarray(array))
    return found


def load_into(module, found):
    """All parameters; second biases, which the map does not name, are zero."""
    own = module.state_dict()
    zero = {name: value * 0 for name, value in own.items() if name not in found}
    assert all(name.startswith("bias_hh") for name in zero)
    module.load_state_dict(zero | found)
    return module


SIZES = [("rnn", "RNN", {}), ("lstm", "LSTM", {"model.layers": 2, "model.bidirectional": True})]


@pytest.mark.parametrize(("model", "name", "values"), SIZES)
def test_pytorchs_recurrent_network_made_by_the_map_gives_the_same_hidden_states(make_config, model, name, values):
    torch = pytest.importorskip("torch")
    run = networks.load(make_config, networks.SERIES, model, {"model.hidden_size": 3, **values})
    content, described = weights.translate(run)
    layers, both = values.get("model.layers", 1), values.get("model.bidirectional", False)
    twin = getattr(torch.nn, name)(2, 3, layers, batch_first=True, bidirectional=both)
    load_into(twin, parameters(content, described, "layers.", name))
    head = torch.nn.Linear(6 if both else 3, 8)
    load_into(head, parameters(content, described, "head.", "Linear"))
    x = np.random.default_rng(0).normal(size=(4, 9, 2)).astype(np.float32)
    with torch.no_grad():
        final = twin(torch.tensor(x))[1]
        hidden = (final[0] if model == "lstm" else final)[-2 if both else -1 :]
        there = head(torch.cat(list(hidden), -1)).numpy().reshape(4, 4, 2)
    here = run.model({"inputs": x})[0].prediction
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_pytorchs_convolution_and_normalization_made_by_the_map_give_the_same_maps(make_config):
    torch = pytest.importorskip("torch")
    run = networks.load(make_config, *networks.FAMILIES["cnn"])
    content, described = weights.translate(run)
    block = run.model.blocks[0]
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    convolution = torch.nn.Conv2d(3, 2, 3, padding=1, bias=False)
    load_into(convolution, parameters(content, described, "blocks.0.", "Conv2d"))
    normalization = torch.nn.BatchNorm2d(2, eps=1e-5).eval()
    found = parameters(content, described, "blocks.0.", "BatchNorm2d")
    normalization.load_state_dict({**found, "num_batches_tracked": torch.tensor(0)})
    with torch.no_grad():
        there = normalization(convolution(torch.tensor(np.moveaxis(x, -1, 1)))).numpy()
    here = block.norm(block.conv(x), None)
    np.testing.assert_allclose(np.moveaxis(np.asarray(here), -1, 1), there, atol=1e-5)
