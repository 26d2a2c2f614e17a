"""What a trained network says about new examples, any number of them in bounded memory."""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nnrun.datasets.part import Columns, Part
from nnrun.datasets.reader import Block
from nnrun.errors import ConfigError, NnrunError
from nnrun.execution import judge
from nnrun.execution.devices import compiler_options
from nnrun.folders import columns_file
from nnrun.models.base import Outputs
from nnrun.trained.trained_run import TrainedRun
from nnrun.training import batches

BLOCK_BYTES = 2**26
"""The inputs of a block take no more, as float32."""
BLOCK_ROWS = 8192
WIDE = 100
"""Numbers per example from which arrays are kept as they are, in an npz, unless a table is asked for."""
OWN = ("inputs", "seen", "latent")
"""Columns of a decoded reconstruction that a file of predictions leaves out: the input, and the code."""
DATASET_KEY = re.compile(r"'dataset\.[^']+'|\bdataset\.(?!path\b)\w+(?:=(?:\[[^]]*\]|[^\s,;]*[^\s,;.]))?")
"""A key as errors of data sets advise it, with a value or without, but for the file, which every verb is given anew."""


class Predictor:
    """Runs the network over parts of any size: one compiled program, rows padded to equal chunks.

    shape: batches per chunk and rows per batch; by default one batch, as large as suits the largest part so far.
    """

    def __init__(self, run: TrainedRun, shape: tuple[int, int] | None = None) -> None:
        self.run, self._shape, self._rows = run, shape, 1
        self._outputs = jax.jit(run.program.outputs, compiler_options=compiler_options())

    def outputs(self, part: Part, first: int | None = None) -> Outputs:
        """The Outputs of every example as NumPy arrays (n, ...).

        first: the number of the first example, for a denoiser that is to corrupt its inputs as in its own test.
        Raises ConfigError when there is none.
        """
        if not batches.count(part):
            raise ConfigError("There is no example to predict. Give at least one.")
        check_shape(self.run, part)
        kept = self.run.preprocessing.spec.shown(part)
        return judge.outputs(
            lambda chunk: self._outputs(self.run.traced, self.run.state, chunk),
            self.chunks(kept, first),
            batches.count(part),
        )

    def chunks(self, part: Part, first: int | None = None) -> Iterator[Part]:
        """Padded chunks with `mask` and, counted from `first`, `index`, placed for the program."""
        self._rows = max(self._rows, _rows(self.run, batches.count(part)))
        for chunk in batches.chunks(part, self._shape or (1, self._rows)):
            index = chunk.pop("index")
            yield self.run.placement.share(chunk if first is None else {**chunk, "index": index + np.int32(first)})


def block_size(run: TrainedRun) -> int:
    """Examples to read at a time."""
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // _bytes(run)))


def blocks(run: TrainedRun, source: Any) -> Iterator[Block]:
    """The examples of the path of a file or folder, a block at a time, or all of an array or a data frame.

    An error that advises a key of the data set, which no later verb takes, says how to train with it, too.
    """
    reader = run.preprocessing.reader
    try:
        if isinstance(source, str | Path):
            yield from reader.blocks(Path(source), block_size(run))
        else:
            yield reader.block(source)
    except NnrunError as error:
        # A path may read like a key.
        if (found := DATASET_KEY.search(str(error).replace(str(source), ""))) is None:
            raise
        key = found[0].strip("'") + ("" if "=" in found[0] else "=VALUE")
        again = shlex.join(["nnrun", "repeat", str(run.folder), key])
        raise type(error)(f"{error} Keys are set in training, so this means to train again: {again}") from None


def columns(run: TrainedRun, blocks: Iterable[Block]) -> Iterator[Columns]:
    """Per block: the reader's labels, then predictions for people."""
    predictor = Predictor(run)
    for block in blocks:
        found = run.task.decode(predictor.outputs(block.part), run.preprocessing.data(block.part))
        yield _labelled(block, {name: values for name, values in found.items() if name not in OWN})


def latents(run: TrainedRun, blocks: Iterable[Block]) -> Iterator[Columns]:
    """Per block: the reader's labels, the target where it is known, and the latent code (n, size).

    Raises ConfigError for a network without one.
    """
    predictor = Predictor(run)
    for block in blocks:
        code = latent_of(run, predictor.outputs(block.part))
        targets, names = block.part.get("targets"), np.array(run.preprocessing.class_names)
        known = {} if targets is None or targets.ndim > 1 else {"target": names[targets] if len(names) else targets}
        yield _labelled(block, {**known, "latent": code})


def latent_of(run: TrainedRun, outputs: Outputs) -> np.ndarray:
    """(n, size) codes. Raises ConfigError for a network without."""
    if outputs.latent is None:
        raise ConfigError(f"{run.folder} holds a network without latent codes. Train one: model=autoencoder or vae.")
    return np.asarray(outputs.latent)


def default_name(run: TrainedRun, source: Path, what: str) -> Path:
    """A file of the current folder named by the source: `<source>_<what>.csv`, or `.npz` for large answers."""
    ending = ".npz" if what == "predictions" and run.program.answer_size > WIDE else ".csv"
    return Path(f"{source.resolve().stem}_{what}{ending}")


def write(found: Iterable[Columns], output: Path, names: tuple[str, ...], overwrite: bool) -> int:
    """Writes blocks of columns to `output` and returns how many rows; `names` are those of the inputs.

    Raises ConfigError when there are none.
    """
    rows, first = 0, None
    with columns_file.writing(output, overwrite) as add:
        for block in found:
            columns = block if output.suffix == ".npz" else columns_file.flattened(block, names)
            # A file has the columns of its first block: the newest windows of a series, at its end, lack targets.
            first = first or columns
            add({name: columns[name] if name in columns else _unknown(columns, first[name]) for name in first})
            rows += len(next(iter(columns.values())))
        if first is None:
            raise ConfigError(f"There is no example to predict, so {output} was not written. Give at least one.")
    return rows


def _unknown(columns: Columns, like: np.ndarray) -> np.ndarray:
    """Stands for the targets of examples whose future is not known: NaN, or no text."""
    rows = len(next(iter(columns.values())))
    return np.full((rows, *like.shape[1:]), "" if like.dtype.kind == "U" else np.nan)


def _labelled(block: Block, found: Columns) -> Columns:
    """The labels first; one that is called like a result is the source's own."""
    labels = {f"source_{name}" if name in found else name: values for name, values in block.labels.items()}
    return {**labels, **found}


def check_shape(run: TrainedRun, part: Part) -> None:
    """Raises ConfigError when a reader does not read what the network takes: the folder is damaged."""
    example = run.preprocessing.spec.example
    for name, values in part.items():
        wanted, got = example[name].shape if name in example else None, values.shape[1:]
        if wanted is not None and wanted != got:
            what = "examples" if name == "inputs" else name
            raise ConfigError(
                f"The network of {run.folder} takes {what} of shape {wanted}, but its reader gives {got}."
            )


def _bytes(run: TrainedRun) -> int:
    shown = [field.size for field in run.preprocessing.spec.example.values() if not field.answer]
    return 4 * max(1, *shown, run.program.answer_size)


def _rows(run: TrainedRun, examples: int) -> int:
    """Rows of a batch: as in evaluation, fewer where examples are few or large; divisible by the devices."""
    devices = len(run.placement.devices)
    most = min(batches.EVALUATION_BATCH, max(1, BLOCK_BYTES // _bytes(run)))
    # The next power of two, so that inputs of all lengths need few programs.
    rows = min(most, 1 << max(0, examples - 1).bit_length())
    return max(1, rows // devices) * devices
