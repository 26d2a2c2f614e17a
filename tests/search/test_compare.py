"""Grid and random search side by side."""

from nnrun.search.compare import Compare, CompareConfig
from nnrun.search.space import Categorical, Interval, Space

SPACE = Space(
    {
        "rate": Interval(1e-4, 1e-1, log=True),
        "decay": Interval(0.0, 0.3),
        "units": Interval(2, 8, integer=True),
        "kind": Categorical(("a", "b")),
    }
)


def test_the_grid_comes_first_then_as_many_random_points_per_repeat():
    search = Compare(CompareConfig(points=2, repeats=3), SPACE)
    points = search.ask(10**6)
    assert len(points) == 16 * 4
    assert [search.label(n) for n in (0, 15, 16, 31, 32, 63)] == [
        *("grid", "grid", "random, seed 0", "random, seed 0", "random, seed 1", "random, seed 2")
    ]
    assert {p["rate"] for p in points[:16]} == {1e-4, 1e-1}
    assert {p["units"] for p in points[:16]} == {2, 8}
    assert len({p["rate"] for p in points[16:32]}) == 16
    assert search.ask(1) == []


def test_values_of_a_grid_are_evenly_spaced_by_size_or_by_ratio():
    points = Compare(CompareConfig(points=4), SPACE).ask(128)
    rates = sorted({p["rate"] for p in points})
    assert [f"{rate:.3g}" for rate in rates] == ["0.0001", "0.001", "0.01", "0.1"]
    assert sorted({f"{p['decay']:.3g}" for p in points}) == ["0", "0.1", "0.2", "0.3"]
    assert sorted({p["units"] for p in points}) == [2, 4, 6, 8]


def test_going_on_asks_for_what_was_not_asked():
    whole = Compare(CompareConfig(points=2, repeats=2), SPACE).ask(48)
    again = Compare(CompareConfig(points=2, repeats=2), SPACE)
    again.restore(whole[:21])
    assert again.ask(100) == whole[21:]


def test_searches_are_as_large_and_told_apart_where_draws_repeat_points():
    space = Space({"units": Interval(1, 40, integer=True)})
    search = Compare(CompareConfig(points=6, repeats=3), space)
    points = search.ask(10**6)
    assert len({p["units"] for p in points}) == len(points) == 24
    labels = [search.label(number) for number in range(24)]
    assert labels == [name for name in ("grid", *(f"random, seed {i}" for i in range(3))) for _ in range(6)]
    again = Compare(CompareConfig(points=6, repeats=3), space)
    again.restore(points)
    assert [again.label(number) for number in range(24)] == labels
