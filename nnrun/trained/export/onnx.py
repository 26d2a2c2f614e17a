"""ONNX by the library jax2onnx, checked by running it with onnxruntime."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jax import export

from nnrun.errors import RunError
from nnrun.trained.export.function import Exported

TOLERANCE = 1e-4
"""Largest difference from the network's own answers, relative to the largest of them."""
OTHERS = "--format stablehlo and --format safetensors hold every network."


def translate(network: Exported, batches: list[list[np.ndarray]]) -> bytes:
    """The ONNX model with a free batch axis.

    `batches` are arguments on which its answers must be the network's. Raises RunError when jax2onnx cannot translate
    the network, or not correctly.
    """
    names = list(network.results())

    def function(*arrays: jax.Array) -> tuple[jax.Array, ...]:
        answer = network.function(*arrays)
        return tuple(answer[name] for name in names)

    try:
        content = _converted(function, network, names)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Errors alone.
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        worst = max(_difference(session, network, names, arrays) for arrays in batches)
    except Exception as error:
        # Whatever a translator meets that it does not know: its exceptions have no common class.
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunError(f"jax2onnx {version('jax2onnx')} cannot translate this network ({said}). {OTHERS}") from error
    if not worst <= TOLERANCE:
        raise RunError(
            f"jax2onnx {version('jax2onnx')} translates this network wrongly: its answers differ by {worst:.1e}, "
            f"{TOLERANCE:.0e} is allowed. {OTHERS}"
        )
    return content


def _converted(function: Callable[..., Any], network: Exported, names: list[str]) -> bytes:
    (batch,) = export.symbolic_shape("batch")
    with _quiet():
        import jax2onnx

        model = jax2onnx.to_onnx(
            function,
            [one.of(batch) for one in network.arguments],
            model_name="nnrun",
            input_names=[one.name for one in network.arguments],
            output_names=names,
        )
    return bytes(model.SerializeToString())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what the library says to its developers; the answers are checked instead."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _difference(session: Any, network: Exported, names: list[str], arrays: list[np.ndarray]) -> float:
    """Largest difference of any real-valued answer, relative to the largest value of its kind."""
    found = session.run(names, dict(zip((one.name for one in network.arguments), arrays, strict=True)))
    wanted = jax.device_get(jax.jit(network.function)(*arrays))
    pairs = [(got, wanted[name]) for name, got in zip(names, found, strict=True) if wanted[name].dtype.kind == "f"]
    return max(float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-6)) for got, want in pairs)
