"""The tables that scikit-learn carries, read from its folder: importing scikit-learn would take two seconds."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np

from nnrun.datasets.base import DataSpec
from nnrun.datasets.part import Part
from nnrun.datasets.parts.examples import Examples
from nnrun.errors import RunError


def folder() -> Path:
    """The folder in which the installed scikit-learn keeps its data files. Raises RunError when it is not installed."""
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise RunError("This data set is a file of scikit-learn, which is missing. Run: pip install scikit-learn.")
    return Path(found.origin).parent / "datasets" / "data"


def read_table(name: str, skip_rows: int = 0, delimiter: str | None = ",") -> np.ndarray:
    """(rows, columns) float64 numbers of a text file, gzipped or not. Raises RunError when it is missing or damaged."""
    path = folder() / name
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = text.decode("ascii").splitlines()[skip_rows:]
        return np.array([line.split(delimiter) for line in lines], np.float64)
    except (OSError, EOFError, ValueError) as error:
        raise RunError(
            f"{path} must hold a table of numbers, but reading it failed: {error}. "
            "Run: pip install --force-reinstall scikit-learn."
        ) from error


class BundledClasses(Examples):
    """Base of the tables of classes: a row of names, then rows of numbers with the class in the last column."""

    file: ClassVar[str]

    def spec(self) -> DataSpec:
        """Numbers in, a class out."""
        return DataSpec("table", (len(self.input_names),), (), "classification", classes=len(self.class_names))

    def examples(self, rng: np.random.Generator) -> Part:
        """Reads the table; nothing is random."""
        table = read_table(self.file, skip_rows=1)
        return {"inputs": table[:, :-1].astype(np.float32), "targets": table[:, -1].astype(np.int32)}
