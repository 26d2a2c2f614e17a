"""A small sweep, and what its folder holds, read the way other programs would."""

import contextlib
import csv
import json
import sqlite3

import pytest
import yaml

from nnrun import report
from nnrun.sweeps.drawing import Drawing

SMALL = ("-m", "dataset=iris", "model.hidden_sizes=[8]", "training.epochs=2", "hydra.sweep.dir=sweep")
"""The beginning of a sweep of seconds."""


def table(folder, query):
    """Rows of sweep.db."""
    database = sqlite3.connect(folder / "sweep.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def change_yaml(path, *keys, value):
    """Gives a key of a YAML file, below others, another value."""
    content = yaml.safe_load(path.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


def measured(folder):
    """Whether a sweep that may have only just begun has a metric in its ledger; the file is there before its tables."""
    if not (folder / "sweep.db").exists():
        return False
    tables = table(folder, "SELECT name FROM sqlite_master WHERE name = 'metrics'")
    return bool(tables and table(folder, "SELECT 1 FROM metrics LIMIT 1"))


def ledger(folder):
    """Everything in sweep.db that a repeat gives again: all but seconds."""
    columns = "number, state, params, objective, metrics, group_id, error"
    trials = table(folder, f"SELECT {columns} FROM trials ORDER BY number")
    metrics = table(folder, "SELECT * FROM metrics WHERE name != 'seconds' ORDER BY trial, epoch, name")
    members = table(folder, "SELECT * FROM members ORDER BY trial, epoch, member")
    return trials, metrics + members


def rows(path):
    """A CSV file without its seconds; nothing where there is none, as after a failure in the first epoch."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def summary(folder):
    """summary.json."""
    return json.loads((folder / "summary.json").read_text())


def record(folder):
    """sweep.yaml."""
    return yaml.safe_load((folder / "sweep.yaml").read_text())


def names(folder):
    """Files and folders in a folder."""
    return {path.name for path in folder.iterdir()}


def assert_same(sweep, other):
    """Two sweeps that differ in nothing but seconds and the words that started them."""
    assert ledger(sweep) == ledger(other)
    assert rows(sweep / "trials.csv") == rows(other / "trials.csv")
    assert names(sweep) == names(other)
    assert record(sweep)["groups"] == record(other)["groups"]
    best, others = ((each / "best.yaml").read_text() for each in (sweep, other))
    assert best == others
    for name in ("model.safetensors", "predictions.csv", "config.yaml"):
        assert (sweep / "best" / name).read_bytes() == (other / "best" / name).read_bytes(), name
    for number, *_ in ledger(sweep)[0]:
        ours, theirs = sweep / str(number), other / str(number)
        assert rows(ours / "metrics.csv") == rows(theirs / "metrics.csv")
        assert (ours / "config.yaml").read_bytes() == (theirs / "config.yaml").read_bytes()
        assert summary(ours) | {"seconds": 0} == summary(theirs) | {"seconds": 0}


DRAWN, END = report.drawn, Drawing.end
"""What draws the figures of a run, and the report of a sweep."""


def draw_nothing(patch):
    """No pictures, which cost most of a small sweep's time."""
    patch.setattr(Drawing, "end", lambda _: None)
    patch.setattr(report, "drawn", lambda *_: {})


@contextlib.contextmanager
def pictures():
    """Within it, runs and sweeps draw again what `draw_nothing` took from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "end", END)
        patch.setattr(report, "drawn", DRAWN)
        yield
