"""Every model on every data set whose kind it accepts, under debug=tiny: `python -m tests.smoke`.

Data sets that come as files get small made-up ones.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from nnrun import cli, members, schema
from tests.made_up_files import write_image_sets

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
        roots = write_image_sets(Path(folder))
        for overrides in [*pairs(roots), *large()]:
            started = time.time()
            code = cli.run(["debug=tiny", *overrides])
            print(
                f"{'ok' if code == 0 else 'FAILED'} {time.time() - started:5.1f} s  {' '.join(overrides)}", flush=True
            )
            passed, failed = passed + (code == 0), failed + [overrides] * (code != 0)
        completed = [json.loads(p.read_text())["status"] for p in Path(folder).glob("outputs/runs/*/*/summary.json")]
        assert completed.count("completed") == passed
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def pairs(roots: dict[str, str]) -> list[list[str]]:
    """`model=... dataset=...` for every fit."""
    found = []
    for name in members.choices("dataset"):
        data = members.load_choice("dataset", name)
        root = [f"dataset.root={roots[name]}"] if name in roots else []
        spec = schema.locate(data["_target_"])(schema.build("dataset", data)).spec()
        for model in members.choices("model"):
            if spec.kind in schema.locate(members.load_choice("model", model)["_target_"]).kinds:
                found.append([f"model={model}", f"dataset={name}", *root])
    return found


def large() -> list[list[str]]:
    """The other layouts."""
    image = ["dataset=shapes", "dataset.image_size=32"]
    return [[*words, *(["dataset=sine"] if "model=gru" in words else image)] for words in LARGE]


if __name__ == "__main__":
    sys.exit(main())
