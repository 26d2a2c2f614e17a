"""What an evaluation leaves behind: a folder of its own, beside the run's other files."""

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nnrun import report
from nnrun.folders.run_folder import RunFolder
from nnrun.host.terminal import Terminal
from nnrun.report.base import FinishedRun
from nnrun.trained.evaluation import Evaluated


def write(found: Evaluated, source: Path | None, output: Path | None, summary: dict[str, Any]) -> Path:
    """Writes evaluation.json, predictions and figures to a new folder, which is returned; it appears whole.

    By default RUN/evaluations/<test, or the name of the source>, with a number where that is taken.
    """
    wanted = output or found.run.folder / "evaluations" / (source.resolve().stem if source else "test")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{wanted.name}.", dir=wanted.parent))
    try:
        _fill(RunFolder(temporary), found, source, summary)
        # mkdtemp lets nobody else read it.
        temporary.chmod(0o755)
        return _renamed(temporary, wanted)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: RunFolder, found: Evaluated, source: Path | None, summary: dict[str, Any]) -> None:
    """Predictions, tables and figures only where the examples were not too many to keep."""
    content = {
        "run": str(found.run.folder),
        "input": None if source is None else str(source),
        "examples": found.examples,
        "metrics": found.metrics,
        "baseline": found.baseline,
    }
    folder.write_json("evaluation.json", content)
    if found.outputs is None:
        return
    run = found.run
    title, kind = run.config.title(summary), run.config.report.format
    title = f"{summary['model']} on {source.name}" if source else title
    finished = FinishedRun.of(title, run.task, run.model, found.data, found.outputs, content)
    columns = {"predictions": {**found.labels, **run.task.decode(found.outputs, found.data)}, **finished.tables}
    for name, table in columns.items():
        folder.write_columns(name, table)
    with contextlib.closing(Terminal(folder.log)) as terminal:
        for name, picture in report.drawn(finished, terminal.line, folder.log, kind).items():
            folder.save_figure(name, picture, kind)


def _renamed(folder: Path, wanted: Path) -> Path:
    """Gives a folder the wanted name, or that with the first number that is free."""
    path, number = wanted, 1
    while True:
        # Not `exists` first: another evaluation may take the name in between.
        try:
            return folder.rename(path)
        except OSError:
            if not path.exists():
                raise
        number += 1
        path = wanted.with_name(f"{wanted.name}_{number}")
