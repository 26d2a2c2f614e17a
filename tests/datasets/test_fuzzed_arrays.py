"""Damaged IDX, npz and image files: whatever the bytes, either data come out or a sentence that names the file.

NNRUN_FUZZ is how many inputs are tried of each kind.
"""

import gzip
import io
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nnrun.datasets.arrays import file
from nnrun.datasets.arrays.idx_file import read_idx
from nnrun.datasets.images import files
from nnrun.datasets.images.files import Form
from nnrun.datasets.npz import Npz, NpzConfig
from nnrun.errors import NnrunError

TRIED, AT_RANDOM = int(os.environ.get("NNRUN_FUZZ", "60")), "NNRUN_FUZZ" in os.environ
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def saved(kind, **options):
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, kind, **options)
    return content.getvalue()


def idx():
    return bytes([0, 0, 8, 3]) + np.array([2, 9, 7], ">u4").tobytes() + PIXELS[..., :2].tobytes()


def npz(save):
    content = io.BytesIO()
    save(content, inputs=np.arange(80.0).reshape(20, 4), targets=np.arange(20) % 2)
    return content.getvalue()


def read_npz(path):
    file.npz_layout(path)
    Npz(NpzConfig(path=str(path))).load()


def read_image(path):
    files.inspect(path)
    found = files.decode(path, Form((5, 5, 3), "stretch"))
    assert (found.shape, found.dtype) == ((5, 5, 3), np.uint8)


def read_images(path):
    found = read_idx(path, 3)
    assert (found.ndim, found.dtype) == (3, np.uint8)


FILES = {
    "x-idx3": (idx(), read_images),
    "x-idx3.gz": (gzip.compress(idx()), read_images),
    "stored.npz": (npz(np.savez), read_npz),
    "packed.npz": (npz(np.savez_compressed), read_npz),
    "x.jpg": (saved("JPEG"), read_image),
    "x.png": (saved("PNG"), read_image),
    "x.bmp": (saved("BMP"), read_image),
    "x.webp": (saved("WEBP", lossless=True), read_image),
}


@st.composite
def damaged(draw, content):
    """The content with some bytes replaced, inserted, removed, or cut off; now and then only noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(found)))
        change = draw(st.sampled_from(["replace", "insert", "remove", "cut", "flip"]))
        if change == "flip" and at < len(found):
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del found[at:]
        else:
            new = b"" if change == "remove" else draw(st.binary(min_size=1, max_size=8))
            found[at : at + (0 if change == "insert" else draw(st.integers(1, 8)))] = new
    return bytes(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_any_bytes_are_data_or_an_error_that_names_the_file(name, tmp_path):
    content, read = FILES[name]
    path = tmp_path / name

    @settings(
        max_examples=TRIED,
        deadline=None,
        derandomize=not AT_RANDOM,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(content))
    def attempt(changed):
        path.write_bytes(changed)
        said = str(path)
        try:
            read(path)
        except NnrunError as error:
            said = str(error)
        assert said.startswith(str(path)) or "Every part needs" in said
        assert "\n" not in said

    path.write_bytes(content)
    read(path)
    attempt()
