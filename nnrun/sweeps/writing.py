"""report.html and its pictures, written from a sweep's ledger."""

from pathlib import Path

from nnrun.host import disk
from nnrun.sweeps.drawing import Subject
from nnrun.folders.ledger import Ledger
from nnrun.report.palette import save
from nnrun.report.sweep.page import page
from nnrun.report.sweep.pictures import figures
from nnrun.report.sweep.subject import SweepRecord


def write(folder: Path, subject: Subject) -> None:
    """report.html and figures/ of a sweep's folder, finished or not."""
    ledger = Ledger(folder, writes=False)
    try:
        record = SweepRecord(**vars(subject), trials=ledger.trials(), curves=ledger.curves(subject.metric))
    finally:
        ledger.close()
    disk.write(folder / "report.html", page(record).encode())
    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures(record).items():
        save(figure, folder / "figures" / f"{name}.png")
