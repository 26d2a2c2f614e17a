"""dataset.anomaly of a table: who trains, who is tested, and what is said of it."""

import json

import numpy as np
import polars
import pytest

from nnrun.datasets.tables import source
from nnrun.datasets.tables.split import TEST
from nnrun.errors import RunError
from tests.datasets import tables
from tests.datasets.tables import write

ROWS = 60


def columns(mark, rows=ROWS):
    """Rows of three numbers, of which every fifth has the first `mark`, the others the second."""
    rng, odd = np.random.default_rng(0), np.arange(rows) % 5 == 0
    numbers = {name: rng.normal(size=rows).round(4) for name in "abc"}
    return {**numbers, "odd": np.where(odd, *mark), "machine": [f"m{i // 6}" for i in range(rows)]}


def make(file, **values):
    return tables.make(file, target=None, drop=("machine",), anomaly="odd", **values)


def load(file, **values):
    return make(file, **values).load()


def refusal(file, **values):
    return tables.refusal(file, **{"target": None, "drop": ("machine",), "anomaly": "odd", **values})


def parts(data):
    return data.train, data.val, data.test


@pytest.mark.parametrize("mark", [(1, 0), (1.0, 0.0), ("TRUE", "False"), ("yes", "no"), ("anomaly", "normal")])
def test_every_anomalous_row_is_in_the_test_and_none_is_trained_on(mark, tmp_path):
    data = load(write(tmp_path / "t.csv", columns(mark)))
    assert data.spec.anomalies
    assert data.spec.task == make(tmp_path / "t.csv").task() == "reconstruction"
    assert data.input_names == ("a", "b", "c")
    assert [len(part["inputs"]) for part in parts(data)] == [34, 7, 7 + 12]
    assert not data.train["anomaly"].any()
    assert not data.val["anomaly"].any()
    np.testing.assert_array_equal(data.test["anomaly"], (data.labels["row"] - 1) % 5 == 0)
    together = np.concatenate([part["inputs"] for part in parts(data)])
    assert len(np.unique(together, axis=0)) == ROWS
    np.testing.assert_allclose(data.input_scaling.offset, data.train["inputs"].mean(0), rtol=1e-5)
    assert data.notes == (
        "Column odd marks 12 of 60 rows as anomalous. 12 of them are in the test part, beside 7 normal ones, none in "
        "training or validation.",
    )


def test_a_table_without_the_key_is_as_before(tmp_path):
    file = write(tmp_path / "t.csv", columns((1, 0)))
    data = tables.load(file, target=None, drop=("machine",))
    assert not data.spec.anomalies
    assert data.input_names == ("a", "b", "c", "odd")
    assert "anomaly" not in data.test
    assert data.notes == ()


@pytest.mark.parametrize(
    ("mark", "normal"), [((-1, 1), (1,)), (("none", "worn"), ("WORN",)), ((True, False), (False,))]
)
def test_other_marks_are_told_apart_by_the_normal_ones(mark, normal, tmp_path):
    data = load(write(tmp_path / "t.csv", columns(mark)), normal=normal)
    np.testing.assert_array_equal(data.test["anomaly"], (data.labels["row"] - 1) % 5 == 0)
    assert data.notes[0].startswith(f"Column odd marks 12 of 60 rows as anomalous ({mark[0]} (12)). 12 of them")


def test_a_parquet_file_and_a_streamed_one_are_read_alike(tmp_path, monkeypatch):
    file = write(tmp_path / "t.csv", columns((True, False)))
    polars.read_csv(file).write_parquet(tmp_path / "t.parquet")
    expected = load(file)
    packed = load(tmp_path / "t.parquet")
    monkeypatch.setattr(source, "LARGE", 0)
    for found in (packed, load(file, encoding="UTF-8")):
        for part, same in zip(parts(found), parts(expected), strict=True):
            np.testing.assert_array_equal(part["inputs"], same["inputs"])
            np.testing.assert_array_equal(part["anomaly"], same["anomaly"])


def test_a_limit_counts_normal_and_anomalous_rows(tmp_path):
    data = load(write(tmp_path / "t.csv", columns((1, 0))), limit=30)
    assert [len(part["inputs"]) for part in parts(data)] == [16, 4, 4 + 6]
    assert data.test["anomaly"].sum() == 6
    assert data.notes[0].endswith("6 are left out, because dataset.limit keeps a part of the rows.")
    most = load(write(tmp_path / "most.csv", columns((0, 1))), limit=30)
    assert [int(part["anomaly"].sum()) for part in parts(most)] == [0, 0, 15]
    assert most.notes[0].endswith("Most rows are anomalous: where these are the normal ones, set 'dataset.normal=[1]'.")


def test_a_group_is_not_trained_on_and_tested(tmp_path):
    file = write(tmp_path / "t.csv", columns((1, 0)) | {"alone": np.arange(ROWS)})
    data = tables.load(file, target=None, anomaly="odd", group="machine", drop=("alone",))
    machines = {part: set() for part in range(3)}
    plan = tables.make(file, target=None, anomaly="odd", group="machine", drop=("alone",))._plan()
    for row, part in enumerate(plan.parts[0].tolist()):
        machines.setdefault(part, set()).add(row // 6)
    assert not machines[TEST] & (machines[0] | machines[1])
    left_out = 12 - data.test["anomaly"].sum()
    assert 0 < left_out < 12
    assert data.notes[0].endswith(
        f"{left_out} are left out, because normal rows of their group are in training or validation."
    )
    own = tables.load(file, target=None, anomaly="odd", group="alone", drop=("machine",))
    assert own.test["anomaly"].sum() == 12


def test_files_of_the_parts_keep_their_rows(tmp_path):
    train, test = (write(tmp_path / f"{name}.csv", columns((1, 0))) for name in ("train", "test"))
    data = load(None, train=str(train), test=str(test))
    assert [len(part["inputs"]) for part in parts(data)] == [41, 7, 60]
    assert data.notes[0] == (
        "Column odd marks 24 of 120 rows as anomalous. 12 of them are in the test part, beside 48 normal ones, none in "
        "training or validation. 12 are left out, because the test part has a file of its own."
    )
    data = load(None, train=str(train), val=str(test))
    assert [int(part["anomaly"].sum()) for part in parts(data)] == [0, 0, 12]
    assert [len(part["inputs"]) for part in parts(data)] == [41, 48, 7 + 12]


def test_a_table_without_an_anomalous_row_is_trained_on(tmp_path):
    data = load(write(tmp_path / "t.csv", columns((0, 0))))
    assert data.spec.anomalies
    assert data.notes == (
        "Column odd marks none of 60 rows as anomalous. The test part has none to find, so there is no auroc. A file "
        "that has some: nnrun evaluate RUN FILE.",
    )


def test_a_column_that_tells_the_anomalies_alone_is_named(tmp_path):
    odd = np.arange(ROWS) % 5 == 0
    cells = columns((1, 0)) | {"alarm": np.where(odd & (np.arange(ROWS) > 20), 1, 0), "same": [7] * ROWS}
    data = load(write(tmp_path / "t.csv", cells))
    assert data.input_names == ("a", "b", "c")
    assert data.notes[2:] == (
        "Column alarm is left out, because constant in the training part, but 7 of 12 anomalous test rows have another "
        "value there: these can be told without a network.",
    )


@pytest.mark.parametrize(
    ("name", "mark", "values", "said"),
    [
        ("is_anomaly", (1, 0), {}, "dataset.anomaly=is_anomaly."),
        ("Outlier", ("yes", "no"), {}, "dataset.anomaly=Outlier."),
        ("fraud", (2, 0), {}, ""),
        ("height", (1, 0), {}, ""),
        ("fraud", (1, 0), {"target": "a"}, ""),
        ("fraud", (1, 0), {"features": ("a", "fraud")}, ""),
    ],
)
def test_an_input_that_looks_like_marks_is_told(name, mark, values, said, tmp_path):
    cells = columns(mark)
    cells[name] = cells.pop("odd")
    data = tables.load(write(tmp_path / "t.csv", cells), **{"target": None, "drop": ("machine",), **values})
    notes = [f"Column {name} is an input like any other. If it marks anomalous rows, set {said}"] if said else []
    assert [note for note in data.notes if "anomal" in note] == notes


KNOWN = (
    "dataset.anomaly=odd must mark every row as normal (0, false, no, normal, inlier) or as anomalous (1, true, yes, "
    "anomaly, anomalous, abnormal, outlier), but column odd of t.csv holds "
)
MOVE = (
    "Name another column, or, if these are marks, say which mean a normal row, and all others mean an anomalous one: "
)


@pytest.mark.parametrize(
    ("changes", "values", "text"),
    [
        (
            {"odd": ["ok"] * 50 + ["not, ok"] * 10},
            {},
            KNOWN + "ok (50), not, ok (10). " + MOVE + "'dataset.normal=[ok]'.",
        ),
        (
            {"odd": [1] * 50 + [2] * 10},
            {},
            KNOWN + "1 (50), 2 (10). " + MOVE + "'dataset.normal=[1]'.",
        ),
        (
            {"odd": np.arange(ROWS) / 4},
            {},
            KNOWN
            + "0.0 (1), 0.25 (1), 0.5 (1), 0.75 (1), 1.0 (1), 1.25 (1), 1.5 (1), 1.75 (1) and 52 more. "
            + MOVE
            + "'dataset.normal=[0.0]'.",
        ),
        (
            {"odd": [1] * ROWS},
            {},
            "dataset.anomaly=odd marks every row as anomalous: column odd of t.csv holds 1 (60). A network is trained "
            "on normal rows alone, so say which are: 'dataset.normal=[1]'.",
        ),
        (
            {"odd": [1] * 57 + [0] * 3},
            {},
            "t.csv has 3 normal rows to use, but needs at least 6. Name a larger table.",
        ),
        (
            {"odd": [0] * 58 + ["", 1]},
            {},
            "t.csv, row 59, column odd is '', but every row must be marked as normal or as anomalous. Fill it in.",
        ),
        (
            {},
            {"normal": ("ok",)},
            "dataset.normal has ok, but column odd of t.csv holds 0 (48), 1 (12). Name those of them that mean a "
            "normal row, for example 'dataset.normal=[0]'.",
        ),
        (
            {},
            {"target": "a"},
            "dataset.target asks to predict a column, dataset.anomaly to find the rows that do not belong. Leave one "
            "of them null. A column that only is to be no input is left out by dataset.drop=[NAME].",
        ),
        (
            {},
            {"anomaly": None, "normal": (0,)},
            "dataset.normal needs a dataset.anomaly, the column whose values it names.",
        ),
        (
            {},
            {"features": ("a", "odd")},
            "dataset.anomaly and dataset.features both name odd. Leave it out of one of them.",
        ),
    ],
)
def test_refusals(changes, values, text, tmp_path):
    cells = columns((1, 0)) | changes
    cells["odd"] = [f'"{value}"' if "," in str(value) else value for value in cells["odd"]]
    assert refusal(write(tmp_path / "t.csv", cells), **values).replace('"', "") == text


def test_new_rows_may_lack_the_mark_and_are_read_by_what_is_normal(tmp_path):
    file = write(tmp_path / "t.csv", columns(("worn", "ok")))
    reader = load(file, normal=("ok",)).reader
    (block,) = reader.blocks(write(tmp_path / "new.csv", columns(("broken", "OK"))), 100)
    np.testing.assert_array_equal(block.part["anomaly"], np.arange(ROWS) % 5 == 0)
    bare = {name: values for name, values in columns(("worn", "ok")).items() if name != "odd"}
    (block,) = reader.blocks(write(tmp_path / "bare.csv", bare), 100)
    assert set(block.part) == {"inputs"}
    (block,) = reader.blocks(write(tmp_path / "gap.csv", {**bare, "odd": ["ok", ""] * 30}), 100)
    assert set(block.part) == {"inputs"}
    strict = load(write(tmp_path / "usual.csv", columns((1, 0)))).reader
    with pytest.raises(RunError, match=r"row 1, column odd is 'worn', but must mark the row as normal \(0, .* Correct"):
        list(strict.blocks(file, 100))


def test_from_the_table_to_predictions_and_an_evaluation(nnrun, tmp_path):
    file = write(tmp_path / "t.csv", columns((1, 0)))
    keys = ("dataset=csv", f"dataset.path={file}", "dataset.anomaly=odd", "dataset.drop=[machine]")
    ran = nnrun(*keys, "model=autoencoder", "model.latent_size=2", "training.epochs=2", "hydra.run.dir=run")
    assert ran.code == 0, ran.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["task"] == "reconstruction"
    assert set(summary["baseline"]["test/auroc"]) == {"pca", "median_distance", "isolation_forest"}
    assert {f"test/{name}" for name in ("auroc", "average_precision", "recall", "false_alarms")} <= {
        *summary["metrics"]
    }
    again = nnrun("evaluate", "run", "--output", "again")
    assert again.code == 0, again.err
    found = json.loads((tmp_path / "again" / "evaluation.json").read_text())
    assert found["metrics"]["test/auroc"] == summary["metrics"]["test/auroc"]
    assert found["baseline"] == summary["baseline"]
    assert nnrun("evaluate", "run", str(file), "--output", "whole").code == 0
    whole = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    assert whole["examples"] == ROWS
    bare = write(tmp_path / "bare.csv", {name: v for name, v in columns((1, 0)).items() if name != "odd"})
    assert nnrun("predict", "run", str(bare), "--output", "p.csv").code == 0
    table = polars.read_csv(tmp_path / "p.csv")
    assert {"row", "error", "flagged"} <= {*table.columns}
    assert "anomaly" not in table.columns
    lacking = nnrun("evaluate", "run", str(bare))
    assert lacking.code == 2
    assert "every example needs its mark, normal or anomalous" in lacking.err
