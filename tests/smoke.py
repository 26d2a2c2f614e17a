"""Every model on every data set whose kind it accepts, under debug=tiny: `python -m tests.smoke [PART PARTS]`.

Data sets that come as files get small made-up ones.
"""

import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from nnrun.commands import cli
from nnrun.compose import compatible, compose
from nnrun.config import choices, run_config
from nnrun.errors import ConfigError
from nnrun.execution import devices
from tests import compiling
from tests.made_up_files import write_image_sets

LARGE = (
    ["model=resnet", "model.layout=18"],
    ["model=vgg", "model.layout=16", "model.width=8"],
    ["model=autoencoder", "model.encoder=convolutional"],
    ["model=gru", "model.reset_after=true"],
)
"""Other layouts, tried on one data set each."""
NARROW = {"vgg": ["model.width=8", "model.dense_sizes=[64,64]"]}
"""Of networks whose weights take longer than all else."""


def main(part: int = 0, parts: int = 1) -> int:
    """Runs every `parts`-th of them from `part` on, and counts; 1 when one failed."""
    failed, passed = [], 0
    os.environ.setdefault("XLA_FLAGS", compiling.FLAGS)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        compose.prepare_imports()
        devices.prepare()
        roots = write_image_sets(Path(folder))
        for overrides in [*pairs(roots), *large()][part::parts]:
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
    """`model=... dataset=...` for every fit: the kind of data, and no image too small for the network."""
    found = []
    for name, model in itertools.product(choices.choices("dataset"), choices.choices("model")):
        of_files = (f"dataset.{k}={v}" for k, v in roots.get(name, {}).items())
        words = [f"model={model}", *NARROW.get(model, []), f"dataset={name}", *of_files]
        (composed,) = compose.compose_all(words, multirun=False)
        with contextlib.suppress(ConfigError):
            compatible.check_fit(run_config.build(composed.plain))
            found.append(words)
    return found


def large() -> list[list[str]]:
    """The other layouts."""
    image = ["dataset=shapes", "dataset.image_size=32"]
    return [[*words, *(["dataset=sine"] if "model=gru" in words else image)] for words in LARGE]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
