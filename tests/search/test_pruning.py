"""Which trials leave, by curves that are made up: places, budgets, and the same answer whenever one asks."""

import math

import numpy as np
import pytest

from nnrun.search.pruning.asha import Asha
from nnrun.search.pruning.base import Contender, ordinal
from nnrun.search.pruning.hyperband import Hyperband
from nnrun.search.pruning.median import Median
from nnrun.search.pruning.rules import RULES
from nnrun.search.pruning.successive_halving import SuccessiveHalving


def trained(rule, curves):
    """Trains all trials in lockstep as the rule lets them; the epochs that each had, and the last words on each."""
    epochs = len(curves[0])
    length, reasons = dict.fromkeys(range(len(curves)), epochs), {}
    for k, rung in enumerate(rule.rungs(epochs)):
        contenders = [
            Contender(i, curve[: min(rung, length[i])], epochs, "left" if i in reasons else "open")
            for i, curve in enumerate(curves)
        ]
        for number, place in rule.losers(k, contenders).items():
            assert number not in reasons
            length[number], reasons[number] = rung, place
    return list(length.values()), reasons


def falling(count, epochs, seed=0):
    """Curves that fall towards levels of their own and keep their order, the best one last."""
    levels = np.sort(np.random.default_rng(seed).uniform(0.1, 1, count))[::-1]
    return [[float(level + 1 / epoch) for epoch in range(1, epochs + 1)] for level in levels]


@pytest.mark.parametrize(
    ("first", "rungs", "share"), [(None, [3, 9], 0.259), (1, [1, 3, 9], 0.111), (2, [2, 6, 18], 0.185)]
)
def test_halving_spends_what_its_rungs_say_and_keeps_the_best(first, rungs, share):
    rule = SuccessiveHalving(first, 3)
    assert rule.rungs(27) == rungs
    length, reasons = trained(rule, falling(243, 27))
    assert sum(length) / (243 * 27) == pytest.approx(share, abs=1e-3)
    assert length[-1] == 27
    assert sorted(length) == length
    assert reasons[0] == "243rd of 243"
    assert length.count(27) == 243 // 3 ** len(rungs)


def test_one_trial_always_goes_on():
    for rule in (SuccessiveHalving(1, 3), Asha(1, 3)):
        length, _ = trained(rule, falling(2, 9))
        assert length == [1, 9]


def test_equal_costs_leave_by_number():
    length, _ = trained(SuccessiveHalving(1, 2), [[1.0, 1.0]] * 4)
    assert length == [2, 2, 1, 1]


def test_the_best_epoch_so_far_counts_and_the_undefined_one_does_not():
    spoilt, flat, lost = [0.1, 9.0, 9.0], [0.5, 0.5, 0.5], [math.nan, math.nan, math.nan]
    length, _ = trained(SuccessiveHalving(2, 2), [lost, flat, spoilt, flat])
    assert length == [2, 3, 3, 2]


def test_a_trial_that_ended_by_itself_keeps_its_place():
    early = Contender(0, [0.1], 9, "completed")
    others = [Contender(i, [0.2 * i] * 3, 9) for i in (1, 2, 3, 4, 5)]
    assert SuccessiveHalving(3, 3).losers(0, [early, *others]).keys() == {2, 3, 4, 5}


def test_who_has_not_reached_the_rung_is_not_judged():
    slow, fast = Contender(0, [5.0], 9), [Contender(i, [i, i], 9) for i in (1, 2, 3)]
    assert SuccessiveHalving(2, 2).losers(0, [slow, *fast]).keys() == {3}
    assert Asha(2, 3).losers(0, [slow, *fast]) == {2: "2nd of 3", 3: "3rd of 3"}


def test_hyperband_deals_the_textbooks_brackets():
    rule = Hyperband(None, 3)
    assert rule.rungs(27) == [1, 3, 9]
    # Li et al. 2018, section 3: n = ceil(4 / (s + 1) * 3^s) for s = 3, 2, 1, 0.
    assert rule.sizes(3) == [27, 12, 6, 4]
    assert [rule.bracket(number, 3) for number in (0, 26, 27, 38, 39, 44, 45, 48, 49)] == [0, 0, 1, 1, 2, 2, 3, 3, 0]
    length, _ = trained(rule, falling(49, 27)[::-1])
    assert [length[:27].count(epoch) for epoch in (1, 3, 9, 27)] == [18, 6, 2, 1]
    assert [length[27:39].count(epoch) for epoch in (3, 9, 27)] == [8, 3, 1]
    assert [length[39:45].count(epoch) for epoch in (9, 27)] == [4, 2]
    assert length[45:] == [27] * 4
    assert sum(length) / (49 * 27) == pytest.approx(0.27, abs=0.001)


def test_the_median_rule_lets_half_go_at_first_and_few_later():
    length, _ = trained(Median(1, 3), falling(101, 27))
    assert length.count(1) == 50
    assert min(length[50:]) == 27
    assert trained(Median(1, 3), falling(4, 27))[0] == [27] * 4


def test_a_trial_that_gets_worse_than_the_median_leaves_then():
    stuck = [0.5] * 6
    others = [[1.0, 0.9, 0.4, 0.3, 0.2, 0.1]] * 5
    length, reasons = trained(Median(1, 3), [*others, stuck])
    assert length[-1] == 3
    assert reasons == {5: "6th of 6"}


@pytest.mark.parametrize("name", RULES)
def test_what_came_later_changes_no_answer(name):
    """After a kill the ledger may know more of a group than the state that it goes on from."""
    rule, curves = RULES[name](1, 3), falling(30, 9)
    rng = np.random.default_rng(1)
    curves = [list(np.array(curve) * rng.uniform(0.9, 1.1, 9)) for curve in curves]
    length, reasons = trained(rule, curves)
    for k, rung in enumerate(rule.rungs(9)):
        later = [
            Contender(i, curve[: length[i]], 9, "left" if i in reasons and length[i] <= rung else "open")
            for i, curve in enumerate(curves)
        ]
        before = [i for i in reasons if length[i] < rung]
        answers = rule.losers(
            k, [one if one.number in before else Contender(one.number, one.costs, 9) for one in later]
        )
        assert {number for number in answers if number not in before} == {i for i in reasons if length[i] == rung}


def test_places_are_said_in_words():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )
