"""dataset=csv: what columns are taken for, and how rows are divided."""

import datetime
import os

import numpy as np
import polars
import pytest

from nnrun.datasets.tables import split
from nnrun.datasets.tables.date import WEEKDAYS
from nnrun.datasets.tables.split import Fractions, by_group, by_time
from nnrun.errors import ConfigError, RunError
from tests.datasets.tables import load, make, refusal, write

ROWS = 60


def columns(rows=ROWS):
    """One column of every kind, and a target of two classes."""
    return {
        "size": [f"{1.5 * i + (i % 7)}" for i in range(rows)],
        "kind": [("small", "large", "round")[i % 3] for i in range(rows)],
        "sold": [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(rows)],
        "class": [("yes", "no")[i % 4 == 0] for i in range(rows)],
    }


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "t.csv", columns())


def test_numbers_categories_and_dates_become_inputs_and_texts_a_class(table):
    data = load(table)
    assert data.spec.task == "classification"
    assert data.class_names == ("no", "yes")
    weekdays = [f"sold_{day}" for day in WEEKDAYS]
    calendar = ["sold_years", "sold_season_sin", "sold_season_cos", *weekdays]
    assert data.input_names == ("size", *calendar, "kind=large", "kind=round", "kind=small")
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [42, 9, 9]
    row = int(data.labels["row"][0]) - 1
    wanted = columns()
    found = dict(zip(data.input_names, data.test["inputs"][0], strict=True))
    assert found["size"] == np.float32(wanted["size"][row])
    assert [found[f"kind={kind}"] for kind in ("large", "round", "small")] == [
        float(wanted["kind"][row] == kind) for kind in ("large", "round", "small")
    ]
    day = datetime.date.fromisoformat(wanted["sold"][row])
    assert [found[name] for name in weekdays] == [float(day.weekday() == i) for i in range(7)]
    angle = 2 * np.pi * (day - datetime.date(1970, 1, 1)).days / 365.2425
    assert found["sold_season_sin"] == pytest.approx(np.sin(angle), abs=1e-5)
    assert data.class_names[data.test["targets"][0]] == wanted["class"][row]


def test_only_inputs_with_a_unit_are_scaled_and_by_the_training_part(table):
    data = load(table)
    scaling = data.input_scaling
    size = data.train["inputs"][:, 0]
    assert scaling.offset[0] == pytest.approx(size.mean(), rel=1e-6)
    assert scaling.scale[0] == pytest.approx(size.std(), rel=1e-6)
    assert (scaling.offset[2:] == 0).all()
    assert (scaling.scale[2:] == 1).all()


def test_missing_values_get_the_training_mean_and_an_indicator(tmp_path):
    wanted = columns()
    wanted["size"] = ["NA" if i % 5 == 0 else value for i, value in enumerate(wanted["size"])]
    wanted["kind"] = ["?" if i % 7 == 0 else value for i, value in enumerate(wanted["kind"])]
    data = load(write(tmp_path / "t.csv", wanted))
    names = list(data.input_names)
    inputs = data.train["inputs"]
    lacks = inputs[:, names.index("size_missing")] == 1
    assert 0 < lacks.sum() < len(inputs)
    assert inputs[lacks, names.index("size")] == pytest.approx(inputs[~lacks, names.index("size")].mean(), rel=1e-5)
    kinds = inputs[:, [names.index(f"kind{end}") for end in ("=large", "=round", "=small", "_missing")]]
    assert (kinds.sum(1) == 1).all()
    assert [note.partition(" (")[0] for note in data.notes] == [
        "Column size has missing values",
        "Column kind has missing values",
    ]


def test_what_means_missing_can_be_stated_for_all_columns_or_by_column_however_it_is_written(tmp_path):
    wanted = {"a": ["0", "0.0", *range(1, 59)], "b": ["0", *range(11, 70)], "class": columns()["class"]}
    path = write(tmp_path / "t.csv", wanted)
    reader = make(path, missing={"a": [0]}, drop=["b"])._plan().reader
    assert reader.block(polars.DataFrame({"a": ["0", "00.0", "7"]})).part["inputs"][:, 0].tolist()[2] == 7
    assert {c.name: c.indicator for c in make(path, missing={1: 0})._plan().reader.numeric} == {"a": True, "b": False}
    assert {c.name for c in make(path, missing=[0])._plan().reader.numeric if c.indicator} <= {"a", "b"}


@pytest.mark.parametrize(
    ("values", "stated", "task"),
    [
        (["yes", "no"] * 30, None, "classification"),
        (["0", "1"] * 30, None, "classification"),
        (["0", "1"] * 30, "numeric", "regression"),
        ([f"{i % 10}" for i in range(60)], None, "classification"),
        ([f"{i % 15}" for i in range(60)], None, "regression"),
        ([f"{i % 15}" for i in range(60)], "categorical", "classification"),
        ([f"{i % 2}.5" for i in range(60)], None, "regression"),
    ],
)
def test_the_target_says_whether_it_is_classification(values, stated, task, tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(3, 63), "class": values})
    dataset = make(path, types={"class": stated} if stated else None)
    assert dataset.spec().task == dataset.task() == task
    data = dataset.load()
    assert data.test["targets"].dtype == (np.int32 if task == "classification" else np.float32)


def test_numbers_written_as_texts_are_categories_where_that_is_stated(tmp_path):
    path = write(tmp_path / "t.csv", {"x": ['"0,5"', '"1,5"'] * 15, "class": ['"1,0"', '"2,0"'] * 15})
    data = load(path, target="class", types={"x": "categorical", "class": "categorical"})
    assert data.class_names == ("1,0", "2,0")
    assert data.input_names == ("x=0,5", "x=1,5")


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(3, 63), "class": [f"{(i % 6) * 2}" for i in range(60)]})
    assert load(path).class_names == ("0", "2", "4", "6", "8", "10")


@pytest.mark.parametrize("other", [["0.0", "1.0"], [False, True]])
def test_classes_are_the_same_in_files_that_spell_them_otherwise(other, tmp_path):
    classes = ["0", "1"] if other[0] == "0.0" else ["False", "True"]
    write(tmp_path / "a.csv", {"x": range(3, 63), "class": classes * 30})
    polars.DataFrame({"x": range(3, 23), "class": other * 10}).write_parquet(tmp_path / "b.parquet")
    data = load(None, path=None, train=str(tmp_path / "a.csv"), test=str(tmp_path / "b.parquet"))
    assert (data.class_names, data.test["targets"].tolist()) == (tuple(classes), [0, 1] * 10)


def test_several_targets_are_numbers(tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(3, 63), "u": np.arange(60) * 0.5, "v": np.arange(60) % 3})
    data = load(path, target=["u", -1])
    assert data.spec.targets == (2,)
    assert data.target_names == ("u", "v")
    assert data.target_scaling.offset == pytest.approx(data.train["targets"].mean(0))
    assert refusal(write(path, columns()), target=["size", "class"]).endswith(
        "Several targets must be numbers, but class is not. Name one dataset.target."
    )


def test_columns_that_tell_nothing_are_left_out_and_named(tmp_path):
    wanted = {"id": range(1, 61), "same": [5] * 60, "void": [""] * 60, **columns()}
    data = load(write(tmp_path / "t.csv", wanted))
    assert not {"id", "same", "void"} & set(data.input_names)
    assert data.notes == (
        "Left out: id numbers the rows ('dataset.types={id: numeric}' keeps it), void is empty, same is constant in "
        "the training part.",
    )
    assert "id" in load(write(tmp_path / "t.csv", wanted), features=["id", "size"]).input_names


def test_features_and_drop_by_name_or_position(table):
    assert load(table, features=["kind"]).input_names == ("kind=large", "kind=round", "kind=small")
    assert load(table, drop=[2, "sold"]).input_names == ("size",)
    assert load(table, target=-1, drop=[2, 3]).input_names == ("size",)


def test_classes_are_in_equal_proportions_and_no_row_is_in_two_parts(table):
    plan = make(table)._plan()
    (codes,) = plan.parts.values()
    no = np.array(columns()["class"]) == "no"
    for part, share in ((0, 0.7), (1, 0.15), (2, 0.15)):
        assert abs((codes == part).sum() - share * ROWS) <= 1
        assert abs((codes[no] == part).sum() - share * no.sum()) <= 1
    other = make(table, seed=1)._plan().parts[0]
    assert (codes != other).any()
    assert (codes == make(table)._plan().parts[0]).all()


def test_a_column_of_numbers_is_stratified_by_its_deciles(tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(400, 1000), "class": np.random.default_rng(0).normal(size=600)})
    (codes,) = make(path, stratify="class")._plan().parts.values()
    values = np.loadtxt(path, delimiter=",", skiprows=1)[:, 1]
    decile = np.searchsorted(np.quantile(values, np.linspace(0, 1, 11)[1:-1]), values, side="right")
    assert all(abs(np.bincount(decile[codes == part], minlength=10) - share * 60).max() <= 2
               for part, share in ((0, 0.7), (1, 0.15), (2, 0.15)))  # fmt: skip


def test_no_group_is_in_two_parts(tmp_path):
    groups = np.random.default_rng(0).integers(0, 17, 200)
    path = write(tmp_path / "t.csv", {"x": range(3, 203), "patient": groups, "class": np.arange(200) % 2})
    for seed in range(5):
        dataset = make(path, group="patient", seed=seed)
        (codes,) = dataset._plan().parts.values()
        sets = [set(groups[codes == part]) for part in range(3)]
        assert sum(map(len, sets)) == len(set.union(*sets)) == 17
        assert all(sets)
        assert dataset.load().input_names == ("x",)


def test_the_newest_rows_are_the_test_and_equal_times_stay_together(tmp_path):
    days = np.random.default_rng(0).integers(1, 29, 100)
    dates = [f"{day:02}.03.2024" for day in days]
    path = write(tmp_path / "t.csv", {"x": range(3, 103), "day": dates, "class": np.arange(100) % 2})
    dataset = make(path, time="day")
    (codes,) = dataset._plan().parts.values()
    train, val, test = (days[codes == part] for part in range(3))
    assert train.max() < val.min()
    assert val.max() < test.min()
    assert 10 <= len(test) <= 20
    assert dataset.load().input_names == ("x",)


def test_parts_of_very_many_rows_are_drawn_row_by_row(table, monkeypatch):
    monkeypatch.setattr(split, "MANY_ROWS", 50)
    (codes,) = make(table, seed=3)._plan().parts.values()
    assert set(codes) == {0, 1, 2}
    usable = np.arange(20_000) % 10 > 0
    codes = split.by_draws(usable, Fractions(0.15, 0.1), np.random.default_rng(0))
    assert (codes[~usable] == split.UNUSED).all()
    np.testing.assert_allclose(np.bincount(codes[usable]) / usable.sum(), [0.75, 0.15, 0.1], atol=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_splits_of_any_groups_and_times_are_honest(seed):
    rng = np.random.default_rng(seed)
    rows, usable = int(rng.integers(12, 80)), np.ones(80, bool)
    usable[rows:] = False
    values = rng.integers(0, int(rng.integers(4, 60)), 80).astype(float)
    values[:4] = [0, 1, 2, 3]
    grouped = by_group(usable, values, Fractions(0.2, 0.2), None, rng)
    assert [len(set(values[grouped == a]) & set(values[grouped == b])) for a, b in ((0, 1), (0, 2), (1, 2))] == [0] * 3
    assert set(grouped[usable]) == {0, 1, 2}
    assert set(grouped[~usable]) <= {3}
    try:
        ordered = by_time(usable, values, Fractions(0.2, 0.2), None, rng)
    except ConfigError:
        return
    assert values[ordered == 0].max() < values[ordered == 1].min()
    assert values[ordered == 1].max() < values[ordered == 2].min()
    assert (np.bincount(ordered[usable]) >= 2).all()


def test_parts_may_have_files_of_their_own(tmp_path):
    train, test = write(tmp_path / "train.csv", columns(50)), write(tmp_path / "test.csv", columns(20))
    data = load(None, path=None, train=str(train), test=str(test))
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [42, 8, 20]
    val = write(tmp_path / "val.csv", columns(10))
    data = load(None, path=None, train=str(train), val=str(val), test=str(test))
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [50, 10, 20]
    data = load(None, path=None, train=str(train), val=str(val), test=str(test), limit=32)
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [20, 4, 8]
    write(test, {name: values for name, values in columns(20).items() if name != "size"})
    assert refusal(train, path=None, train=str(train), test=str(test)) == (
        f"{test} lacks the column size, which t.csv has. Add it."
    )


@pytest.mark.parametrize("ending", ["", ".0"])
def test_no_group_may_be_in_two_files(ending, tmp_path):
    train = write(tmp_path / "train.csv", {"x": range(3, 33), "g": np.arange(30) % 5, "class": np.arange(30) % 2})
    groups = [f"{i}{ending}" for i in range(4, 14)]
    test = write(tmp_path / "test.csv", {"x": range(3, 13), "g": groups, "class": np.arange(10) % 2})
    assert refusal(train, path=None, train=str(train), test=str(test), group="g") == (
        f"{test} has a g that another file has too, so the parts are not apart. Divide the files by groups, or leave "
        "dataset.group=null."
    )


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".txt"])
def test_the_same_table_in_other_formats_is_the_same_data(suffix, table, tmp_path):
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        polars.read_csv(table, try_parse_dates=True).write_parquet(path)
    else:
        write(path, columns(), "\t" if suffix == ".tsv" else ";")
    wanted, found = load(table), load(path)
    assert found.input_names == wanted.input_names
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(found, part)["inputs"], getattr(wanted, part)["inputs"])
        np.testing.assert_array_equal(getattr(found, part)["targets"], getattr(wanted, part)["targets"])


def test_no_header_quotes_decimal_commas_and_other_encodings(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f'"größe; {i % 2}";{i},5;{i % 2}\n' for i in range(3, 43)]
    path.write_bytes("".join(rows).encode("latin-1"))
    data = load(path, target=3, decimal=",", encoding="latin-1", header=False)
    assert data.input_names == ("column_2", "column_1=größe; 0", "column_1=größe; 1")
    assert data.train["inputs"][0, 0] % 1 == 0.5
    assert "set dataset.encoding, for example dataset.encoding=latin-1" in refusal(path, target=3)


def test_a_table_larger_than_the_limit_is_streamed_to_the_same_data(table, tmp_path, monkeypatch):
    from nnrun.datasets.tables import source

    polars.read_csv(table, try_parse_dates=True).write_parquet(tmp_path / "t.parquet")
    wanted = load(table)
    monkeypatch.setattr(source, "LARGE", 10)
    monkeypatch.setattr(source.blocks, "__defaults__", (7,))
    for path in (table, tmp_path / "t.parquet"):
        os.utime(path, (0, 0))
        found = load(path)
        for part in ("train", "val", "test"):
            np.testing.assert_allclose(getattr(found, part)["inputs"], getattr(wanted, part)["inputs"], rtol=1e-6)
    table.write_text(table.read_text() + "1,small\n")
    assert refusal(table) == (
        "t.csv, line 62 has 2 fields, but the first line has 4. Put fields that hold the separator into double "
        "quotes, or set dataset.separator."
    )


def test_a_large_table_is_converted_once_to_arrays_that_are_mapped(table, tmp_path, monkeypatch):
    monkeypatch.setenv("NNRUN_CACHE", str(tmp_path / "cache"))
    wanted = load(table, categorical="embedding")
    for _ in range(2):
        found = load(table, categorical="embedding", cache="always")
        for part in ("train", "val", "test"):
            assert getattr(found, part).keys() == getattr(wanted, part).keys()
            for name, values in getattr(found, part).items():
                assert isinstance(values, np.memmap)
                np.testing.assert_array_equal(values, getattr(wanted, part)[name])


def test_embedded_categories_are_numbers_beside_the_inputs(table):
    data = load(table, categorical="embedding")
    assert data.spec.categories == (4,)
    assert data.train["categories"].dtype == np.int32
    assert set(data.train["categories"][:, 0]) == {1, 2, 3}
    assert not any("kind" in name for name in data.input_names)
    assert load(table, types={"kind": "embedding"}).spec.categories == (4,)
    assert load(table, types={"kind": "one_hot"}, categorical="embedding").spec.categories == ()


def test_a_table_without_a_target_is_for_reconstruction(table):
    dataset = make(table, target=None)
    assert dataset.spec().targets is None
    assert "targets" not in dataset.load().train
    with pytest.raises(ConfigError) as caught:
        dataset.task()
    assert str(caught.value) == (
        "dataset.target must name the column to predict, one of: size, kind, sold, class. To rebuild the columns "
        "without a target, set model=autoencoder."
    )


def test_a_file_that_changes_between_reading_and_loading_is_read_again(table):
    dataset = make(table)
    assert dataset.spec().inputs == (14,)
    write(table, {"size": range(3, 43), "class": ["a", "b"] * 20})
    assert dataset.spec().inputs == (1,)


def test_a_file_that_changes_while_it_is_read_is_noticed(table, monkeypatch):
    from nnrun.datasets.tables import source

    monkeypatch.setattr(source, "LARGE", 10)
    frames = source.blocks(table, source.TableFormat(), 7)
    next(frames)
    table.write_text(table.read_text() + "1,small,2024-01-01,no\n")
    with pytest.raises(RunError, match=r"t\.csv changed while it was read\. Run the command again"):
        list(frames)


def test_groups_of_two_files_with_blank_lines_are_apart(tmp_path):
    for name in "ab":
        rows = [f"{i / 3:.2f},{name}{i % 5},{'yn'[i % 2]}" for i in range(3, 43)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,g,class", *rows[:9], "", *rows[9:], ""]))
    data = load(None, path=None, train=str(tmp_path / "a.csv"), test=str(tmp_path / "b.csv"), group="g")
    assert len(data.test["inputs"]) == 40


def test_rows_without_a_target_may_be_dropped(tmp_path):
    path = write(tmp_path / "t.csv", {"x": range(3, 33), "class": ["a", "b", ""] * 10})
    data = load(path, without_target="drop")
    assert sum(len(part["inputs"]) for part in (data.train, data.val, data.test)) == 20


def test_from_the_file_to_the_folder(table, nnrun, tmp_path):
    write(table, {"a size" if name == "size" else name: values for name, values in columns().items()})
    words = ["debug=tiny", "dataset=csv", f"dataset.path={table}", "dataset.target=class"]
    words += ["dataset.categorical=embedding", "dataset.missing={a size: [0], kind: round}"]
    assert nnrun(*words, "dataset.types={class: categorical, 3: date}", "hydra.run.dir=first").code == 0
    predictions = (tmp_path / "first" / "predictions.csv").read_text()
    assert predictions.startswith("row,target,predicted,probability_no")
    assert "Column kind has missing values ('round' in 20 rows)" in (tmp_path / "first" / "run.log").read_text()
    assert nnrun("repeat", "first", "hydra.run.dir=second").code == 0
    assert (tmp_path / "second" / "predictions.csv").read_text() == predictions
    done = nnrun(*words, "model=autoencoder")
    assert done.code == 2
    assert done.err == (
        "nnrun: model=autoencoder learns no embeddings, but dataset=csv has columns of categories to be embedded. Set "
        "dataset.categorical=one_hot and no type embedding, or model=mlp.\n"
    )
    done = nnrun("dataset=csv")
    assert (done.code, done.err.startswith("nnrun: dataset=csv reads dataset.path")) == (2, True)
