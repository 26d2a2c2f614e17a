"""What an evaluation leaves behind: a folder of its own, beside the run's other files."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from nnrun import report
from nnrun.folders.run_folder import RunFolder
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
        temporary.chmod(0o755)
        return _renamed(temporary, wanted)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(folder: RunFolder, found: Evaluated, source: Path | None, summary: dict[str, Any]) -> None:
    drawn, tables = _figures(found, f"{summary['model']} on {source.name if source else summary['dataset']}")
    content = {
        "run": str(found.run.folder),
        "input": None if source is None else str(source),
        "examples": found.examples,
        "metrics": found.metrics,
        "baseline": found.baseline,
    }
    folder.write_json("evaluation.json", content)
    if found.outputs is not None:
        folder.write_columns("predictions", {**found.labels, **found.run.task.decode(found.outputs, found.data)})
    for table, columns in tables.items():
        folder.write_columns(table, columns)
    for figure, picture in drawn.items():
        folder.save_figure(figure, picture)


def _figures(found: Evaluated, title: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pictures by name, and the task's tables; none where the examples were too many to keep."""
    if found.outputs is None:
        return {}, {}
    run = found.run
    tables = run.task.tables(run.model, found.data)
    finished = FinishedRun(
        title=title,
        history=[],
        objective="",
        best_epoch=0,
        data=found.data,
        task=run.task,
        model=run.model,
        outputs=found.outputs,
        metrics=found.metrics,
        baseline=found.baseline,
        tables=tables,
    )
    return report.drawn(finished), tables


def _renamed(folder: Path, wanted: Path) -> Path:
    """Gives a folder the wanted name, or that with the first number that is free."""
    path, number = wanted, 1
    while True:
        try:
            return folder.rename(path)
        except OSError:
            if not path.exists():
                raise
        number += 1
        path = wanted.with_name(f"{wanted.name}_{number}")
