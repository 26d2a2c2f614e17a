"""Every family of networks: trials in a group against the same trials one by one.

NNRUN_FAMILIES=all takes in those that are slow to compile.
"""

import os

import numpy as np
import pytest

from tests.execution.lockstep import LONG_LOOP, Trials, assert_close

COMMON = {"dataset.limit": 30, "training.epochs": 2, "training.batch_size": 8, "training.devices": 1}
IMAGES = {"dataset": "shapes"}
WINDOW = {"dataset.window": 8}
CODE = {"model": "autoencoder", "dataset": "digits", "task": "reconstruction"}
SMALL_CODE = {"model.hidden_sizes": [4], "model.latent_size": 2}
FAMILIES = {
    "cnn_1d": ({"model": "cnn", "dataset": "sine"}, WINDOW | {"model.filters": [2], "model.dense_sizes": [3]}, {}),
    "lstm": (
        {"model": "lstm", "dataset": "sine"},
        WINDOW | {"model.hidden_size": 3},
        {"model.dropout": (0.1, 0.3, 0.5), "training.gradient_clip": (0.1, 0.5, 1.0)},
    ),
    "vae": ({**CODE, "model": "vae"}, SMALL_CODE, {"model.beta": (0.1, 0.5, 2.0)}),
}
SLOW = {
    "autoencoder": (CODE, SMALL_CODE, {"model.input_noise": (0.1, 0.2, 0.3), "model.sparsity": (0.1, 0.2, 0.3)}),
    "cnn_2d": (
        {"model": "cnn", "dataset": "digits"},
        {"model.filters": [2, 3], "model.dense_sizes": [3], "model.normalization": "batch"},
        {"model.dropout": (0.1, 0.3, 0.5)},
    ),
    "resnet": ({"model": "resnet", "dataset": "digits"}, {"model.filters": [2, 3]}, {}),
    "resnet_1d": ({"model": "resnet", "dataset": "sine"}, WINDOW | {"model.filters": [2, 3]}, {}),
    "fcn": ({"model": "fcn", "dataset": "sine"}, WINDOW | {"model.filters": [2, 3, 2]}, {}),
    "vgg": (
        IMAGES | {"model": "vgg"},
        {"dataset.image_size": 32, "model.width": 1, "model.dense_sizes": [3]},
        {"model.dropout": (0.1, 0.3, 0.5)},
    ),
    # Rates so small because Adam's steps are as long as the rate, whichever way rounding turns a gradient near zero.
    "inception": (
        IMAGES | {"model": "inception"},
        {"dataset.image_size": 32},
        {"model.dropout": (0.1, 0.3, 0.5), "optimizer.learning_rate": (1e-5, 3e-6, 1e-6)},
    ),
    "rnn": ({"model": "rnn", "dataset": "sine"}, WINDOW | {"model.hidden_size": 3, "model.layers": 2}, {}),
    "gru": ({"model": "gru", "dataset": "sine"}, WINDOW | {"model.hidden_size": 3, "model.bidirectional": True}, {}),
    "autoencoder_conv": (
        CODE,
        {"model.encoder": "convolutional", "model.filters": [2, 2], "model.latent_size": 2},
        {"model.sparsity": (0.1, 0.2, 0.3)},
    ),
}
EVERY = os.environ.get("NNRUN_FAMILIES") == "all"
TAKEN = FAMILIES | SLOW if EVERY else FAMILIES
VARIED = {"optimizer.learning_rate": (1e-2, 3e-3, 1e-3)}


@pytest.fixture(params=TAKEN)
def trials(request, make_config):
    choices, values, numbers = TAKEN[request.param]
    each = [{name: listed[i] for name, listed in (VARIED | numbers).items()} for i in range(3)]
    return Trials([make_config(COMMON | values | one | {"seed": i}, **choices) for i, one in enumerate(each)])


def test_trials_in_a_group_are_those_run_alone(trials):
    alone, grouped = trials.alone(), trials.group(trials.compiled())
    expected = [[epoch[0] for epoch in trials.epochs(run, 2)] for run in alone]
    found = list(zip(*trials.epochs(grouped, 2), strict=True))
    assert_close(found, expected)
    for member, run in enumerate(alone):
        assert_close(grouped.weights(member), run.weights())
    assert len({float(epochs[1][0].loss) for epochs in found}) == 3


@pytest.mark.skipif(not EVERY, reason="set NNRUN_FAMILIES=all")
@pytest.mark.parametrize(("batching", "devices"), [("map", 2), ("vmap", 1)])
def test_over_devices_and_under_vmap_they_are_the_same_to_the_tolerance(trials, batching, devices):
    alone, grouped = trials.alone(), trials.group(trials.compiled(batching, devices))
    for _ in range(2):
        expected, found = [trials.epoch(run)[0] for run in alone], trials.epoch(grouped)
        for (sums, statistics, _), (right_sums, right_statistics, _) in zip(found, expected, strict=True):
            assert_close(sums, right_sums, LONG_LOOP)
            assert_close(statistics, right_statistics, LONG_LOOP)
    for member, run in enumerate(alone):
        right = run.outputs(trials.data.test).prediction
        run.adopt(grouped.weights(member))
        np.testing.assert_allclose(run.outputs(trials.data.test).prediction, right, rtol=LONG_LOOP, atol=LONG_LOOP)
