"""The only module that prints: a progress bar and tables for people, plain lines where the output is no terminal."""

import logging
import sys
from collections.abc import Callable
from typing import Any

PLAIN_LINES = 20


class Terminal:
    """Shows a run; every line also goes to `log`."""

    def __init__(self, log: Callable[[str], None] = lambda line: None) -> None:
        self._log = log
        self._progress: Any = None
        self._task: Any = None
        self._lines = _Lines(self)
        logger = logging.getLogger("nnrun")
        logger.addHandler(self._lines)
        logger.setLevel(logging.INFO)

    def line(self, text: str) -> None:
        """A line of text."""
        self._log(text)
        if self._progress:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    def start(self, epochs: int, steps: int) -> None:
        """Opens the progress bar of `epochs` times `steps`."""
        self._epochs, self._steps = epochs, steps
        if not sys.stdout.isatty():
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, transient=True)
        self._progress.start()
        self._task = self._progress.add_task("training", total=epochs * steps, status="")

    def stretch(self, epoch: int, done: int, loss: float) -> None:
        """Progress inside an epoch."""
        if self._progress:
            status = f"epoch {epoch}/{self._epochs}  train/loss {loss:.4g}"
            self._progress.update(self._task, completed=(epoch - 1) * self._steps + done, status=status)

    def epoch(self, row: dict[str, float], objective: str, improved: bool, last: bool) -> None:
        """One line of about PLAIN_LINES in all, the last epoch always among them."""
        epoch = int(row["epoch"])
        if epoch % max(1, self._epochs // PLAIN_LINES) and epoch != self._epochs and not last:
            return
        shown = dict.fromkeys(("train/loss", "val/loss", objective))
        values = "  ".join(f"{name} {row[name]:.5g}" for name in shown if name in row)
        text = f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}  {values}{'  *' if improved else ''}"
        self._log(text)
        if not self._progress:
            print(text, flush=True)

    def stop(self) -> None:
        """Closes the progress bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Ends the progress bar, and listening to what other modules report."""
        self.stop()
        logging.getLogger("nnrun").removeHandler(self._lines)

    def results(self, metrics: dict[str, float], baseline: dict[str, dict[str, float]]) -> None:
        """The test metrics beside the naive baselines."""
        names = sorted({name for values in baseline.values() for name in values})
        head = ["", "model", *names]
        rows = [
            [metric, _show(value), *(_show(baseline.get(metric, {}).get(name)) for name in names)]
            for metric, value in metrics.items()
            if metric.startswith("test/")
        ]
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, *rows]:
            first, *rest = (
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            self.line("  ".join([first, *rest]).rstrip())


class _Lines(logging.Handler):
    """What modules that print nothing report (a download) as lines."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """One line per record."""
        self._terminal.line(record.getMessage())


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def complain(text: str) -> None:
    """One paragraph on stderr."""
    print("nnrun: " + " ".join(text.split()), file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Text on stdout as it is."""
    print(text, flush=True)
