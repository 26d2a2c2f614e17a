"""Random search: how evenly its sequences fill a space, how it ends, and what it costs."""

import time

import numpy as np
import pytest

from nnrun.errors import ConfigError
from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Interval, Space, Steps

SQUARE = Space({"x": Interval(0.0, 1.0), "y": Interval(0.0, 1.0)})


def rows(sequence, count, seed=0):
    points = Random(RandomConfig(sequence=sequence, trials=count, seed=seed), SQUARE).ask(count)
    return np.array([list(point.values()) for point in points])


def test_a_latin_hypercube_has_a_draw_in_every_row_and_column():
    for column in rows("latin_hypercube", 16).T:
        assert sorted((column * 16).astype(int)) == list(range(16))


def test_sobol_and_halton_fill_the_square_more_evenly_than_chance():
    def emptiest(sequence):
        """The mean, over seeds, of empty cells of an 8 by 8 board after 64 draws."""
        filled = [len({tuple(cell) for cell in (rows(sequence, 64, seed) * 8).astype(int)}) for seed in range(5)]
        return 64 - np.mean(filled)

    assert emptiest("sobol") < 0.5 * emptiest("uniform")
    assert emptiest("halton") < 0.8 * emptiest("uniform")


def test_whole_numbers_and_categories_are_equally_likely():
    space = Space({"n": Interval(1, 4, integer=True), "c": Categorical(("a", "b")), "x": Interval(0.0, 1.0)})
    points = Random(RandomConfig(trials=4000), space).ask(4000)
    counts = [sum(p["n"] == n for p in points) for n in (1, 2, 3, 4)] + [2 * sum(p["c"] == "a" for p in points) // 4]
    assert all(880 < count < 1120 for count in counts)


def test_draws_do_not_depend_on_how_many_are_asked_for_at_once():
    one, all_at_once = (Random(RandomConfig(trials=150), SQUARE) for _ in range(2))
    assert [one.ask(1)[0] for _ in range(150)] == all_at_once.ask(150)


def test_more_trials_after_a_restart_go_on_with_the_same_draws():
    whole = Random(RandomConfig(trials=30), SQUARE).ask(30)
    raised = Random(RandomConfig(trials=30), SQUARE)
    raised.restore(whole[:16])
    assert raised.ask(14) == whole[16:]


def test_a_large_finite_space_ends_when_every_point_was_drawn():
    space = Space({"a": Steps(0, 1, 70), "b": Steps(0.0, 0.5, 30)})
    assert len(Random(RandomConfig(trials=10_000), space).ask(10_000)) == 2100


def test_thousands_of_trials_take_well_under_a_second():
    space = Space({f"x{i}": Interval(1e-4, 1.0, log=True) for i in range(8)})
    searching = Random(RandomConfig(trials=4096), space)
    start = time.process_time()
    assert len(searching.ask(4096)) == 4096
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("sequence", "space", "reason"),
    [
        ("latin_hypercube", Space({"a": Steps(1, 1, 2)}), "a Latin hypercube is made for a number of trials"),
        ("uniform", SQUARE, "an interval has no end of values"),
    ],
)
def test_the_number_of_trials_is_asked_for_where_it_is_needed(sequence, space, reason):
    with pytest.raises(ConfigError) as caught:
        Random(RandomConfig(sequence=sequence, trials=None), space)
    assert str(caught.value) == (
        f"search.trials must be an integer here, since {reason}, but got null. Set search.trials=16."
    )
