"""A serialised `jax.export` artifact: the compiled form of the network, for any program that has JAX."""

from typing import Any

import jax
from jax import export

from nnrun.trained.export.function import Exported

PLATFORMS = ("cpu", "cuda", "tpu")


def translate(network: Exported) -> tuple[bytes, bool]:
    """The artifact, and whether it takes batches of any size; else of one example.

    Source: https://docs.jax.dev/en/latest/export/export.html
    """
    function = jax.jit(network.function)
    (batch,) = export.symbolic_shape("batch")
    try:
        return _serialized(function, network, batch), True
    except Exception:
        # A network that looks at the size of its batch fails wherever it does; what else is wrong fails again below.
        return _serialized(function, network, 1), False


def _serialized(function: Any, network: Exported, batch: Any) -> bytes:
    exported = export.export(function, platforms=PLATFORMS)(*(one.of(batch) for one in network.arguments))
    return bytes(exported.serialize())
