"""What the training part never saw: classes are refused, and inputs that did not vary are left out."""

import numpy as np
import polars
import pytest

from nnrun.datasets.base import LEFT_OUT
from nnrun.datasets.parts import classes, constant
from nnrun.errors import ConfigError
from tests.datasets.series import make as make_series
from tests.datasets.tables import load, make, write

ROWS = 60


def table(folder, name, labels, rows=ROWS):
    kinds = [labels[i % len(labels)] for i in range(rows)]
    return write(folder / name, {"x": [i * 0.5 for i in range(rows)], "class": kinds})


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            ("a", "b", "c"),
            "te.csv, target class has 20 rows of a class that the training part does not have: c. "
            "Its classes are a, b.",
        ),
        (
            ("a.", "B", "b"),
            "te.csv, target class has 40 rows of 2 classes that the training part does not have: B (20), a. (20). Only "
            "case, spaces or signs differ ('B' for 'b', 'a.' for 'a'): write the classes alike in all data.",
        ),
    ],
)
def test_a_test_file_with_other_classes_is_refused_with_their_count(test, said, tmp_path):
    table(tmp_path, "tr.csv", ("a", "b"))
    table(tmp_path, "te.csv", test)
    parts = {"path": None, "train": str(tmp_path / "tr.csv"), "test": str(tmp_path / "te.csv")}
    with pytest.raises(ConfigError) as caught:
        make(None, **parts).spec()
    assert str(caught.value) == f"{tmp_path}/{said}"


def test_classes_are_those_of_the_training_part_alone(tmp_path):
    """Ten whole numbers are classes, whatever a test file has beside them."""
    table(tmp_path, "tr.csv", range(10))
    table(tmp_path, "te.csv", range(11), 66)
    parts = {"path": None, "train": str(tmp_path / "tr.csv"), "test": str(tmp_path / "te.csv")}
    with pytest.raises(ConfigError, match="6 rows of a class that the training part does not have: 10"):
        make(None, **parts).spec()
    table(tmp_path, "te.csv", (3, 5))
    data = load(None, **parts)
    assert data.class_names == tuple(map(str, range(10)))


def test_a_class_of_the_newest_rows_alone_is_refused_and_one_that_a_limit_takes_away_is_not(tmp_path):
    labels = ["a", "b"] * 27 + ["late"] * 6
    path = write(tmp_path / "t.csv", {"day": range(60), "x": np.arange(60) ** 2, "class": labels})
    with pytest.raises(ConfigError, match="has 6 rows of a class that the training part does not have: late"):
        make(path, time="day").spec()
    assert load(path).class_names == ("a", "b", "late")
    rare = table(tmp_path, "rare.csv", [str(i) for i in range(9)], 200)
    assert len(load(rare, limit=10).class_names) == 9


def test_every_loaded_data_set_is_checked(make_config, tmp_path):
    data = make_config(dataset="iris").dataset.create().load()
    classes.check(data)
    data.train["targets"][:] = data.train["targets"] % 2
    with pytest.raises(ConfigError, match=r"The validation part has \d+ examples of a class .*: virginica\. Its"):
        classes.check(data)


def test_a_column_that_moves_after_training_is_left_out_and_told(tmp_path):
    promo = [5000 if i > 320 and i % 4 == 0 else 0 for i in range(400)]
    sales = np.sin(np.arange(400) / 5).tolist()
    polars.DataFrame({"promo": promo, "sales": sales}).write_csv(tmp_path / "s.csv")
    data = make_series(tmp_path / "s.csv", target="sales", window=4).load()
    assert data.input_scaling.scale[0] == LEFT_OUT
    assert abs(data.input_scaling.apply(data.test["inputs"])[..., 0]).max() < 1e-20
    examples = len(data.val["inputs"]) + len(data.test["inputs"])
    moved = sum(int((part["inputs"][..., 0] != 0).any(1).sum()) for part in (data.val, data.test))
    first, second = constant.notes(data)
    assert first == "Left out, because constant in the training part: promo."
    assert f"(promo in {moved} of {examples} validation and test examples)" in second
    polars.DataFrame({"promo": range(400), "sales": sales}).write_csv(tmp_path / "s.csv")
    assert not list(constant.notes(make_series(tmp_path / "s.csv", target="sales", window=4).load()))


def test_gaps_alone_do_not_make_a_constant_number_an_input(tmp_path):
    values = {"x": ["" if i % 9 == 0 else 5 for i in range(60)], "z": range(3, 63), "class": ["a", "b"] * 30}
    data = load(write(tmp_path / "t.csv", values))
    assert data.input_scaling.scale[list(data.input_names).index("x")] == LEFT_OUT
    assert data.input_scaling.scale[list(data.input_names).index("x_missing")] == 1
