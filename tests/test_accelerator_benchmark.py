"""The accelerator benchmark: its table, what it does where memory does not suffice, and its smallest cases."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from nnrun.models.blocks.convolution import framework_convolution, product_convolution
from tests.benchmarks import accelerator, accelerator_parts
from tests.benchmarks.accelerator_rows import HEAD, NO_MEMORY, Row, Way, digits, duration, failure, line, measure
from tests.benchmarks.cases import Case
from tests.benchmarks.sweep_cases import SWEEPS, Sweep

TINY = Case("MLP 3", "mlp", (4,), 2, (3,), 16, 8, 1.0)


def cells(row):
    return [cell.strip() for cell in row.text.strip("|").split("|")]


def once(work):
    """A turn of one repeat."""
    work()
    return [2.0]


def exhausted():
    raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte.\nmore lines")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1234.5, "1,234 s"), (100, "100 s"), (2, "2.00 s"), (0.0225, "22.5 ms"), (31e-6, "31.0 µs")],
)
def test_durations_have_the_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text


def test_three_digits_count():
    assert [digits(value) for value in (0.01234, 1.0, 99.0, 123456.7)] == ["0.0123", "1.00", "99.0", "123,457"]


def test_a_row_gives_median_spread_rate_and_ratio():
    row = Row("an epoch", "b", 0.5, [4.0, 1.0, 2.0], 100, "examples", [2.0, 0.5, 1.5])
    assert cells(row) == [
        "an epoch",
        "b",
        "500 ms",
        "2.00 s",
        "1.00 s to 4.00 s",
        "50.0 examples",
        "1.50 (0.50 to 2.00)",
    ]
    assert len(cells(row)) == len(HEAD)


def test_one_repeat_has_no_spread_and_a_note_stands_last():
    row = Row("a sweep", "cold", 1.0, [8.0], 16, "trials", note="1 group")
    assert cells(row) == ["a sweep", "cold", "1.00 s", "8.00 s", "", "2.00 trials", "1 group"]


def test_a_cell_does_not_end_early():
    assert line(["a|b", "two\nlines"]) == "| a/b | two lines |"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), NO_MEMORY),
        (JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), NO_MEMORY),
        (SystemExit("nnrun -m ended with 1:\nRESOURCE_EXHAUSTED: no"), NO_MEMORY),
        (JaxRuntimeError("INTERNAL: a fault\nand more"), "failed: JaxRuntimeError: INTERNAL: a fault"),
        (SystemExit(""), "failed: SystemExit: "),
    ],
)
def test_a_failure_fits_a_cell(error, text):
    assert failure(error) == text


def test_ways_take_turns_and_are_compared_with_the_first_of_the_same_work():
    order = []

    def way(what, name):
        return Way(what, name, lambda: (0.25, lambda: order.append(name) or 0.0), 6, "units")

    def turns(work):
        work()
        return [{"a": 1.0, "b": 3.0, "c": 5.0}[order[-1]]]

    rows = list(measure([way("one", "a"), way("one", "b"), way("other", "c")], 2, turns))
    assert order == ["a", "b", "c"] * 3
    assert [row.seconds for row in rows] == [[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]]
    assert [row.ratios for row in rows] == [[], [3.0, 3.0], []]
    assert {row.compiling for row in rows} == {0.25}


@pytest.mark.parametrize("calls", [0, 1, 2])
def test_a_way_that_finds_no_memory_is_a_cell_and_the_others_go_on(calls):
    """It fails while it is built, in its first call, or in the second of its turns."""
    left = [calls]

    def work():
        left[0] -= 1
        return exhausted() if left[0] < 0 else 0.0

    def build():
        return (0.0, work) if calls else exhausted()

    ways = [Way("one", "small", build, 1, "units"), Way("one", "large", lambda: (0.0, lambda: 0.0), 1, "units")]
    bad, good = measure(ways, 3, once)
    assert cells(bad) == ["one", "small", "", NO_MEMORY, "", "", ""]
    assert (good.seconds, good.ratios, good.failure) == ([2.0] * 3, [], "")


def test_what_is_no_fault_of_the_device_is_not_hidden():
    def build():
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        list(measure([Way("one", "a", build, 1, "units")], 1, once))


def test_a_run_and_a_group_train_an_epoch_at_a_time(monkeypatch):
    runs, epoch = [], accelerator_parts.epoch
    monkeypatch.setattr(accelerator_parts, "epoch", lambda run: runs.append(run) or epoch(run))
    ways = [
        accelerator_parts.trained("an epoch", "single", TINY),
        Way("a group", "vmap", lambda: accelerator_parts.group(TINY, 3, "vmap"), 3 * TINY.examples, "examples"),
    ]
    one, three = measure(ways, 1, once)
    assert (one.failure, three.failure, one.amount, three.amount) == ("", "", 16, 48)
    single, group = runs
    # Warmed up and given one turn, they have trained two epochs.
    assert single.position == group.position == 2 * single.train_steps == 4
    assert (group.members, group.placement.batching) == (3, "vmap")


def test_a_precision_is_that_of_the_run():
    run = accelerator_parts.single(TINY, "training.precision=bfloat16")
    assert run.compiled.static.training.precision == "bfloat16"


@pytest.mark.parametrize(("shape", "window"), [((2, 6, 6, 3), (3, 3)), ((2, 9, 3), (5,))])
def test_both_convolutions_do_the_same_work(shape, window):
    around = [((extent - 1) // 2, extent // 2) for extent in window]
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (*window, shape[-1], 4))
    both = [form(x, kernel, (1,) * len(window), around) for form in (framework_convolution, product_convolution)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)
    assert both[0].shape == (*shape[:-1], 4)
    _, work = accelerator_parts.convolved(product_convolution, shape, window, 4)
    assert work() == 0.0


def test_the_head_names_device_versions_and_date(monkeypatch):
    monkeypatch.setattr(accelerator, "answers", lambda *_: iter([accelerator_parts.head(True)]))
    top, note, table = accelerator.heading(None, True).split("\n\n")
    assert top.startswith("2 x CPU (cpu), ")
    assert f"jax {jax.__version__}" in top
    assert "16 and 64 trials instead of 256 and 4,096" in note
    assert table.splitlines()[0] == line(HEAD)


def test_a_process_that_dies_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerator.sys, "executable", "false")
    (row,) = accelerator.rows("batching", tmp_path, True)
    assert cells(row) == ["batching", "", "", "ended with 1:", "", "", ""]


def test_a_sweep_is_one_group_and_its_failure_a_cell(tmp_path, monkeypatch):
    sweep = replace(SWEEPS["mlp"], trials=7, epochs=1)
    asked: list[Sweep] = []

    def nnrun(sweep, *_):
        asked.append(sweep)
        raise SystemExit("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(accelerator.sweeps, "nnrun", nnrun)
    row = accelerator.whole(sweep, tmp_path, 0)
    assert "execution.chunk=7" in asked[0].command(None)
    assert cells(row)[1:4] == ["nothing compiled before", "", NO_MEMORY]
    assert cells(row)[0].startswith("sweep of 7 trials, 1 epoch, everything included")


def test_a_sweep_that_failed_is_not_tried_again(tmp_path, monkeypatch):
    tried = []

    def whole(sweep, folder, i):
        tried.append(sweep.trials)
        return Row("sweep", str(i), 1.0 + i, [2.0 + i], failure=NO_MEMORY if sweep.trials == 64 else "")

    monkeypatch.setattr(accelerator, "whole", whole)
    small, again, large = accelerator.swept(tmp_path, True)
    assert tried == [16, 64, 16]
    assert (small.seconds, again.seconds, again.compiling) == ([2.0], [3.0], 2.0)
    assert large.failure == NO_MEMORY
    with np.load(tmp_path / "digits_like.npz") as file:
        assert {name: file[name].shape for name in file} == {"inputs": (1797, 64), "targets": (1797,)}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("batching", {"`execution.batching=vmap`", "`execution.batching=map`"}),
        ("convolution", {"framework's `lax.conv_general_dilated`", "ours"}),
        ("precision", {"`training.precision=float32`", "`training.precision=bfloat16`"}),
        ("single", {"single run"}),
    ],
)
def test_every_part_lists_its_ways_side_by_side(part, names, quick, monkeypatch):
    """Nothing is built here: what is compared has the same name and the same amount of work."""
    monkeypatch.setattr(
        accelerator_parts, "measure", lambda ways, _: [Row(way.what, way.name, amount=way.amount) for way in ways]
    )
    amounts: dict[str, dict[str, float]] = {}
    for row in accelerator_parts.PARTS[part](quick):
        amounts.setdefault(row.what, {})[row.way] = row.amount
    assert amounts
    for ways in amounts.values():
        assert set(ways) == names
        assert len(set(ways.values())) == 1
