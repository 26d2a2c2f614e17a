"""Rows of the accelerator benchmark: work done in several ways, timed in turns, and what a row of the table says."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from nnrun.errors import OUT_OF_MEMORY
from tests.benchmarks.contender import turn

HEAD = ("what", "way", "compiling", "median", "lowest to highest", "per second", "beside the first way")
NO_MEMORY = "memory does not suffice"
PAUSE_SECONDS = 0.1
"""Between turns, so that the threads of the way before have fallen asleep."""

Work = Callable[[], float]


class Way(NamedTuple):
    """One way to do a piece of work: `build` compiles it and gives the seconds of that and what does it once.

    amount, unit: how much of what is done each time.
    """

    what: str
    name: str
    build: Callable[[], tuple[float, Work]]
    amount: float
    unit: str


class Row(NamedTuple):
    """What was measured of a way: seconds of compiling, of every repeat, and the ratios to the first way's repeats.

    failure: why there is no measurement. note: what else there is to say.
    """

    what: str
    way: str
    compiling: float | None = None
    seconds: list[float] = []
    amount: float = 1
    unit: str = ""
    ratios: list[float] = []
    failure: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The row as a line of Markdown."""
        compiling = "" if self.compiling is None else duration(self.compiling)
        cells = [self.what, self.way, compiling, self.failure, "", "", self.note]
        if self.seconds and not self.failure:
            middle = median(self.seconds)
            cells[3] = duration(middle)
            if len(self.seconds) > 1:
                cells[4] = f"{duration(min(self.seconds))} to {duration(max(self.seconds))}"
            cells[5] = f"{digits(self.amount / middle)} {self.unit}"
        if self.ratios:
            cells[6] = f"{median(self.ratios):.2f} ({min(self.ratios):.2f} to {max(self.ratios):.2f})"
        return line(cells)


def line(cells: list[str] | tuple[str, ...]) -> str:
    """Cells as a line of a Markdown table; bars and line ends inside a cell would end it early."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '/') for cell in cells)} |"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: 12.3 s, 4.56 ms, 78.9 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-6)} µs"


def digits(value: float) -> str:
    """Three digits that count, and all those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def failure(error: BaseException) -> str:
    """Why something was not measured, short enough for a cell."""
    text = str(error)
    if isinstance(error, MemoryError) or OUT_OF_MEMORY in text:
        return NO_MEMORY
    return f"failed: {type(error).__name__}: {text.strip().splitlines()[0] if text.strip() else ''}"[:160]


def measure(ways: list[Way], rounds: int, turns: Callable[[Work], list[float]] = turn) -> Iterator[Row]:
    """Builds all ways, warms them up, gives each a turn in every round, and yields their rows.

    A ratio is of one round, to the first way of the same `what`: what else the machine does hits both. A way that the
    device or its memory fails is a row that says so; the others go on.
    """
    # Imports JAX, and with it a second of start that the parent process has no use for.
    from nnrun.execution.devices import FAILURES

    ready: dict[int, tuple[float, Work]] = {}
    failed: dict[int, str] = {}
    seconds: dict[int, list[float]] = {}
    for i, way in enumerate(ways):
        try:
            ready[i] = way.build()
            ready[i][1]()
        except FAILURES as error:
            failed[i] = failure(error)
            ready.pop(i, None)
    for _ in range(rounds):
        for i, (_, work) in list(ready.items()):
            time.sleep(PAUSE_SECONDS)
            try:
                seconds.setdefault(i, []).append(median(turns(work)))
            except FAILURES as error:
                failed[i] = failure(error)
                del ready[i]
    first: dict[str, int] = {}
    for i, way in enumerate(ways):
        base = first.setdefault(way.what, i)
        if i in failed:
            yield Row(way.what, way.name, failure=failed[i])
            continue
        beside = [] if base == i or base in failed else seconds[base]
        ratios = [mine / its for mine, its in zip(seconds[i], beside, strict=bool(beside))]
        yield Row(way.what, way.name, ready[i][0], seconds[i], way.amount, way.unit, ratios)
