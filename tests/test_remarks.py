"""What is said of a best trial that lies on a bound, of a best epoch that is the last, and of compared strategies."""

import pytest

from nnrun.folders.reading import is_best_at_last
from nnrun.search.trial import Trial
from nnrun.sweeps import record as sweep_record
from nnrun.sweeps.remarks import of_bounds
from tests.sweep_folders import SMALL, record, rows, summary

SPACE = (
    "search=random",
    "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
    "model.dropout=interval(0,0.5)",
    "training.batch_size=int(interval(8,64))",
    "optimizer.beta1=interval(0.5,0.99)",
)
MIDDLE = {
    "optimizer.learning_rate": 1e-2,
    "model.dropout": 0.2,
    "training.batch_size": 32,
    "optimizer.beta1": 0.8,
}


@pytest.fixture(scope="module")
def asked():
    return sweep_record.start(["dataset=iris", *SPACE], "")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, None),
        ({"optimizer.learning_rate": 0.1}, "optimizer.learning_rate, 0.1, lies at the upper bound 0.1 of"),
        ({"optimizer.learning_rate": 0.095}, "optimizer.learning_rate, 0.095, lies at the upper bound 0.1 of"),
        ({"optimizer.learning_rate": 1.05e-4}, "optimizer.learning_rate, 0.000105, lies at the lower bound 0.0001 of"),
        ({"optimizer.learning_rate": 0.05}, None),
        ({"training.batch_size": 64}, "training.batch_size, 64, lies at the upper bound 64 of"),
        ({"training.batch_size": 63}, None),
        # There is no dropout below 0.
        ({"model.dropout": 0.001}, None),
        ({"model.dropout": 0.5}, "model.dropout, 0.5, lies at the upper bound 0.5 of"),
        ({"optimizer.beta1": 0.989}, "optimizer.beta1, 0.989, lies at the upper bound 0.99 of"),
    ],
)
def test_a_best_value_on_a_bound_is_said_where_there_is_more_behind_it(asked, changed, text):
    found = of_bounds(asked, Trial(0, "completed", MIDDLE | changed, 0.5))
    assert found == ([] if text is None else [f"The best {text} its interval: widen it."])


@pytest.mark.parametrize(
    ("epoch", "epochs", "early", "said"),
    [(5, 5, False, True), (4, 5, False, False), (5, 5, True, False), (1, 1, False, False)],
)
def test_a_best_epoch_is_the_last(epoch, epochs, early, said):
    assert is_best_at_last({"objective": {"epoch": epoch}, "epochs": epochs, "stopped_early": early}) is said


def test_a_run_says_in_its_last_line_how_it_goes_on_where_the_last_epoch_was_the_best(nnrun, tmp_path):
    assert nnrun("dataset=iris", "training.epochs=2", "hydra.run.dir=run").code == 0
    assert summary(tmp_path / "run")["objective"]["epoch"] == 2
    last = (tmp_path / "run" / "run.log").read_text().splitlines()[-1]
    text = "The best epoch is the last one: more of them may do better. To go on: nnrun resume "
    assert last == f"{text}{tmp_path}/run training.epochs=4"


def test_a_comparison_names_the_strategy_of_every_trial(nnrun, tmp_path, pictures):
    words = ("search=compare", "search.points=2", "optimizer.learning_rate=tag(log,interval(1e-3,1e-2))")
    done = nnrun(*SMALL, *words)
    assert done.code == 0
    sweep, parts = tmp_path / "sweep", ["grid", "grid", "random, seed 0", "random, seed 0"]
    assert [row["strategy"] for row in rows(sweep / "trials.csv")] == parts
    heads = [line.split() for line in done.out.splitlines()]
    assert ["trial", "strategy", "val/loss", "optimizer.learning_rate"] in heads
    report = (sweep / "report.html").read_text()
    table = report[report.index('id="all-trials"') : report.index('<section id="failures">')]
    assert [table.count(f"<td>{part}") for part in ("grid", "random, seed 0")] == [2, 2]
    assert "<button>strategy</button>" in table
    best = int(
        rows(sweep / "trials.csv").index(min(rows(sweep / "trials.csv"), key=lambda row: float(row["objective"])))
    )
    assert f"strategy: {parts[best]}" in (sweep / "best.yaml").read_text()
    assert record(sweep)["strategy"] == "compare"
