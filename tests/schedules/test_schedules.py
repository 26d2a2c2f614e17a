"""Every schedule against its formula, and against PyTorch or optax where the two agree."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nnrun.schema import build, config_class, locate

CLASSES = {
    "constant": "Constant",
    "step": "Step",
    "exponential": "Exponential",
    "cosine": "Cosine",
    "warmup_cosine": "WarmupCosine",
    "one_cycle": "OneCycle",
    "reduce_on_plateau": "ReduceOnPlateau",
}
GRID = np.linspace(0, 1, 41)


def target(name):
    return f"nnrun.schedules.{name}.{CLASSES[name]}"


def make(name, **values):
    return locate(target(name))(build("schedule", {"_target_": target(name), **values}))


def factors(schedule, progress=GRID):
    with jax.enable_x64(True):
        return np.array([schedule.factor(jnp.float64(p), schedule.initial()) for p in progress])


def half_cosine(start, end, p):
    return end + (start - end) * (1 + math.cos(math.pi * p)) / 2


def step(p, every, factor):
    return factor ** math.floor(p / every + 1e-6)


def warmup_cosine(p, warmup, final):
    return p / warmup if p < warmup else half_cosine(1, final, (p - warmup) / (1 - warmup))


def one_cycle(p, warmup, start, final):
    return half_cosine(start, 1, p / warmup) if p < warmup else half_cosine(1, final, (p - warmup) / (1 - warmup))


CASES = [
    ("constant", {}, lambda p: 1.0),
    ("step", {}, lambda p: step(p, 0.3, 0.1)),
    ("step", {"every": 0.1, "factor": 0.5}, lambda p: step(p, 0.1, 0.5)),
    ("exponential", {"final": 0.01}, lambda p: 0.01**p),
    ("cosine", {"final": 0.0}, lambda p: half_cosine(1, 0, p)),
    ("cosine", {"final": 0.2}, lambda p: half_cosine(1, 0.2, p)),
    ("warmup_cosine", {"warmup": 0.0}, lambda p: warmup_cosine(p, 0.0, 0.0)),
    ("warmup_cosine", {"warmup": 0.25, "final": 0.1}, lambda p: warmup_cosine(p, 0.25, 0.1)),
    ("one_cycle", {}, lambda p: one_cycle(p, 0.3, 1 / 25, 1e-4)),
    ("one_cycle", {"warmup": 0.5, "start": 0.2, "final": 0.0}, lambda p: one_cycle(p, 0.5, 0.2, 0.0)),
]


@pytest.mark.parametrize(("name", "values", "formula"), CASES)
def test_factors_follow_the_formula(name, values, formula):
    np.testing.assert_allclose(factors(make(name, **values)), [formula(p) for p in GRID], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "values", "formula"), CASES)
def test_traced_numbers_give_the_same_factors_in_one_program(name, values, formula):
    config = build("schedule", {"_target_": target(name), **values})
    traces = []

    @jax.jit
    def program(traced, progress):
        traces.append(1)
        schedule = locate(target(name))(dataclasses.replace(config, **traced))
        return jax.vmap(lambda p: jnp.float32(schedule.factor(p, schedule.initial())))(progress)

    traced = {field.name: jnp.float32(getattr(config, field.name)) for field in dataclasses.fields(config)}
    found = program(traced, jnp.float32(GRID))
    np.testing.assert_allclose(found, [formula(p) for p in GRID], rtol=1e-5, atol=1e-6)
    program(jax.tree.map(lambda x: x * 0.9, traced), jnp.float32(GRID))
    assert len(traces) == 1


@pytest.mark.parametrize("name", CLASSES)
def test_every_number_is_traced_and_bounded(name):
    for field in dataclasses.fields(config_class(target(name))):
        assert field.metadata["traced"]
        assert {"above", "least"} & set(field.metadata)
        assert field.metadata["help"]


def test_a_drop_at_a_third_of_three_hundred_steps_falls_on_step_one_hundred():
    schedule = make("step", every=1 / 3)
    found = [float(schedule.factor(jnp.float32(s) / 300, ())) for s in (99, 100, 199, 200, 299)]
    np.testing.assert_allclose(found, [1, 0.1, 0.1, 0.01, 0.01], rtol=1e-6)


def test_cosines_are_those_of_optax():
    total = 40
    progress = np.arange(total + 1) / total
    theirs = optax.cosine_decay_schedule(1.0, total, alpha=0.1)
    np.testing.assert_allclose(factors(make("cosine", final=0.1), progress), theirs(np.arange(41)), rtol=1e-5)
    warm = optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, total, 0.1)
    ours = factors(make("warmup_cosine", warmup=0.25, final=0.1), progress)
    np.testing.assert_allclose(ours, warm(np.arange(41)), rtol=1e-5, atol=1e-7)


def torch_rates(torch, make_scheduler, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, rates = make_scheduler(torch.optim.lr_scheduler, optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_rates_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    total, progress = 41, np.arange(41) / 40
    cycle = torch_rates(torch, lambda kinds, o: kinds.OneCycleLR(o, 1.0, total, pct_start=13 / 41), total)
    ours = factors(make("one_cycle", warmup=12 / 40, final=1 / 25e4), progress)
    np.testing.assert_allclose(ours, cycle, rtol=1e-9)
    cosine = torch_rates(torch, lambda kinds, o: kinds.CosineAnnealingLR(o, 40, eta_min=0.1), total)
    np.testing.assert_allclose(factors(make("cosine", final=0.1), progress), cosine, rtol=1e-9)
    drops = torch_rates(torch, lambda kinds, o: kinds.StepLR(o, 10, 0.5), total)
    np.testing.assert_allclose(factors(make("step", every=0.25, factor=0.5), progress), drops, rtol=1e-9)
    decay = torch_rates(torch, lambda kinds, o: kinds.ExponentialLR(o, 0.01 ** (1 / 40)), total)
    np.testing.assert_allclose(factors(make("exponential"), progress), decay, rtol=1e-9)


def plateau(values, **settings):
    """Factors after each of the epochs with these objective values."""
    schedule = make("reduce_on_plateau", **settings)
    observe = jax.jit(schedule.observe)
    memory, found = schedule.initial(), []
    for value in values:
        memory = observe(memory, jnp.float32(value))
        found.append(float(schedule.factor(jnp.float32(0.5), memory)))
    return found


def test_plateau_drops_after_more_than_patience_epochs_without_improvement():
    values = [1.0, 0.9, 0.95, 0.9, 0.91, 0.8, 0.8, 0.8, 0.8]
    np.testing.assert_allclose(plateau(values, patience=2), [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01], rtol=1e-6)


def test_plateau_counts_nan_as_no_improvement_and_stops_at_the_minimum():
    found = plateau([math.nan] * 3 + [1.0, math.nan, math.nan], patience=0, minimum=0.05)
    np.testing.assert_allclose(found, [0.1, 0.05, 0.05, 0.05, 0.05, 0.05], rtol=1e-6)


def test_plateau_threshold_is_relative_for_either_sign():
    assert plateau([1.0, 0.95], patience=0, threshold=0.1) == pytest.approx([1, 0.1])
    assert plateau([1.0, 0.85], patience=0, threshold=0.1) == pytest.approx([1, 1])
    assert plateau([-1.0, -1.05], patience=0, threshold=0.1) == pytest.approx([1, 0.1])
    assert plateau([-1.0, -1.15], patience=0, threshold=0.1) == pytest.approx([1, 1])
    assert plateau([math.inf, 5.0, 5.0], patience=0) == pytest.approx([0.1, 0.1, 0.01])


def test_plateau_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).uniform(0.5, 1.0, 60) + np.linspace(0.3, 0, 60)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, eps=0)
    rates = []
    for value in values:
        optimizer.step()
        scheduler.step(np.float32(value))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[-1] < 0.2
    np.testing.assert_allclose(plateau(values, factor=0.5, patience=3), rates, rtol=1e-6)


def test_plateau_memory_keeps_its_types_under_traced_numbers():
    config = build("schedule", {"_target_": target("reduce_on_plateau")})

    def after(patience, factor):
        schedule = locate(target("reduce_on_plateau"))(dataclasses.replace(config, patience=patience, factor=factor))
        return jax.lax.fori_loop(0, 7, lambda _, m: schedule.observe(m, jnp.float32(1)), schedule.initial())

    memory = jax.jit(jax.vmap(after))(jnp.float32([2, 5, 9]), jnp.float32([0.5, 0.1, 0.1]))
    np.testing.assert_allclose(memory.factor, [0.25, 0.1, 1.0], rtol=1e-6)
    assert memory.bad_epochs.dtype == jnp.int32
