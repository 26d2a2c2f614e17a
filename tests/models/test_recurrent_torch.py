"""rnn, lstm and gru (reset after) against PyTorch: stacked, in two directions and over packed padded sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from test_recurrent import CHANNELS, HIDDEN, LENGTHS, TIME, plain, quick_jit, randomized

from nnrun.models.base import OutputSpec

torch = pytest.importorskip("torch")

PEERS = {"rnn": ("RNN", [0]), "lstm": ("LSTM", [0, 1, 3, 2]), "gru_after": ("GRU", [0, 1, 2])}
"""Name, and the order of our blocks in PyTorch's."""


def peer(cell, layers, head, bidirectional):
    name, order = PEERS[cell]
    net = getattr(torch.nn, name)(CHANNELS, HIDDEN, len(layers), batch_first=True, bidirectional=bidirectional).double()

    def blocks(array):
        parts = np.split(array, len(order), -1)
        return torch.tensor(np.concatenate([parts[k] for k in order], -1).T)

    for k, layer in enumerate(layers):
        for w, suffix in zip(layer, ("", "_reverse"), strict=False):
            second = np.zeros_like(w["bias"])
            if cell == "gru_after":
                second[2 * HIDDEN :] = w["recurrent_bias"]
            arrays = {"weight_ih": w["input"], "weight_hh": w["recurrent"], "bias_ih": w["bias"], "bias_hh": second}
            for key, array in arrays.items():
                getattr(net, f"{key}_l{k}{suffix}").data = blocks(array)
    linear = torch.nn.Linear(*head["kernel"].shape).double()
    linear.weight.data, linear.bias.data = torch.tensor(head["kernel"].T), torch.tensor(head["bias"])
    return net, linear


@pytest.mark.parametrize(
    ("bidirectional", "readout", "padded"), [(False, "last", False), (False, "per_step", True), (True, "last", True)]
)
@pytest.mark.parametrize("cell", PEERS)
def test_equals_pytorch(cell, bidirectional, readout, padded):
    with jax.enable_x64(True):
        output = OutputSpec((2,), readout == "per_step")
        graph, params, rest = randomized(cell, layers=2, bidirectional=bidirectional, output=output)
        inputs = np.random.default_rng(1).normal(size=(len(LENGTHS), TIME, CHANNELS))
        batch = {"inputs": jnp.asarray(inputs)} | ({"lengths": jnp.asarray(LENGTHS)} if padded else {})

        def loss(params, inputs):
            prediction = nnx.merge(graph, params, rest)(batch | {"inputs": inputs})[0].prediction
            return (prediction**2).sum()

        value, (gradient, d_inputs) = quick_jit(jax.value_and_grad(loss, (0, 1)))(params, batch["inputs"])
        layers, head = plain(params, bidirectional)
        d_layers, d_head = plain(gradient, bidirectional)
    net, linear = peer(cell, layers, head, bidirectional)
    x = torch.tensor(inputs, requires_grad=True)
    lengths = LENGTHS if padded else [TIME] * len(LENGTHS)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, state = net(packed)
    hidden = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0]
    state = state[0] if cell == "lstm" else state
    if readout == "per_step":
        valid = torch.arange(TIME)[None] < torch.tensor(np.array(lengths))[:, None]
        expected = (linear(hidden)[valid] ** 2).sum()
    else:
        expected = (linear(torch.cat(list(state[-2 if bidirectional else -1 :]), 1)) ** 2).sum()
    expected.backward()
    wanted, _ = peer(cell, d_layers, d_head, bidirectional)
    np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(d_inputs, x.grad, atol=1e-11)
    np.testing.assert_allclose(d_head["kernel"], linear.weight.grad.T, atol=1e-11)
    for (name, parameter), other in zip(net.named_parameters(), wanted.parameters(), strict=True):
        if "bias_hh" not in name:
            np.testing.assert_allclose(other.detach(), parameter.grad, atol=1e-11, err_msg=name)
        elif cell == "gru_after":
            np.testing.assert_allclose(other.detach()[2 * HIDDEN :], parameter.grad[2 * HIDDEN :], atol=1e-11)
