"""Codes as compressed examples: bytes against error, beside PCA and, for images, JPEG."""

import io
from typing import Any

import jax.numpy as jnp
import numpy as np

from nnrun.datasets.base import Data
from nnrun.models.base import Model, in_one_program, program_of
from nnrun.tasks.baselines.pca import fit_pca

BITS = (2, 3, 4, 6, 8)
"""Of a number of a code."""
QUALITIES = (1, 5, 10, 20, 30, 50, 70, 90)
"""Of JPEG, as Pillow counts them."""


def table(model: Model, data: Data) -> dict[str, np.ndarray]:
    """Rows (method, bytes, mse) over the test part: bytes of an example on average, mse in scaled units.

    Every number of a code has the same bits, over the range that it has in the training part; what all examples share
    (the network, PCA's directions, JPEG's tables) is not counted.
    """
    train, test = (np.asarray(data.input_scaling.apply(part["inputs"]), np.float32) for part in (data.train, data.test))
    found = [("autoencoder", *row) for row in _codes(model, train, test)]
    found += [("pca", *row) for row in _pca(train, test, model_units(model, test))]
    if data.spec.kind == "image" and data.spec.inputs[-1] in (1, 3):
        found += [("jpeg", *row) for row in _jpeg(data, test)]
    methods, sizes, errors = zip(*found, strict=True)
    return {"method": np.array(methods), "bytes": np.array(sizes), "mse": np.array(errors)}


def model_units(model: Model, examples: np.ndarray) -> int:
    """Numbers of the code of an example."""
    return in_one_program(model, _encode, jnp.asarray(examples[:1])).shape[-1]


def quantized(values: np.ndarray, low: np.ndarray, high: np.ndarray, bits: int) -> np.ndarray:
    """Values as 2^bits levels from low to high can tell them; those outside are the nearest of these."""
    steps = 2**bits - 1
    width = np.where(high > low, high - low, 1) / steps
    return low + np.round((np.clip(values, low, high) - low) / width) * width


def _encode(net: Any, x: Any) -> Any:
    return net({"inputs": x})[0].latent


def _codes(model: Model, train: np.ndarray, test: np.ndarray) -> list[tuple[float, float]]:
    codes, known = (np.asarray(in_one_program(model, _encode, jnp.asarray(part))) for part in (test, train))
    decode = program_of(model, lambda net, code: net.decoded(code)[0])
    found = []
    for bits in BITS:
        code = quantized(codes, known.min(0), known.max(0), bits)
        rebuilt = np.asarray(decode(jnp.asarray(code, jnp.float32)))
        found.append((code.shape[1] * bits / 8, float(((rebuilt - test) ** 2).mean())))
    return found


def _pca(train: np.ndarray, test: np.ndarray, units: int) -> list[tuple[float, float]]:
    """With so many components and with fractions of them, a byte each."""
    rows, wanted = train.reshape(len(train), -1), test.reshape(len(test), -1)
    most = fit_pca(rows, min(units, rows.shape[1]))
    known, codes = most.encode(rows), most.encode(wanted)
    found = []
    for count in sorted({max(1, codes.shape[1] * part // 4) for part in (1, 2, 3, 4)}):
        kept = quantized(codes[:, :count], known[:, :count].min(0), known[:, :count].max(0), 8)
        rebuilt = most.mean + kept @ most.components[:, :count].T
        found.append((float(count), float(((rebuilt - wanted) ** 2).mean())))
    return found


def _jpeg(data: Data, test: np.ndarray) -> list[tuple[float, float]]:
    from PIL import Image

    raw = data.test["inputs"].astype(np.float64)
    low, high = float(data.train["inputs"].min()), float(data.train["inputs"].max())
    pixels = (quantized(raw, np.array(low), np.array(high), 8) - low) / max(high - low, 1e-12) * 255
    images = pixels.round().astype(np.uint8)
    found = []
    for quality in QUALITIES:
        sizes, rebuilt = [], np.empty_like(raw)
        for i, image in enumerate(images):
            file = io.BytesIO()
            Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "jpeg", quality=quality)
            sizes.append(scan_bytes(file.getvalue()))
            rebuilt[i] = np.asarray(Image.open(file), np.float64).reshape(image.shape) / 255 * (high - low) + low
        error = ((data.input_scaling.apply(rebuilt) - test) ** 2).mean()
        found.append((float(np.mean(sizes)), float(error)))
    return found


def scan_bytes(file: bytes) -> int:
    """Bytes of a JPEG's pixels: those between the header of its scan, which follows all tables, and its end mark."""
    start = file.rindex(b"\xff\xda") + 2
    return len(file) - 2 - (start + int.from_bytes(file[start : start + 2], "big"))
