"""sweep.db: every trial from the moment it is asked for, in SQLite.

The file may be somebody else's: what is read of it is data, and anything else (a view, a trigger, a value that no sweep
writes) makes it damaged.
"""

import contextlib
import json
import math
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from nnrun.errors import ConfigError
from nnrun.host.disk import hold
from nnrun.search.trial import FINAL, Trial

SCHEMA = """
CREATE TABLE IF NOT EXISTS trials (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, params TEXT NOT NULL, objective REAL, metrics TEXT,
    group_id INTEGER, seconds REAL, error TEXT
);
CREATE TABLE IF NOT EXISTS metrics (
    trial INTEGER, epoch INTEGER, name TEXT, value REAL, PRIMARY KEY (trial, epoch, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
    trial INTEGER, epoch INTEGER, member INTEGER, metrics TEXT, PRIMARY KEY (trial, epoch, member)
) WITHOUT ROWID;
"""
ADDED = {"started": "REAL", "ended": "REAL", "epochs": "INTEGER", "batch": "INTEGER", "spread": "TEXT"}
"""Columns that the table of trials of earlier versions lacks, in the order in which they are added to it."""
LONGEST = 2**22
"""Bytes of a text that is read; no sweep writes as many."""
LONGEST_ERROR = 2**16
"""Characters of a trial's error that are kept."""
OF_THE_DISK = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""Errors that say nothing of what the file holds."""
STATES = ("waiting", "running", *FINAL)
Rows = list[tuple[Any, ...]]
Metrics = dict[str, float | None]
Row = tuple[int, str, dict[str, Any], float | None, Metrics, int | None, float | None, str | None]
Added = tuple[float | None, float | None, int | None, int | None, dict[str, float]]
"""A row of the table `trials`: its first columns, and those that were added."""


def _words(text: str) -> str:
    """A statement without what depends on how it was typed, and where SQLite put a column that was added."""
    return re.sub(r"\s*([(),])\s*", r"\1 ", " ".join(text.replace("IF NOT EXISTS ", "").split()))


def _ours() -> set[str]:
    trials, *others, _ = map(_words, SCHEMA.split(";"))
    columns = [f", {name} {kind}" for name, kind in ADDED.items()]
    return {*others, *(_words(f"{trials.rstrip(') ')}{''.join(columns[:n])})") for n in range(len(columns) + 1))}


OURS = _ours()
"""The tables that a ledger may hold, as `_words` has them; a kill may leave some of the added columns."""


class Ledger:
    """`sweep.db`; every method is a transaction, so a kill loses at most the call it interrupts."""

    def __init__(self, folder: Path, writes: bool = True) -> None:
        """Raises ConfigError when another process works on the folder, for a damaged ledger, or for none to be read."""
        self._path = path = folder / "sweep.db"
        self._lock = hold(folder, ".lock") if writes else None
        if not writes:
            if not path.is_file():
                raise ConfigError(f"{path}, which holds the trials, is missing. Put it back, or start a new sweep.")
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        else:
            # No isolation level: Python's module would begin transactions by itself, and ours are explicit.
            self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._check()
            if writes:
                self._make()
                # Before anything is written: what is damaged stays as it is.
                self.trials()
                self._extend()
        except BaseException:
            self._database.close()
            if self._lock:
                self._lock.close()
            raise

    def _check(self) -> None:
        """Raises ConfigError where the file is no database, or holds more than our tables."""
        self._database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        self._database.execute("PRAGMA trusted_schema=OFF")
        # A view could compute for ever, a trigger would run when a trial is written.
        for name, text in self._read("SELECT name, sql FROM sqlite_master"):
            if not isinstance(text, str) or _words(text) not in OURS:
                raise self._damaged(f"it holds {str(name)[:40]!r}, which no sweep makes")

    def _make(self) -> None:
        # With a write-ahead log the report can read while the sweep writes. NORMAL spares the sync of every commit: a
        # kill loses nothing, a power cut at most the newest transactions.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self._database.executescript(SCHEMA)

    def _extend(self) -> None:
        """Adds the columns that a ledger of an earlier version lacks."""
        known = self._columns()
        for name, kind in ADDED.items():
            if name not in known:
                self._database.execute(f"ALTER TABLE trials ADD COLUMN {name} {kind}")

    def _columns(self) -> set[str]:
        """The columns of the table of trials; a ledger of an earlier version that is only read has fewer."""
        return {row[1] for row in self._read("PRAGMA table_info(trials)")}

    def close(self) -> None:
        """Leaves one file behind unless somebody reads it, and lets others work on the folder."""
        if self._lock:
            # "database is locked" where somebody reads: the log stays beside the file then, which is as good.
            with contextlib.suppress(sqlite3.OperationalError):
                self._database.execute("PRAGMA journal_mode=DELETE")
        self._database.close()
        if self._lock:
            self._lock.close()

    def ask(self, points: Sequence[dict[str, Any]]) -> range:
        """Adds waiting trials, a batch of their own; their numbers."""
        query = "SELECT COUNT(*), COALESCE(MAX(batch) + 1, 0) FROM trials"
        first, batch = self._database.execute(query).fetchone()
        numbers = range(first, first + len(points))
        rows = [(n, "waiting", json.dumps(p, ensure_ascii=False), batch) for n, p in zip(numbers, points, strict=True)]
        self._many("INSERT INTO trials (number, state, params, batch) VALUES (?, ?, ?, ?)", rows)
        return numbers

    def assign(self, group_of: dict[int, int]) -> None:
        """Puts trials into groups."""
        self._many("UPDATE trials SET group_id = ? WHERE number = ?", [(g, n) for n, g in group_of.items()])

    def start(self, numbers: Iterable[int], epochs: int | None = None) -> None:
        """Marks waiting trials as running, for so many epochs where that is known."""
        self._many(
            "UPDATE trials SET state = 'running', started = ?, epochs = ? WHERE number = ? AND state = 'waiting'",
            [(time.time(), epochs, number) for number in numbers],
        )

    def record(self, rows: dict[int, dict[str, float]], finished: Sequence[Trial] = ()) -> None:
        """Adds an epoch's metrics of trials, and the final state of those that ended with it."""
        metrics = [
            (number, int(row["epoch"]), name, value)
            for number, row in rows.items()
            for name, value in row.items()
            if name not in ("epoch", "step")
        ]
        ends = []
        for t in finished:
            known = {name: value if math.isfinite(value) else None for name, value in t.metrics.items()}
            error = t.error and t.error[:LONGEST_ERROR]
            spread = json.dumps(t.spread) if t.spread else None
            ends.append((t.state, t.objective, json.dumps(known), t.seconds, error, time.time(), spread, t.number))
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", metrics)
            self._database.executemany(
                "UPDATE trials SET state = ?, objective = ?, metrics = ?, seconds = ?, error = ?, ended = ?, "
                "spread = ? WHERE number = ?",
                ends,
            )

    def record_members(self, rows: dict[int, Sequence[dict[str, float]]]) -> None:
        """Adds what each fold and repeat of trials measured in an epoch, before `record` has the means."""
        found = [
            (number, int(row["epoch"]), member, json.dumps({name: v for name, v in row.items() if "/" in name}))
            for number, of_trial in rows.items()
            for member, row in enumerate(of_trial)
        ]
        if found:
            self._many("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)", found)

    def members(self, trial: int, epoch: int) -> list[dict[str, float]]:
        """What each fold and repeat of a trial measured in an epoch, in their order; none where it has no several."""
        known = self._read("SELECT 1 FROM sqlite_master WHERE name = 'members'")
        query = "SELECT metrics FROM members WHERE trial = ? AND epoch = ? ORDER BY member"
        rows = self._read(query, trial, epoch) if known else []
        try:
            return [msgspec.convert(_decoded(text), dict[str, float]) for (text,) in rows]
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._damaged(f"a member of trial {trial} has no metrics ({str(error)[:100]})") from None

    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self._select("")

    def unfinished(self) -> list[Trial]:
        """Waiting and running trials."""
        return self._select("WHERE state IN ('waiting', 'running')")

    def group(self, number: int) -> list[Trial]:
        """Trials of a group."""
        return self._select("WHERE group_id = ?", number)

    def _select(self, condition: str, *values: Any) -> list[Trial]:
        known = self._columns()
        columns = ["number, state, params, objective, metrics, group_id, seconds, error"]
        columns += [name if name in known else "NULL" for name in ADDED]
        rows = self._read(f"SELECT {', '.join(columns)} FROM trials {condition} ORDER BY number", *values)
        return [self._trial(*row) for row in rows]

    def _trial(self, number: int, state: Any, params: Any, objective: Any, metrics: Any, *rest: Any) -> Trial:
        try:
            found = (number, state, _decoded(params), objective, _decoded(metrics or "{}"), *rest[:3])
            *given, spread = rest[3:]
            added = zip(ADDED, msgspec.convert((*given, _decoded(spread or "{}")), Added), strict=True)
            trial = replace(Trial(*msgspec.convert(found, Row)), **dict(added))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._damaged(f"trial {number} has a value that no sweep writes ({str(error)[:100]})") from None
        if state not in STATES or not math.isfinite(objective or 0) or number < 0:
            raise self._damaged(f"trial {number} has a value that no sweep writes ({state!r:.40}, {objective!r})")
        return trial

    def _read(self, query: str, *values: Any) -> Rows:
        """All rows of a query. Raises ConfigError where the file is damaged."""
        try:
            return self._database.execute(query, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in OF_THE_DISK:
                raise
            raise self._damaged(str(error)) from None

    def _damaged(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self._path} is damaged: {why}. Put back a copy of it; trials.csv and the trials' folders beside it have "
            "what was measured."
        )

    def curves(self, metric: str) -> dict[int, list[float]]:
        """A metric's value after every epoch, by trial."""
        found: dict[int, list[float]] = {}
        # SQLite stores NaN as NULL.
        for trial, value in self._read("SELECT trial, value FROM metrics WHERE name = ? ORDER BY trial, epoch", metric):
            if not isinstance(value, float | int | None):
                raise self._damaged(f"{metric} of trial {trial!r:.40} is no number")
            found.setdefault(trial, []).append(math.nan if value is None else value)
        return found

    def epochs(self) -> dict[int, int]:
        """How many epochs each trial has trained, of those that have trained any."""
        return dict(self._read("SELECT trial, MAX(epoch) FROM metrics GROUP BY trial"))

    def _many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        with self._transaction():
            self._database.executemany(statement, rows)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing, also where the disk is full."""
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back already where the disk is full, and then refuses this.
            with contextlib.suppress(sqlite3.OperationalError):
                self._database.execute("ROLLBACK")
            raise


def _decoded(text: Any) -> Any:
    """JSON from the database. Raises ValueError where there is none."""
    if not isinstance(text, str):
        raise ValueError("no text")
    return json.loads(text)
