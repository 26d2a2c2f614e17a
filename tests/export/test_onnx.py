"""ONNX: onnxruntime gives the network's own answers; what cannot be translated is said."""

import re

import jax
import numpy as np
import pytest

from nnrun.errors import RunError
from nnrun.trained.export import function as network
from nnrun.trained.export import onnx
from nnrun.trained.export.arguments import Argument
from nnrun.trained.export.function import Exported
from tests.export import networks

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("jax2onnx")


REFUSED = ("lstm_lengths", "mlp_bfloat16", "autoencoder_dense")
"""What may fail: jax2onnx 0.17 mixes types in a loop with a mask, and knows no call inside a program of JAX 0.12;
onnxruntime has no bfloat16 products on a CPU."""


@pytest.mark.parametrize("family", networks.TAKEN)
def test_onnxruntime_gives_the_answers_of_predict(make_config, family):
    run = networks.load(make_config, *networks.TAKEN[family])
    whole = network.network(run)
    arrays = network.examples(run, whole, 7)
    try:
        content = onnx.translate(whole, [arrays, [values[:1] for values in arrays]])
    except RunError as error:
        if family not in REFUSED or not re.match(OTHERS, str(error)):
            raise
        pytest.skip(str(error))
    taken = {one.name: values for one, values in zip(whole.arguments, arrays, strict=True)}
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == set(taken)
    wanted = networks.expected(run, taken)
    for count in (7, 1):
        found = session.run(list(wanted), {name: values[:count] for name, values in taken.items()})
        for got, (name, values) in zip(found, wanted.items(), strict=True):
            largest = max(1, np.abs(np.float64(values)).max())
            np.testing.assert_allclose(got, values[:count], rtol=0, atol=onnx.TOLERANCE * largest, err_msg=name)


OTHERS = (
    r"^jax2onnx \S+ cannot translate this network \(.*\)\. --format stablehlo and --format safetensors hold every "
    r"network\.$"
)


def alone(function):
    return Exported((Argument("inputs", np.dtype("float32"), (2,)),), function)


def test_what_cannot_be_translated_is_said_with_the_formats_that_can():
    def function(x):
        return {"y": jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct((1, 2), "float32"), x)}

    with pytest.raises(RunError, match=OTHERS):
        onnx.translate(alone(function), [[np.ones((1, 2), np.float32)]])


def test_a_wrong_translation_is_refused(monkeypatch):
    right, wrong = alone(lambda x: {"y": x}), alone(lambda x: {"y": x * 1.01})
    converted = onnx._converted
    monkeypatch.setattr(
        onnx, "_converted", lambda function, *rest: converted(lambda x: (wrong.function(x)["y"],), *rest)
    )
    text = r"translates this network wrongly: its answers differ by 1\.0e-02, 1e-04 is allowed\."
    with pytest.raises(RunError, match=text):
        onnx.translate(right, [[np.ones((1, 2), np.float32)]])
