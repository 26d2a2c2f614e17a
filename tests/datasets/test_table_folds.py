"""Folds of a table: what is fitted is each fold's own, groups stay whole."""

import numpy as np
import pytest

from nnrun.datasets.base import LEFT_OUT, NO_EXAMPLE
from nnrun.errors import ConfigError
from tests.datasets.tables import make, write

ROWS = 60


def columns(**changed):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=ROWS).round(3)
    found = {
        "a": [*numbers],
        "b": rng.normal(size=ROWS).round(3),
        "kind": [("p", "q", "r")[i % 3] for i in range(ROWS)],
        "key": [i // 3 for i in range(ROWS)],
        "y": rng.normal(size=ROWS).round(3),
    }
    return found | changed


def folds(path, count=4, **config):
    dataset = make(path, **{"target": "y", "drop": ("key",), **config})
    data = dataset.load()
    return data, dataset.folds(data, count)


def gaps(values, rows):
    return ["" if i in rows else value for i, value in enumerate(values)]


def test_without_gaps_the_folds_share_one_copy(tmp_path):
    data, found = folds(write(tmp_path / "t.csv", columns()))
    assert len(found.pool["inputs"]) == len(data.train["inputs"]) + len(data.val["inputs"])
    for division in found.divisions:
        np.testing.assert_allclose(division.input_scaling.offset[0], division.train["inputs"][:, 0].mean(), rtol=1e-5)
        np.testing.assert_allclose(division.target_scaling.offset, division.train["targets"].mean(), rtol=1e-4)


def test_a_gap_is_filled_with_the_mean_of_the_folds_own_training_rows(tmp_path):
    path = write(tmp_path / "t.csv", columns(a=gaps(columns()["a"], range(0, ROWS, 5))))
    _, found = folds(path)
    fills = set()
    for division in found.divisions:
        names = list(division.input_names)
        mark = division.train["inputs"][:, names.index("a_missing")] > 0
        values = division.train["inputs"][:, names.index("a")]
        fill = values[~mark].mean(dtype=np.float64)
        np.testing.assert_allclose(values[mark], fill, rtol=1e-5)
        others = division.val["inputs"]
        np.testing.assert_allclose(others[others[:, names.index("a_missing")] > 0, names.index("a")], fill, rtol=1e-5)
        fills.add(round(float(fill), 6))
    assert len(fills) == 4


def test_values_that_are_held_out_change_nothing_of_what_a_fold_learns_from(tmp_path):
    whole = columns(a=gaps(columns()["a"], range(0, ROWS, 5)))
    _, found = folds(write(tmp_path / "t.csv", whole))
    # By their unique targets the rows of the file are known again.
    out = {round(float(value), 3) for value in found.divisions[1].val["targets"][:, 0]}
    rows = [i for i in range(ROWS) if whole["y"][i] in out]
    changed = {name: list(values) for name, values in whole.items()}
    for i in rows:
        changed["b"][i] = 90 + i
        changed["a"][i] = -50 if changed["a"][i] != "" else ""
    _, other = folds(write(tmp_path / "t.csv", changed))
    for member, (before, after) in enumerate(zip(found.divisions, other.divisions, strict=True)):
        same = np.array_equal(before.train["inputs"], after.train["inputs"])
        same &= np.array_equal(before.input_scaling.offset, after.input_scaling.offset)
        assert same == (member == 1)


@pytest.mark.parametrize("how", ["one_hot", "embedding"])
def test_a_category_that_a_fold_never_trains_on_is_one_that_was_never_seen(tmp_path, how):
    # Groups of rows share a category, so that one fold holds all of its rows out.
    path = write(
        tmp_path / "t.csv", columns(kind=[f"k{i // 6}" for i in range(ROWS)], key=[i // 6 for i in range(ROWS)])
    )
    _, found = folds(path, group="key", drop=(), categorical=how)
    for division in found.divisions:
        if how == "embedding":
            assert not division.val["categories"].any()
            assert division.train["categories"].any()
        else:
            scale = division.input_scaling.scale
            seen = division.train["inputs"].max(0) > division.train["inputs"].min(0)
            assert ((scale == LEFT_OUT) == ~seen).all()
            held_out = division.val["inputs"][:, 2:]
            assert (held_out.sum(1) == 1).any()
            scaled = division.input_scaling.apply(division.val["inputs"])
            assert (np.abs(scaled[:, 2:]) < 1e-20).all()


def test_groups_stay_whole_and_folds_are_of_like_size(tmp_path):
    groups = [i // 3 for i in range(ROWS)]
    path = write(tmp_path / "t.csv", columns(code=[f"g{i}" for i in groups], kind=[f"k{i}" for i in groups]))
    _, found = folds(path, group="code", drop=("key",), categorical="embedding", types={"kind": "embedding"})
    # The category tells the group apart, and one that is held out is never seen.
    for division in found.divisions:
        assert not division.val["categories"].any()
    sizes = (found.val != NO_EXAMPLE).sum(1)
    assert np.ptp(sizes) <= 3


def test_more_folds_than_groups_are_refused(tmp_path):
    path = write(tmp_path / "t.csv", columns(key=[i // 12 for i in range(ROWS)]))
    with pytest.raises(ConfigError, match=r"training\.folds=4 is too many for 3 groups outside the test part\. Set t"):
        folds(path, group="key", drop=(), test_fraction=0.4)


def test_strata_are_in_every_fold_alike(tmp_path):
    _, found = folds(write(tmp_path / "t.csv", columns()), stratify="kind")
    for division in found.divisions:
        shares = division.val["inputs"][:, 2:].sum(0)
        assert np.ptp(shares) <= 1


def test_rows_in_the_order_of_a_time_have_no_folds(tmp_path):
    path = write(tmp_path / "t.csv", columns(key=range(ROWS)))
    with pytest.raises(ConfigError, match=r"would learn from rows that are later in dataset\.time=key"):
        folds(path, time="key", drop=())
