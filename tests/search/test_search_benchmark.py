"""The benchmark of the strategies: its optima are optima, and recorded surfaces are read back."""

import numpy as np
import pytest

from nnrun.search.random import Random, RandomConfig
from nnrun.search.space import Categorical, Interval
from tests.benchmarks.search_objectives import objectives, recorded

BEST = {
    "branin": {"x": np.pi, "y": 2.275},
    "hartmann6": {"x0": 0.20169, "x1": 0.150011, "x2": 0.476874, "x3": 0.275332, "x4": 0.311652, "x5": 0.6573},
    "levy4": dict.fromkeys(("x0", "x1", "x2", "x3"), 1.0),
    "ackley4": dict.fromkeys(("x0", "x1", "x2", "x3"), 0.0),
    "recipe": {"rate": 10**-2.80103, "width": 256, "depth": 3, "optimizer": "adam"},
    "mixture": {"kind": "b", "x": 0.45, "n": 7, "m": 32, "s": 0.3, "flag": True},
    "valley": {"learning_rate": 0.277, "momentum": 0.0, "weight_decay": 1e-4},
}
TABLE = "rate:log,width:int,kind:choice,value\n1e-3,8,a,3.0\n1e-1,8,a,1.0\n1e-3,16,b,2.0\n1e-1,16,b,nan\n"


@pytest.mark.parametrize("objective", objectives(), ids=lambda objective: objective.name)
def test_no_draw_is_below_the_optimum_and_the_best_point_reaches_it(objective):
    draws = Random(RandomConfig(trials=500), objective.space).ask(500)
    assert min(map(objective.function, draws)) >= objective.optimum - 1e-6
    best = BEST.get(objective.name.removesuffix("_noisy"))
    assert best is None or objective.function(best) == pytest.approx(objective.optimum, abs=1e-3)


def test_a_recorded_surface_gives_back_its_trials_and_lies_between_them_elsewhere(tmp_path):
    (tmp_path / "digits.csv").write_text(TABLE)
    surface = recorded(tmp_path / "digits.csv")
    assert surface.space.dimensions == {
        "rate": Interval(1e-3, 1e-1, log=True),
        "width": Interval(8, 16, integer=True),
        "kind": Categorical(("a", "b")),
    }
    assert surface.function({"rate": 1e-1, "width": 8, "kind": "a"}) == pytest.approx(1.0, abs=1e-4)
    assert surface.function({"rate": 1e-1, "width": 16, "kind": "b"}) == pytest.approx(3.0, abs=1e-4)
    assert 1.0 < surface.function({"rate": 1e-2, "width": 8, "kind": "a"}) < 3.0
    assert (surface.name, surface.optimum) == ("digits", 1.0)
