"""The only module that prints: a progress bar and tables for people, plain lines where the output is no terminal."""

import contextlib
import io
import logging
import math
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move the cursor, start a sequence or turn the direction of writing, and bytes that are no text.

Not line feed and tab.
"""
BOLD, COLOUR, PLAIN = "\x1b[1m", "\x1b[1;36m", "\x1b[0m"
"""How a terminal is told to write."""
COMMAND = re.compile(r"(?<=[.:,] )nnrun ")
"""Where a sentence has a command, which is to be copied in one piece."""
PLAIN_LINES = 20
SECONDS_BETWEEN_LINES = 5.0


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

    def line(self, text: str, shown: str | None = None) -> None:
        """A line of text; `shown` is the same as a terminal has it, with colours."""
        text = printable(text)
        self._log(text)
        if self._progress:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            _print(shown or text)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Shows on a terminal what takes a while and has no measure."""
        if not sys.stdout.isatty():
            yield
            return
        from rich.console import Console

        with Console().status(what):
            yield

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
        self.line(text)

    def stop(self) -> None:
        """Closes the progress bar."""
        if self._progress:
            self._progress.stop()
            self._progress = None

    def close(self) -> None:
        """Ends the progress bar, and listening to what other modules report."""
        self.stop()
        logging.getLogger("nnrun").removeHandler(self._lines)

    def table(self, head: list[str], rows: list[list[str]], column: int | None = None) -> None:
        """Columns of text, the first to the left, the others to the right.

        On a terminal with colours the head is bold, and the `column` that is looked at first stands out.
        """
        lines = [[inline(cell) for cell in row] for row in (head, *rows)]
        first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
        for number, (name, *cells) in enumerate(lines):
            padded = [name.ljust(first), *map(str.rjust, cells, others)]
            styles = [BOLD if not number else COLOUR if place == column else "" for place in range(len(padded))]
            shown = [f"{style}{cell}{PLAIN}" if style else cell for style, cell in zip(styles, padded, strict=True)]
            self.line("  ".join(padded).rstrip(), "  ".join(shown) if _has_colours() else None)


class SweepProgress:
    """Trials done, best so far and time left: a bar on a terminal, elsewhere a line now and then.

    Work is counted in trials; one that has trained half its epochs is half a trial.
    """

    def __init__(self, terminal: Terminal, metric: str, maximize: bool) -> None:
        self._terminal, self._metric, self._better = terminal, metric, max if maximize else min
        self._total, self._ended, self._failed, self._trained, self._before = 0.0, 0, 0, 0.0, 0.0
        self._best: float | None = None
        self._started: float | None = None
        self._said = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "SweepProgress":
        self._said = time.monotonic()
        if sys.stdout.isatty():
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(BarColumn(), TextColumn("{task.fields[status]}"), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=1.0, status="compiling")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def asked(self, count: int, budget: float) -> None:
        """So many trials were asked for; there will be `budget`, or no more where that is not finite."""
        self._total = budget if math.isfinite(budget) else count

    def ended(self, objective: float | None, failed: bool) -> None:
        """A trial ended."""
        self._ended += 1
        self._failed += failed
        if objective is not None:
            self._best = objective if self._best is None else self._better(self._best, objective)

    def trained(self, trials: float, before: bool = False) -> None:
        """So much was trained; `before`: by an earlier process."""
        if self._started is None and not before:
            # Until now programs were compiled, which tells nothing of how long trials take.
            before, self._started = True, time.monotonic()
        self._trained += trials
        self._before += trials if before else 0
        if self._bar:
            self._bar.update(self._task, completed=self._share(), status=self._status())
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._terminal.line(self._status())

    def _share(self) -> float:
        return min(1.0, self._trained / max(1.0, self._total))

    def _status(self) -> str:
        failed = f" ({self._failed} failed)" if self._failed else ""
        done = f"{self._ended}/{self._total:.0f} trials{failed}, {100 * self._share():.0f} %"
        best = "" if self._best is None else f"best {self._metric} {self._best:.5g}"
        return "  ".join(part for part in (done, best, self._time_left()) if part)

    def _time_left(self) -> str:
        new = self._trained - self._before
        share = self._share()
        if self._started is None or new <= 0 or share <= 0:
            return ""
        # What earlier processes trained took no time of this one: the pace is that of the new trials alone.
        seconds = (time.monotonic() - self._started) * (self._trained / share - self._trained) / new
        return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"


class _Lines(logging.Handler):
    """What modules that print nothing report (a download) as lines."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """One line per record."""
        self._terminal.line(record.getMessage())


def complain(text: str) -> None:
    """One paragraph on stderr."""
    _print(_wrapped("nnrun: " + printable(" ".join(text.split())), sys.stderr), sys.stderr)


def say(text: str) -> None:
    """Text on stdout as it is."""
    _print("\n".join(_wrapped(line, sys.stdout) for line in printable(text).split("\n")))


def _wrapped(line: str, stream: TextIO) -> str:
    """A line broken between words where it is wider than the terminal, its rest as far to the right as it began.

    A command at its end stays in one piece, on a line of its own.
    """
    if not stream.isatty() or len(line) <= (width := shutil.get_terminal_size().columns):
        return line
    found = COMMAND.search(line)
    text, command = (line[: found.start()], line[found.start() :]) if found else (line, "")
    indent = " " * (len(line) - len(line.lstrip()))
    broken = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*broken, *[indent + command] * bool(command)])


def _has_colours() -> bool:
    """Whether stdout is a terminal that shows them, and its user wants them (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print(text: str, stream: TextIO | None = None) -> None:
    """A line for whoever reads on; work goes on in silence after `nnrun ... | head -3`, or where the disk is full."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except OSError:
        # Python flushes once more when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_streams() -> None:
    """Makes stdout and stderr take whatever is said: closed ones nothing, others names in letters that they lack."""
    # What is opened next would get the number of a closed one, and with it what libraries write there.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def printable(text: str) -> str:
    """Text with control characters as their escapes: a file or folder of somebody else must not drive the terminal."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def inline(text: str) -> str:
    """Text that stays on its line: a name or value of somebody else's must not look like a line of ours."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
