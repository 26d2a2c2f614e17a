"""sweep.db: every trial from the moment it is asked for, in SQLite."""

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nnrun.errors import ConfigError
from nnrun.host.disk import hold
from nnrun.search.trial import Trial

SCHEMA = """
CREATE TABLE IF NOT EXISTS trials (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, params TEXT NOT NULL, objective REAL, metrics TEXT,
    group_id INTEGER, seconds REAL, error TEXT
);
CREATE TABLE IF NOT EXISTS metrics (
    trial INTEGER, epoch INTEGER, name TEXT, value REAL, PRIMARY KEY (trial, epoch, name)
) WITHOUT ROWID;
"""
HELD = {("table", "trials"), ("table", "metrics")}
"""What a ledger consists of, beside indexes."""


class Ledger:
    """`sweep.db`; every method is a transaction, so a kill loses at most the call it interrupts."""

    def __init__(self, folder: Path, writes: bool = True) -> None:
        """Raises ConfigError when another process works on the folder, or, where it is only read, without a ledger."""
        path = folder / "sweep.db"
        self._lock = hold(folder, ".lock") if writes else None
        if not writes:
            if not path.is_file():
                raise ConfigError(f"{path}, which holds the trials, is missing. Put it back, or start a new sweep.")
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._check_schema(path)
            return
        # No isolation level: Python's module would begin transactions by itself, and ours are explicit.
        self._database = sqlite3.connect(path, isolation_level=None)
        self._check_schema(path)
        # With a write-ahead log the report can read while the sweep writes. NORMAL spares the sync of every commit: a
        # kill loses nothing, a power cut at most the newest transactions.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        self._database.executescript(SCHEMA)

    def _check_schema(self, path: Path) -> None:
        """Raises ConfigError for views and triggers, which run what a stranger wrote whenever a table is used."""
        self._database.execute("PRAGMA trusted_schema=OFF")
        for kind, name in self._database.execute("SELECT type, name FROM sqlite_master"):
            if (kind, name) not in HELD and kind != "index":
                raise ConfigError(f"{path} holds the {kind} {name[:80]}, which no sweep writes. Its folder is not run.")

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
        """Adds waiting trials; their numbers."""
        first = self._database.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
        numbers = range(first, first + len(points))
        rows = [(n, "waiting", json.dumps(p, ensure_ascii=False)) for n, p in zip(numbers, points, strict=True)]
        self._many("INSERT INTO trials (number, state, params) VALUES (?, ?, ?)", rows)
        return numbers

    def assign(self, group_of: dict[int, int]) -> None:
        """Puts trials into groups."""
        self._many("UPDATE trials SET group_id = ? WHERE number = ?", [(g, n) for n, g in group_of.items()])

    def start(self, numbers: Iterable[int]) -> None:
        """Marks waiting trials as running."""
        self._many(
            "UPDATE trials SET state = 'running' WHERE number = ? AND state = 'waiting'", [(n,) for n in numbers]
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
            ends.append((t.state, t.objective, json.dumps(known), t.seconds, t.error, t.number))
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?)", metrics)
            self._database.executemany(
                "UPDATE trials SET state = ?, objective = ?, metrics = ?, seconds = ?, error = ? WHERE number = ?", ends
            )

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
        columns = "number, state, params, objective, metrics, group_id, seconds, error"
        rows = self._database.execute(f"SELECT {columns} FROM trials {condition} ORDER BY number", values)
        return [
            Trial(number, state, json.loads(params), objective, json.loads(metrics or "{}"), *rest)
            for number, state, params, objective, metrics, *rest in rows
        ]

    def curves(self, metric: str) -> dict[int, list[float]]:
        """A metric's value after every epoch, by trial."""
        found: dict[int, list[float]] = {}
        rows = self._database.execute(
            "SELECT trial, value FROM metrics WHERE name = ? ORDER BY trial, epoch", (metric,)
        )
        # SQLite stores NaN as NULL.
        for trial, value in rows:
            found.setdefault(trial, []).append(math.nan if value is None else value)
        return found

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
