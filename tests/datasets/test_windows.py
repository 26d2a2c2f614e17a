import numpy as np
import pytest

from nnrun.datasets.mackey_glass import MackeyGlass, MackeyGlassConfig, integrate
from nnrun.datasets.parts.split import chronological, streams
from nnrun.datasets.series.windowed import naive_error
from nnrun.datasets.series.windows import count_windows, cut_windows, places, season_before
from nnrun.datasets.sine import Sine, SineConfig
from nnrun.errors import ConfigError


@pytest.mark.parametrize(("window", "horizon", "stride"), [(5, 1, 1), (4, 3, 2), (1, 1, 7), (8, 4, 50), (28, 2, 1)])
@pytest.mark.parametrize("per_step", [False, True])
def test_windows_against_a_loop(window, horizon, stride, per_step):
    series = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    inputs, targets = [], []
    for s in range(0, 30 - window - horizon + 1, stride):
        inputs.append(series[s : s + window])
        after = [series[s + t + 1 : s + t + 1 + horizon] for t in range(window)]
        targets.append(after if per_step else after[-1])
    found_inputs, found_targets = cut_windows(series, window, horizon, stride, per_step)
    np.testing.assert_array_equal(found_inputs, inputs)
    np.testing.assert_array_equal(found_targets, targets)
    assert count_windows(30, window, horizon, stride) == len(inputs)


def test_windows_of_the_parts_share_no_value():
    data = Sine(SineConfig(length=400, window=20, horizon=3, per_step=True)).load()
    seen = [set(np.concatenate([p["inputs"].ravel(), p["targets"].ravel()]).tolist()) for p in parts(data)]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert not seen[0] & seen[2]
    assert [len(values) for values in seen] == [280, 60, 60]


def parts(data):
    return data.train, data.val, data.test


def test_limit_keeps_the_first_windows_of_each_part_in_order():
    config = SineConfig(length=400, window=20)
    whole, limited = Sine(config).load(), Sine(SineConfig(length=400, window=20, limit=30)).load()
    for some, every in zip(parts(limited), parts(whole), strict=True):
        np.testing.assert_array_equal(some["inputs"], every["inputs"][: len(some["inputs"])])
    np.testing.assert_array_equal(limited.input_scaling.scale, whole.input_scaling.scale)


def test_scaling_and_naive_error_come_from_the_training_piece():
    data = Sine(SineConfig(noise=0.0, periods=(10.0, 60.0), amplitudes=(0.3, 1.0), seed=3)).load()
    rng, _ = streams(3)
    series = Sine(SineConfig(periods=(10.0, 60.0), amplitudes=(0.3, 1.0))).values(rng)
    piece = chronological(series, 0.15, 0.15)[0]
    np.testing.assert_allclose(data.input_scaling.offset, piece.mean(0), atol=1e-6)
    np.testing.assert_allclose(data.target_scaling.scale, piece.std(0), rtol=1e-5)
    assert data.series.period == 60
    assert data.series.target_columns == (0,)
    np.testing.assert_allclose(data.series.naive_error, 0, atol=1e-12)


@pytest.mark.parametrize("period", [None, 4])
def test_naive_error_by_hand(period):
    series = np.random.default_rng(0).standard_normal((50, 2))
    lag = period or 1
    expected = [np.mean([abs(series[t, v] - series[t - lag, v]) for t in range(lag, 50)]) for v in range(2)]
    np.testing.assert_allclose(naive_error(series, period), expected)


def test_sine_has_the_lines_of_its_periods():
    rng = np.random.default_rng(0)
    series = Sine(SineConfig(length=1200, periods=(60.0, 20.0), amplitudes=(1.0, 0.5))).values(rng)[:, 0]
    spectrum = 2 * abs(np.fft.rfft(series)) / 1200
    np.testing.assert_allclose(spectrum[[20, 60]], [1.0, 0.5], atol=1e-9)
    assert np.delete(spectrum, [20, 60]).max() < 1e-9


def test_mackey_glass_integration_is_of_fourth_order():
    reference = integrate(0.9, 17, 60, substeps=80)
    coarse, fine = (abs(integrate(0.9, 17, 60, substeps) - reference).max() for substeps in (5, 10))
    assert fine < 1e-9
    assert 12 < coarse / fine < 20


def test_mackey_glass_with_a_short_delay_settles_at_its_fixed_point():
    np.testing.assert_allclose(integrate(0.7, 2, 500)[-20:], 1.0, atol=1e-6)


def test_mackey_glass_stays_on_its_attractor_and_is_chaotic():
    values = integrate(1.2, 17, 3000)[500:]
    assert 0.2 < values.min() < 0.5
    assert 1.2 < values.max() < 1.4
    nudged = integrate(1.2 + 1e-6, 17, 3000)[500:]
    assert abs(values - nudged)[:100].max() < 1e-4
    assert abs(values - nudged)[-500:].max() > 0.1


def test_mackey_glass_interval_skips_steps_of_the_same_solution():
    every, fifth = (MackeyGlass(MackeyGlassConfig(length=600 // n, interval=n, window=4)) for n in (1, 5))
    np.testing.assert_array_equal(every.values(np.random.default_rng(1))[::5], fifth.values(np.random.default_rng(1)))
    assert every.load().series.period is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"length": 200},
            "dataset.length=200 gives parts of 140, 30 and 30 steps (train, val, test), but each must be >= "
            "dataset.window + dataset.horizon = 65. Set a larger dataset.length or a smaller dataset.window.",
        ),
        (
            {"length": 500, "periods": (400.0, 20.0)},
            "dataset.length=500 gives a training part of 350 steps, but it must be > the period of 400 steps. "
            "Set a larger dataset.length or shorter dataset.periods.",
        ),
        (
            {"periods": (5.0,)},
            "dataset.periods and dataset.amplitudes must be equally long and not empty, but got 1 and 2 values. "
            "Set for example dataset.periods=[60,20] dataset.amplitudes=[1,0.5].",
        ),
    ],
)
def test_a_series_that_cannot_be_cut_is_refused_before_it_is_made(changes, text):
    with pytest.raises(ConfigError) as caught:
        Sine(SineConfig(**changes))
    assert str(caught.value) == text


def test_values_a_season_before_against_a_loop():
    values, last = np.arange(40.0).reshape(20, 2), np.array([11, 14])
    found = season_before(values, last, horizon=9, period=7)
    for n, h in np.ndindex(2, 9):
        row = last[n] + 1 + h
        while row > last[n]:
            row -= 7
        np.testing.assert_array_equal(found[n, h], values[row])
    assert season_before(values, last, 9, period=None) is None
    assert season_before(values, last, 9, period=13) is None, "the series does not reach back so far"


def test_places_in_a_season_go_by_time_where_there_is_one():
    hours = np.array([0, 1, 2, 5, 6, 7, 30])
    times = np.datetime64("2024-01-01", "us") + hours * np.timedelta64(1, "h")
    np.testing.assert_array_equal(places(times, 7, period=4), hours % 4)
    np.testing.assert_array_equal(places(None, 7, period=4), np.arange(7) % 4)
