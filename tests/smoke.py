"""Every model on every data set whose kind it accepts, under debug=tiny: `python -m tests.smoke`.

Data sets that come as files get small made-up ones.
"""

import gzip
import json
import os
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nnrun import cli, members, schema

FILES = ("mnist", "fashion_mnist", "cifar10")
LARGE = (
    ["model=resnet", "model.layout=18"],
    ["model=resnet", "model.layout=50"],
    ["model=vgg", "model.layout=16"],
    ["model=inception", "model.layout=v3"],
    ["model=autoencoder", "model.encoder=convolutional"],
    ["model=gru", "model.reset_after=true"],
)
"""Other layouts, tried on one data set each."""


def main() -> int:
    """Runs them all and counts; 1 when one failed."""
    failed, passed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        roots = write_files(Path(folder))
        for overrides in [*pairs(roots), *large()]:
            started = time.time()
            code = cli.run(["debug=tiny", *overrides])
            print(f"{'ok' if code == 0 else 'FAILED'} {time.time() - started:5.1f} s  {' '.join(overrides)}", flush=True)
            passed, failed = passed + (code == 0), failed + [overrides] * (code != 0)
        completed = [json.loads(p.read_text())["status"] for p in Path(folder).glob("outputs/runs/*/*/summary.json")]
        assert completed.count("completed") == passed
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def pairs(roots: dict[str, list[str]]) -> list[list[str]]:
    """`model=... dataset=...` for every fit."""
    found = []
    for name in members.choices("dataset"):
        data = members.load_choice("dataset", name)
        spec = schema.locate(data["_target_"])(schema.build("dataset", data)).spec()
        for model in members.choices("model"):
            if spec.kind in schema.locate(members.load_choice("model", model)["_target_"]).kinds:
                found.append([f"model={model}", f"dataset={name}", *roots.get(name, [])])
    return found


def large() -> list[list[str]]:
    """The other layouts."""
    image = ["dataset=shapes", "dataset.image_size=32"]
    return [[*words, *(["dataset=sine"] if "model=gru" in words else image)] for words in LARGE]


def write_files(folder: Path) -> dict[str, list[str]]:
    """Small files in the formats of mnist, fashion_mnist and cifar10, and the overrides that point to them."""
    rng = np.random.default_rng(0)
    for name in ("mnist", "fashion_mnist"):
        (folder / name).mkdir()
        for part, count in (("train", 200), ("t10k", 40)):
            images = rng.integers(0, 256, (count, 28, 28), np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                header = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
                content = gzip.compress(header + array.tobytes())
                (folder / name / f"{part}-{kind}-ubyte.gz").write_bytes(content)
    batches = folder / "cifar10" / "cifar-10-batches-bin"
    batches.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        rows = rng.integers(0, 256, (40, 3073), np.uint8)
        rows[:, 0] = np.arange(40) % 10
        (batches / f"{name}.bin").write_bytes(rows.tobytes())
    return {name: [f"dataset.root={folder / name}"] for name in FILES}


if __name__ == "__main__":
    sys.exit(main())
