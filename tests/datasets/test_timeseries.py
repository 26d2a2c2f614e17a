import json

import numpy as np
import polars
import pytest

from nnrun.datasets.base import Anchor
from nnrun.datasets.parts import constant
from nnrun.datasets.series.table import read_series
from nnrun.datasets.tables.file import read_table
from nnrun.errors import ConfigError, RunError
from nnrun.folders import preprocessing
from nnrun.folders.preprocessing import Preprocessing
from tests.datasets.series import DAYS, columns, make, write


@pytest.fixture
def series():
    return columns()


@pytest.mark.parametrize("look_back", [True, False])
@pytest.mark.parametrize("stride", [1, 3])
def test_windows_and_labels_against_a_loop(series, tmp_path, look_back, stride):
    rows = {"train_rows": [2, 30], "val_rows": [30, 42], "test_rows": [44, 60]}
    path, window, horizon = write(tmp_path, series), 5, 2
    data = make(path, target="b", window=window, horizon=horizon, stride=stride, look_back=look_back, **rows).load()
    values = np.stack([series["a"], series["b"]], axis=1).astype(np.float32)
    for part, (first, end) in zip((data.train, data.val, data.test), rows.values(), strict=True):
        begin = first - window if look_back and first > 2 else first
        starts = [s for s in range(begin, end, stride) if s + window + horizon <= end]
        np.testing.assert_array_equal(part["inputs"], [values[s : s + window] for s in starts])
        np.testing.assert_array_equal(part["targets"], [values[s + window : s + window + horizon, 1:] for s in starts])
    assert data.labels["time"].tolist() == [str(DAYS[s + window - 1]) for s in starts]
    assert (data.input_names, data.target_names) == (("a", "b"), ("b",))
    np.testing.assert_allclose(data.input_scaling.offset, values[2:30].mean(0), rtol=1e-5)
    np.testing.assert_allclose(data.target_scaling.scale, values[2:30, 1].std(), rtol=1e-5)
    np.testing.assert_allclose(data.series.naive_error, np.abs(np.diff(series["b"][2:30])).mean())


@pytest.mark.parametrize("look_back", [True, False])
def test_a_period_longer_than_the_window_reaches_into_the_rows_before(series, tmp_path, look_back):
    path = write(tmp_path, series)
    data = make(path, target="b", window=5, horizon=3, period=9, stride=2, look_back=look_back).load()
    rows = [DAYS.tolist().index(day) for day in data.labels["time"].astype(DAYS.dtype).tolist()]
    expected = [[series["b"][row + 1 + h - 9] for h in range(3)] for row in rows]
    np.testing.assert_allclose(data.season_before[..., 0], expected, rtol=1e-6)
    assert make(path, target="b", window=9, horizon=3, period=9).load().season_before is None, "windows hold it"


def test_the_published_split_of_etth1_has_its_2857_test_windows(tmp_path):
    path = write(tmp_path, {"OT": np.arange(14400) % 24})
    rows = {"train_rows": [0, 8640], "val_rows": [8640, 11520], "test_rows": [11520, 14400]}
    data = make(path, window=96, horizon=24, **rows).load()
    assert [len(part["inputs"]) for part in (data.train, data.val, data.test)] == [8640 - 119, 2857, 2857]
    assert not data.test["inputs"].flags.owndata, "windows are views"


@pytest.mark.parametrize(
    ("values", "inputs", "targets"),
    [
        ({}, ("a", "b", "c"), ("a", "b", "c")),
        ({"target": "b"}, ("a", "b", "c"), ("b",)),
        ({"target": ["c", "a"], "features": []}, ("a", "c"), ("c", "a")),
        ({"target": "b", "features": ["c"]}, ("b", "c"), ("b",)),
        ({"drop": ["b"]}, ("a", "c"), ("a", "c")),
    ],
)
def test_columns_that_are_seen_and_forecast(series, tmp_path, values, inputs, targets):
    path = write(tmp_path, series | {"c": np.arange(60)})
    data = make(path, window=3, **values).load()
    assert (data.input_names, data.target_names) == (inputs, targets)
    assert (
        data.train["targets"][0, 0].tolist() == data.train["inputs"][1][-1, list(data.series.target_columns)].tolist()
    )


def test_an_autoencoders_windows_have_no_targets_and_reach_the_last_row(series, tmp_path):
    data = make(write(tmp_path, series), window=4, horizon=0, anomalies=["2024-02-20/2024-02-22"]).load()
    assert set(data.test) == {"inputs", "anomaly"}
    assert data.spec.targets is None
    assert len(data.test["inputs"]) == 9, "one window for every row of the test part"
    marked = data.labels["time"][data.test["anomaly"] == 1]
    assert marked.tolist() == ["2024-02-21", "2024-02-22"], "the test part starts on the 21st"


def test_scaling_of_logarithms_is_undone_exactly(tmp_path):
    path = write(tmp_path, {"a": np.exp(np.random.default_rng(0).normal(2, 1, 50))})
    data = make(path, window=4, transform="log").load()
    raw = np.float64(data.train["targets"])
    scaled = data.target_scaling.apply(raw)
    assert data.spec.log
    np.testing.assert_allclose(np.log(raw) * 1.0, scaled * data.target_scaling.scale + data.target_scaling.offset)
    np.testing.assert_allclose(data.target_scaling.invert(scaled), raw)


def test_where_forecasts_start_from(series, tmp_path):
    path = write(tmp_path, series)
    assert make(path, window=8, horizon=3, relative_to="last", target="b").spec().anchor == Anchor((-1, -1, -1), (1,))
    season = make(path, window=8, horizon=6, period=4, relative_to="season", target="a").spec().anchor
    assert season == Anchor((-4, -3, -2, -1, -4, -3), (0,))
    assert make(path, window=8, relative_to="last", per_step=True).spec().anchor == Anchor((0,), (0, 1))


def test_a_newer_series_gives_every_window_and_at_last_the_forecast_of_what_comes(series, tmp_path):
    data = make(write(tmp_path, series), window=5, horizon=3, target="b").load()
    Preprocessing.of(data).save(tmp_path)
    reader = preprocessing.read(tmp_path).reader
    assert reader == data.reader
    newer = {name: values[:20] for name, values in series.items()}
    blocks = list(reader.blocks(write(tmp_path, newer, "newer.csv"), 8))
    assert [len(block.part["inputs"]) for block in blocks] == [8, 5, 3]
    assert ["targets" in block.part for block in blocks] == [True, True, False]
    inputs = np.concatenate([block.part["inputs"] for block in blocks])
    assert np.concatenate([block.labels["time"] for block in blocks]).tolist() == DAYS[4:20].astype(str).tolist()
    np.testing.assert_array_equal(inputs[-1], np.stack([newer["a"][15:], newer["b"][15:]], 1).astype(np.float32))
    frame = reader.block(polars.DataFrame(newer))
    array = reader.block(np.stack([newer["a"], newer["b"]], 1))
    np.testing.assert_array_equal(frame.part["inputs"], inputs)
    np.testing.assert_array_equal(array.part["inputs"], inputs)
    assert array.labels["row"].tolist() == list(range(5, 21))


def test_with_a_stride_the_newest_window_is_still_the_last(series, tmp_path):
    data = make(write(tmp_path, series), window=5, horizon=2, stride=4).load()
    ends = data.reader.block(np.zeros((20, 2))).labels["row"].tolist()
    assert ends == [5, 9, 13, 17, 20]


def test_irregular_steps_are_reported_and_months_are_regular(series, tmp_path):
    days = np.delete(np.datetime64("2024-01-01") + np.arange(61), 17).astype(str)
    (note,) = make(write(tmp_path, series | {"day": days}), window=4).load().notes
    assert note.endswith(
        "1 of 59 steps are not 1 day, 0:00:00 long, the first before row 18 (2024-01-19), the longest 2 days, 0:00:00; "
        "windows run across them."
    )
    months = (np.datetime64("2019-01") + np.arange(60)).astype(str)
    assert make(write(tmp_path, series | {"day": months}), window=4).load().notes == ()


def test_a_constant_column_is_reported(series, tmp_path):
    data = make(write(tmp_path, series | {"c": np.ones(60)}), window=4).load()
    assert not data.notes
    assert list(constant.notes(data)) == ["Left out, because constant in the training part: c."]
    data = make(write(tmp_path, series | {"c": np.ones(60)}), window=4, scaling="none").load()
    assert data.notes[0].endswith("column c is constant in the training rows.")
    assert np.isfinite(data.input_scaling.apply(data.test["inputs"])).all()


def test_a_target_that_never_changes_is_refused(series, tmp_path):
    path = write(tmp_path, series | {"c": np.ones(60)})
    said = "s.csv: the target c is the same in every training row, so there is nothing to learn. Name another column: "
    for values in ({"target": "c"}, {"target": ["a", "c"]}, {"drop": ["a", "b"]}):
        with pytest.raises(ConfigError, match=said):
            make(path, window=4, **values).load()
    assert make(path, window=4, horizon=0, drop=["a", "b"]).load().spec.targets is None


def test_values_that_single_precision_makes_equal_are_refused_as_targets_and_noted_as_inputs(series, tmp_path):
    large = 1e8 + np.sin(np.arange(60) / 3)
    path = write(tmp_path, series | {"v": large})
    said = (
        f"{path}: column v varies by {large[:42].std():.3g} around 1e+08, but single precision keeps about 7 digits. "
        "Subtract a constant from it, for example 1e+08."
    )
    for values in ({"target": "v"}, {"target": ["a", "v"]}, {"drop": ["a", "b"]}):
        with pytest.raises(ConfigError) as caught:
            make(path, window=4, **values).load()
        assert str(caught.value) == said
    for values in ({"target": "a"}, {}, {"horizon": 0}):
        assert make(path, window=4, **values).load().notes == (said,)
    for fine in (large - 1e8, 1e8 + 1e6 * (large - 1e8)):
        assert make(write(tmp_path, series | {"v": fine}), window=4, target="v").load().notes == ()


def test_numbers_that_may_be_the_time_are_reported(series, tmp_path):
    seconds = {"t": 1_700_000 + 60 * np.arange(60), "a": series["a"]}
    path = write(tmp_path, seconds)
    (note,) = make(path, window=4).load().notes
    assert note == (
        f"{path}: column t rises from row to row as times do, but is taken for a value. If it is the time, set "
        "dataset.time=t."
    )
    for values in ({"time": "t"}, {"time": None}, {"target": "t"}, {"drop": ["t"]}, {"drop": ["a"]}):
        assert make(path, window=4, **values).load().notes == ()
    assert make(write(tmp_path, series | {"c": np.arange(60)}), window=4).load().notes == ()


@pytest.mark.parametrize("value", ["5.354", " 1.234.567,5"])
def test_points_between_the_thousands_are_refused_where_a_comma_marks_the_decimals(value, tmp_path):
    rows = [f"{i},5;{i}" for i in range(40)]
    rows[20] = f"{value};20"
    (tmp_path / "t.csv").write_text("\n".join(["a;b", *rows, ""]))
    with pytest.raises(ConfigError) as caught:
        make(tmp_path / "t.csv", window=4, decimal=",").load()
    assert str(caught.value) == (
        f"{tmp_path / 't.csv'}, row 21, column a is {value!r}, but decimals must follow a comma. Take the points "
        "between the thousands out of the file, or, where the point is the decimal mark, set dataset.decimal=."
    )


def test_a_comma_may_mark_the_decimals(series, tmp_path):
    plain = make(write(tmp_path, series), window=4).load()
    path = tmp_path / "comma.csv"
    polars.DataFrame(series).write_csv(path, separator=";", decimal_comma=True)
    data = make(path, window=4, decimal=",").load()
    np.testing.assert_array_equal(data.train["inputs"], plain.train["inputs"])
    (first, _) = data.reader.blocks(path, 100)
    np.testing.assert_array_equal(first.part["inputs"][-1], plain.test["inputs"][-1])
    with pytest.raises(ConfigError) as caught:
        make(path, window=4).load()
    assert str(caught.value) == (
        f"{path}, row 1, column a is '{series['a'][0]}', but decimals must follow a point. Where the comma is the "
        "decimal mark, set 'dataset.decimal=\",\"'."
    ).replace(str(series["a"][0]), str(series["a"][0]).replace(".", ","))


def test_a_comma_in_a_later_row_is_told_too(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("a;b\n" + "1;2\n" * 20 + "1;2,5\n")
    with pytest.raises(ConfigError, match="row 21, column b is '2,5', but decimals must follow a point"):
        make(path, window=2).load()
    path.write_text("a;b\n1;x,5\n")
    with pytest.raises(RunError, match=r"row 1, column b is 'x,5', but the column must hold numbers\."):
        read_series(read_table(path), ("b",), None, "refuse", False, path, ",")


def test_columns_that_are_not_used_are_known(series, tmp_path):
    path = write(tmp_path, series | {"c": np.arange(60)})
    reader = make(path, window=4, drop=["c"]).load().reader
    assert reader.unknown(path) == ()
    assert reader.unknown(write(tmp_path, series | {"c": np.arange(60), "d": np.arange(60)}, "more.csv")) == ("d",)


def test_days_come_first_where_all_rows_say_so_and_in_later_files_as_in_training(tmp_path):
    months = (np.datetime64("2000-01") + np.arange(60)).astype("datetime64[D]")
    written = [f"{day[8:]}/{day[5:7]}/{day[:4]}" for day in months.astype(str)]
    data = make(write(tmp_path, {"t": written, "a": np.arange(60) % 7}), window=4).load()
    assert data.notes == ()
    assert data.labels["time"].tolist() == months[50:59].astype(str).tolist()
    Preprocessing.of(data).save(tmp_path)
    reader = preprocessing.read(tmp_path).reader
    assert (reader, reader.time_format) == (data.reader, "%d/%m/%Y")
    few = write(tmp_path, {"t": written[:6], "a": np.arange(6)}, "few.csv")
    found = [block.labels["time"].tolist() for block in reader.blocks(few, 9)]
    assert found == [["2000-04-01", "2000-05-01"], ["2000-06-01"]]
    iso = polars.DataFrame({"t": months[:6].astype(str), "a": np.arange(6)})
    assert reader.block(iso).labels["time"].tolist() == [*found[0], *found[1]], "times may be written another way"


def test_the_hour_that_autumn_repeats_is_another_one_by_its_offset(tmp_path):
    utc = np.datetime64("2024-10-26T20:00") + np.timedelta64(1, "h") * np.arange(60)
    summer = utc < np.datetime64("2024-10-27T01:00")
    local = np.char.replace((utc + np.where(summer, 2, 1).astype("timedelta64[h]")).astype(str), "T", " ")
    written = np.char.add(local, np.where(summer, "+02:00", "+01:00"))
    assert written[4:6].tolist() == ["2024-10-27 02:00+02:00", "2024-10-27 02:00+01:00"]
    data = make(write(tmp_path, {"t": written, "a": np.arange(60) % 7}), window=4).load()
    assert data.notes == (), "steps are equal in UTC"
    assert data.labels["time"][0] == np.char.replace(str(utc[50]), "T", " ") + ":00", "shown in UTC"


def test_how_times_are_written_may_be_stated(series, tmp_path):
    short = [f"{day[5:7]}/{day[8:]}/{day[2:4]}" for day in DAYS.astype(str)]
    path = write(tmp_path, series | {"day": short})
    assert make(path, window=4, time_format="%m/%d/%y").load().labels["time"][-1] == str(DAYS[-2])
    with pytest.raises(ConfigError, match=r"row 13, column day is '01/13/24', but dataset\.time_format is %d/%m/%y\."):
        make(path, window=4, time_format="%d/%m/%y").load()
    with pytest.raises(ConfigError, match=r"time_format is %Y, but no column of .*s\.csv begins with a time written"):
        make(path, window=4, time_format="%Y").load()


def test_a_missing_value_may_be_the_one_before(series, tmp_path):
    gap = series["a"].copy()
    gap[[7, 8]] = np.nan
    path = write(tmp_path, {"day": series["day"], "a": polars.Series(gap).fill_nan(None)})
    data = make(path, window=4, missing="previous").load()
    assert data.train["inputs"][6, :, 0].tolist() == [np.float32(gap[6])] * 3 + [np.float32(gap[9])]
    with pytest.raises(RunError, match=r"row 8, column a has no value\. Fill it, or set dataset\.missing=previous\."):
        make(path, window=4).load()


def test_rows_are_counted_with_blank_lines_as_in_tables(series, tmp_path):
    lines = [f"{a},{b}" for a, b in zip(series["a"], series["b"], strict=True)]
    path = tmp_path / "s.csv"
    path.write_text("\n".join(["a,b", "", *lines[:50], "", "", *lines[50:]]))
    data = make(path, window=4).load()
    assert data.labels["row"].tolist() == [1 + 48 + 1, 51, *range(54, 63)][-len(data.labels["row"]) :]
    (known, newest) = data.reader.blocks(path, 100)
    assert known.labels["row"][[0, -1]].tolist() == [5, 62]
    assert newest.labels["row"].tolist() == [63]
    for bad, said in (("x,1", "row 54, column a is 'x', but"), (",1", "row 54, column a has no value.")):
        path.write_text("\n".join(["a,b", "", *lines[:50], "", "", bad]))
        with pytest.raises(RunError, match=said):
            make(path, window=4).load()


@pytest.mark.parametrize("words", [["model=mlp", "dataset.relative_to=last", "dataset.transform=log"], ["model=gru"]])
def test_a_run_forecasts_in_the_targets_unit_with_times(nnrun, tmp_path, words):
    times = np.datetime64("2020-01-01") + np.arange(80)
    write(tmp_path, {"t": times.astype(str), "y": 100 + 10 * np.sin(np.arange(80))})
    keys = ["dataset=timeseries", "dataset.path=s.csv", "dataset.window=6", "dataset.horizon=2", "dataset.period=6"]
    done = nnrun("debug=tiny", *keys, *words, "hydra.run.dir=run", "training.epochs=3")
    assert done.code == 0, done.err
    first, row = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[:2]
    assert first == "time,y_t+1,y_t+1_predicted,y_t+2,y_t+2_predicted"
    assert row.startswith("2020-03-08,")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["baseline"]["test/rmse"].keys() == {"mean", "persistence", "seasonal_naive"}
    predicted = np.genfromtxt(tmp_path / "run" / "predictions.csv", delimiter=",", skip_header=1)
    errors = predicted[:, [2, 4]] - predicted[:, [1, 3]]
    assert summary["metrics"]["test/mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-3)
    assert summary["metrics"]["test/rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-3)
    write(tmp_path, {"t": times[:9].astype(str), "y": [1.0, 2, 3, None, *range(5)]}, "gap.csv")
    done = nnrun("predict", "run", "gap.csv")
    assert done.err == (
        "nnrun: gap.csv, row 4, column y has no value. Fill it, or set dataset.missing=previous. Keys are set in "
        "training, so this means to train again: nnrun repeat run dataset.missing=previous\n"
    )


def test_a_run_of_an_autoencoder_keeps_its_threshold_and_flags_with_it(nnrun, tmp_path, pictures):
    values = np.sin(np.arange(200) / 2)
    values[180] = 9
    times = np.datetime64("2020-01-01") + np.arange(200)
    write(tmp_path, {"t": times.astype(str), "y": values})
    keys = ["dataset=timeseries", "dataset.path=s.csv", "dataset.window=6", "dataset.horizon=0", "model=autoencoder"]
    label = f"dataset.anomalies=['{times[178]}/{times[187]}']"
    assert nnrun(*keys, label, "hydra.run.dir=run", "training.epochs=5").code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    saved = preprocessing.read(tmp_path / "run")
    with np.load(tmp_path / "run" / "predictions.npz") as file:
        found = dict(file)
    np.testing.assert_array_equal(found["flagged"], found["error"] > saved.error_threshold)
    assert set(times[180:186].astype(str)) <= set(found["time"][found["flagged"]].tolist())
    assert summary["metrics"]["test/anomalies_found"] == 1
    assert summary["metrics"]["test/false_alarms"] == found["flagged"][found["anomaly"] == 0].mean()
    assert (tmp_path / "run" / "figures" / "flagged_series.png").exists()


@pytest.mark.parametrize(("order", "was"), [(slice(None, None, -1), "newest first"), (None, "not in order of time")])
def test_rows_in_another_order_are_sorted_and_told(series, tmp_path, order, was):
    expected = make(write(tmp_path, series), window=4).load()
    moved = np.random.default_rng(1).permutation(60) if order is None else np.arange(60)[order]
    path = write(tmp_path, {name: np.asarray(values)[moved] for name, values in series.items()})
    data = make(path, window=4).load()
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(data, part)["inputs"], getattr(expected, part)["inputs"])
    assert data.labels["time"].tolist() == expected.labels["time"].tolist() == sorted(expected.labels["time"])
    assert data.notes == (f"{path}: the rows are {was}, and are sorted by time.",)
    assert not expected.notes
    gaps = {**series, "a": [None if i == 7 else value for i, value in enumerate(series["a"])]}
    path = write(tmp_path, {name: [values[i] for i in moved] for name, values in gaps.items()})
    filled = make(path, window=4, missing="previous").load().train["inputs"][4, 3, 0]
    assert filled == np.float32(series["a"][6])


def test_several_series_in_one_file_are_told_apart(series, tmp_path):
    store = {name: np.repeat(values, 3) for name, values in series.items()} | {"store": np.tile([1, 2, 3], 60)}
    path = write(tmp_path, store)
    with pytest.raises(RunError) as caught:
        make(path, window=4).load()
    assert str(caught.value) == (
        f"{path}, column day: 2024-01-01 is the time of rows 1 and 2, and 120 of 180 rows have the time of another. "
        "Column store tells them apart, so the file holds 3 series of equal times. Make one file of each, or give each "
        "a column of its own beside one column of times."
    )
