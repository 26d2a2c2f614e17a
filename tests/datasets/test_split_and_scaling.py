import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnrun.datasets.parts import scaling
from nnrun.datasets.parts.split import chronological, cut, part_sizes, share, stratified_order

FRACTIONS = st.floats(0.01, 0.89)


@settings(deadline=None)
@given(st.integers(10, 5000), FRACTIONS, FRACTIONS)
def test_part_sizes_add_up_and_leave_no_part_empty(count, val_fraction, test_fraction):
    sizes = part_sizes(count, val_fraction, test_fraction)
    assert sum(sizes) == count
    assert min(sizes) >= 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=10, max_size=300), st.integers(0, 99))
def test_every_run_of_a_stratified_order_is_stratified(labels, seed):
    labels = np.array(labels)
    order = stratified_order(labels, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(labels)))
    counts = np.bincount(labels)
    for part in cut(order, 0.2, 0.3):
        share_of_all = len(part) / len(labels)
        found = np.bincount(labels[part], minlength=len(counts))
        # One for the class itself, the rest because neighbours of other classes shift the cut by less than one each.
        assert (abs(found - counts * share_of_all) <= 1 + len(counts) / 2).all()


def test_chronological_pieces_join_to_the_series():
    series = np.arange(101)
    train, val, test = chronological(series, 0.15, 0.25)
    np.testing.assert_array_equal(np.concatenate([train, val, test]), series)
    assert (len(train), len(val), len(test)) == (61, 15, 25)


@settings(deadline=None)
@given(st.tuples(*[st.integers(2, 3000)] * 3), st.integers(10, 3000))
def test_share_keeps_to_the_limit(counts, limit):
    shared = share(counts, limit)
    assert sum(shared) == min(sum(counts), limit)
    assert min(shared) >= 2
    assert all(some <= every for some, every in zip(shared, counts, strict=True))


def test_share_is_proportional():
    assert share((60000, 10000), 700) == (600, 100)
    assert share((60000, 10000), None) == (60000, 10000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_scaling_by_hand(dtype, monkeypatch):
    monkeypatch.setattr(scaling, "CHUNK", 64)
    values = np.random.default_rng(0).integers(0, 200, (50, 7, 3)).astype(dtype)
    rows = values.reshape(-1, 3).astype(np.float64)
    standard, minmax, none = (scaling.fit(values, kind) for kind in ("standard", "minmax", "none"))
    np.testing.assert_allclose(standard.offset, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(standard.scale, rows.std(0), rtol=1e-6)
    np.testing.assert_array_equal(minmax.offset, rows.min(0))
    np.testing.assert_array_equal(minmax.scale, np.ptp(rows, 0))
    np.testing.assert_array_equal(none.offset, 0)
    np.testing.assert_array_equal(none.scale, 255 if dtype == np.uint8 else 1)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_a_constant_column_gets_scale_one(kind):
    values = np.stack([np.full(100, 0.1, np.float32), np.arange(100, dtype=np.float32)], axis=1)
    fitted = scaling.fit(values, kind)
    assert fitted.scale[0] == 1
    np.testing.assert_allclose((values - fitted.offset)[:, 0] / fitted.scale[0], 0, atol=1e-7)
    assert fitted.scale[1] > 1


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_an_input_that_is_constant_in_training_tells_the_network_nothing_wherever_it_moves(kind, dtype):
    train = np.stack([np.full(100, 7), np.arange(100)], axis=1).astype(dtype)
    fitted = scaling.fit_inputs({"inputs": train}, kind)
    later = fitted.apply(np.array([[7, 5], [200, 5]], np.float32))
    assert abs(later[:, 0]).max() < 1e-20
    assert abs(later[0, 1]) > 0.01
    np.testing.assert_allclose(fitted.invert(np.array([[0.3, 0.0]])), [[7, fitted.offset[1]]])


def test_a_small_spread_on_a_large_offset_is_kept():
    values = 1e6 + np.random.default_rng(0).standard_normal((1000, 1))
    assert abs(scaling.fit(values, "standard").scale[0] - values.std()) < 1e-6
