"""The ledger: states, transactions that are whole or not there, and one writer at a time."""

import contextlib
import math
import sqlite3
import subprocess
import sys
import time

import pytest

from nnrun.errors import ConfigError
from nnrun.folders.ledger import ADDED, SCHEMA, Ledger
from nnrun.search.trial import Trial

POINTS = [{"a": 0.1}, {"a": 1e-30, "b": "x"}, {"b": [1, None, True]}]
ROW = {"epoch": 1, "step": 5, "val/loss": 0.1, "val/auroc": math.nan}


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(tmp_path)
    yield found
    found.close()


def columns(folder, table):
    with sqlite3.connect(folder / "sweep.db") as database:
        found = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    database.close()
    return found


def test_the_tables_have_the_columns_that_other_programs_read(ledger, tmp_path):
    ours = ["number", "state", "params", "objective", "metrics", "group_id", "seconds", "error"]
    assert columns(tmp_path, "trials") == [*ours, "started", "ended", "epochs", "batch", "spread"]
    assert columns(tmp_path, "metrics") == ["trial", "epoch", "name", "value"]


def test_trials_go_from_waiting_to_running_to_their_end(ledger):
    assert ledger.ask(POINTS) == range(3)
    assert ledger.ask([{}]) == range(3, 4)
    assert [trial.state for trial in ledger.trials()] == ["waiting"] * 4
    assert [trial.params for trial in ledger.trials()] == [*POINTS, {}]
    ledger.assign({0: 0, 2: 0, 1: 1})
    before = time.time()
    ledger.start([0, 2], epochs=5)
    assert [trial.state for trial in ledger.group(0)] == ["running", "running"]
    ended = Trial(0, "completed", {}, 0.1, {"val/loss": 0.1, "val/auroc": math.nan}, None, 2.5)
    failed = Trial(2, "failed", {}, error="too hot")
    ledger.record({0: ROW}, [ended, failed])
    ledger.start([0, 1, 2])
    assert [trial.state for trial in ledger.trials()] == ["completed", "running", "failed", "waiting"]
    first, second, third, _ = ledger.trials()
    metrics = {"val/loss": 0.1, "val/auroc": None}
    times = {"started": first.started, "ended": first.ended}
    assert first == Trial(0, "completed", POINTS[0], 0.1, metrics, 0, 2.5, epochs=5, batch=0, **times)
    assert before <= first.started <= first.ended <= time.time()
    assert (second.epochs, second.ended) == (None, None)
    assert before <= second.started
    assert third.error == "too hot"
    assert [trial.batch for trial in ledger.trials()] == [0, 0, 0, 1]
    assert [trial.number for trial in ledger.unfinished()] == [1, 3]


def test_an_epoch_recorded_again_replaces_the_first(ledger):
    ledger.ask(POINTS)
    ledger.record({0: ROW, 1: ROW})
    ledger.record({0: ROW | {"val/loss": 0.2}})
    ledger.record({0: ROW | {"epoch": 2}})
    assert ledger.curves("val/loss") == {0: [0.2, 0.1], 1: [0.1]}
    assert all(map(math.isnan, ledger.curves("val/auroc")[0]))
    assert not ledger.curves("val/rmse")


def test_what_fails_half_way_is_not_there(ledger):
    ledger.ask(POINTS)
    with pytest.raises(sqlite3.Error):
        ledger.record({0: ROW}, [Trial(0, object(), {})])
    assert not ledger.curves("val/loss")
    with pytest.raises(sqlite3.Error):
        ledger._many("INSERT INTO trials (number, state, params) VALUES (?, ?, ?)", [(8, "waiting", "{}"), (0, "", "")])
    assert len(ledger.trials()) == 3
    ledger.record({0: ROW}, [Trial(0, "completed", {}, 0.1)])
    assert ledger.trials()[0].objective == 0.1


def test_a_full_disk_leaves_what_was_there(ledger):
    ledger.ask(POINTS)
    pages = ledger._database.execute("PRAGMA page_count").fetchone()[0]
    ledger._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        ledger.ask([{"a": "x" * 100_000}])
    assert [trial.params for trial in ledger.trials()] == POINTS


OPEN = "import sys; from pathlib import Path; from nnrun.folders.ledger import Ledger; Ledger(Path(sys.argv[1]))"


def test_a_second_process_is_refused_until_the_first_is_done(tmp_path):
    ledger = Ledger(tmp_path)
    done = subprocess.run([sys.executable, "-c", OPEN, str(tmp_path)], capture_output=True, text=True)
    text = f"Another process works on {tmp_path}. Wait for it or stop it, then: nnrun resume {tmp_path}"
    assert done.stderr.splitlines()[-1] == f"nnrun.errors.ConfigError: {text}"
    with pytest.raises(ConfigError, match="Another process works on"):
        Ledger(tmp_path)
    ledger.close()
    Ledger(tmp_path).close()


def test_others_may_read_meanwhile(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.ask(POINTS)
    reader = Ledger(tmp_path, writes=False)
    assert [trial.params for trial in reader.trials()] == POINTS
    ledger.close()
    reader.close()
    again = Ledger(tmp_path)
    assert len(again.trials()) == 3
    again.close()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("sweep.db")] == ["sweep.db"]


def test_a_reader_makes_nothing(tmp_path):
    with pytest.raises(ConfigError) as caught:
        Ledger(tmp_path, writes=False)
    text = "sweep.db, which holds the trials, is missing. Put it back, or start a new sweep."
    assert str(caught.value) == f"{tmp_path}/{text}"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_what_a_live_writer_has_written_and_cannot_write(ledger, tmp_path):
    ledger.ask(POINTS)
    reader = Ledger(tmp_path, writes=False)
    assert len(reader.trials()) == 3
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.ask(POINTS)
    reader.close()


def damage(folder, statement, *values):
    with sqlite3.connect(folder / "sweep.db") as database:
        database.execute(statement, values)
    database.close()


def whole(folder, writes):
    """Reads all that a ledger holds."""
    with contextlib.closing(Ledger(folder, writes)) as ledger:
        return ledger.trials(), ledger.curves("val/loss")


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE trials SET params = '{'", "trial 0 has a value that no sweep writes"),
        ("UPDATE trials SET params = '[1,2]'", "trial 0 has a value that no sweep writes"),
        ("UPDATE trials SET params = replace(hex(zeroblob(100000)), '00', '[')", "trial 0 has a value"),
        ("UPDATE trials SET params = x'7b7d'", "trial 0 has a value that no sweep writes (no text)"),
        ("UPDATE trials SET objective = 'best'", "trial 0 has a value that no sweep writes"),
        ("UPDATE trials SET objective = 9e999", "trial 0 has a value that no sweep writes ('waiting', inf)"),
        ("UPDATE trials SET state = 'lost'", "trial 0 has a value that no sweep writes ('lost', None)"),
        ('UPDATE trials SET metrics = \'{"val/loss": "low"}\'', "trial 0 has a value that no sweep writes"),
        ("UPDATE trials SET error = hex(zeroblob(4000000))", "string or blob too big"),
        ("UPDATE metrics SET value = 'low'", "val/loss of trial 0 is no number"),
        (f"CREATE VIEW more AS {ENDLESS}", "it holds 'more', which no sweep makes"),
        ("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trials; END", "it holds 't', which no sweep makes"),
        ("ALTER TABLE trials ADD COLUMN twice AS (number * 2)", "it holds 'trials', which no sweep makes"),
    ],
)
def test_a_damaged_ledger_is_one_sentence(tmp_path, statement, why):
    ledger = Ledger(tmp_path)
    ledger.ask(POINTS[:1])
    ledger.record({0: ROW})
    ledger.close()
    damage(tmp_path, statement)
    for writes in (False, True):
        with pytest.raises(ConfigError) as caught:
            whole(tmp_path, writes)
        assert str(caught.value).startswith(f"{tmp_path / 'sweep.db'} is damaged: {why}")
        assert str(caught.value).endswith("trials.csv and the trials' folders beside it have what was measured.")


def test_a_view_in_the_place_of_a_table_is_not_asked(tmp_path):
    Ledger(tmp_path).close()
    damage(tmp_path, "DROP TABLE trials")
    damage(tmp_path, f"CREATE VIEW trials AS {ENDLESS}")
    with pytest.raises(ConfigError, match="it holds 'trials', which no sweep makes"):
        Ledger(tmp_path, writes=False)


def test_what_is_no_database_is_damaged(tmp_path):
    (tmp_path / "sweep.db").write_bytes(b"x" * 5000)
    with pytest.raises(ConfigError, match="is damaged: file is not a database"):
        Ledger(tmp_path)
    # Refused without a lock that would stay.
    with pytest.raises(ConfigError, match="is damaged: file is not a database"):
        Ledger(tmp_path)


def test_an_error_of_any_length_is_kept_in_part(ledger):
    ledger.ask(POINTS)
    ledger.record({}, [Trial(0, "failed", {}, error="x" * 10**7)])
    assert ledger.trials()[0].error == "x" * 2**16


def test_a_ledger_of_an_earlier_version_is_read_as_it_is_and_gets_the_columns_it_lacks(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "sweep.db")) as database:
        database.executescript(SCHEMA)
        database.execute("INSERT INTO trials (number, state, params) VALUES (0, 'running', '{}')")
        # As a kill leaves it that came between two columns.
        database.execute("ALTER TABLE trials ADD COLUMN started REAL")
        database.commit()
    for writes in (False, True, True):
        with contextlib.closing(Ledger(tmp_path, writes)) as found:
            assert found.trials() == [Trial(0, "running", {})]
    assert columns(tmp_path, "trials")[-len(ADDED) :] == [*ADDED]
