"""Grid search: the order, and what it says of intervals."""

import itertools

import pytest

from nnrun.errors import ConfigError
from nnrun.search.grid import Grid, GridConfig
from nnrun.search.space import Categorical, Interval, Space, Steps


def test_the_last_dimension_varies_fastest():
    space = Space({"a": Categorical(("y", "x")), "b": Steps(0.5, 0.25, 2), "c": Categorical((3, 1, 2))})
    points = Grid(GridConfig(), space).ask(100)
    assert [tuple(p.values()) for p in points] == list(itertools.product(("y", "x"), (0.5, 0.75), (3, 1, 2)))


def test_a_huge_product_is_made_only_as_far_as_it_is_asked_for():
    space = Space({f"x{i}": Steps(0, 1, 1000) for i in range(5)})
    assert Grid(GridConfig(), space).ask(2) == [dict.fromkeys(space, 0), {**dict.fromkeys(space, 0), "x4": 1}]


@pytest.mark.parametrize(
    ("interval", "written", "steps", "choice"),
    [
        (
            Interval(0.0001, 0.1, log=True),
            "tag(log,interval(0.0001,0.1))",
            "range(0.0001,0.1,0.01)",
            "choice(0.0001,0.001,0.01,0.1)",
        ),
        (Interval(0, 0.5), "interval(0,0.5)", "range(0,0.5,0.06)", "choice(0,0.17,0.33,0.5)"),
        (Interval(16, 512, integer=True), "int(interval(16,512))", "range(16,513,62)", "choice(16,181,347,512)"),
        (Interval(1, 2, integer=True), "int(interval(1,2))", "range(1,3,1)", "choice(1,2)"),
        (
            Interval(8, 64, log=True, integer=True),
            "tag(log,int(interval(8,64)))",
            "range(8,65,7)",
            "choice(8,16,32,64)",
        ),
    ],
)
def test_an_interval_is_answered_with_the_users_numbers(interval, written, steps, choice):
    with pytest.raises(ConfigError) as caught:
        Grid(GridConfig(), Space({"seed": Categorical((1, 2)), "model.rate": interval}))
    assert str(caught.value) == (
        f"search=grid tries values that can be listed, but model.rate is {written}. Set for example "
        f"'model.rate={steps}' or 'model.rate={choice}', or draw from the interval with search=random."
    )
