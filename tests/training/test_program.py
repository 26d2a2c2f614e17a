"""The compiled core against a loop written out by hand, and what may not change its numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.config.run_config import as_arrays
from nnrun.datasets.base import DataSpec
from nnrun.tasks.base import ArrayScaling
from nnrun.training.network import split, weight_names
from nnrun.training.program import Program
from nnrun.training.state import Fitted

EXAMPLES, BATCH, STEPS = 22, 3, 8
SPEC = DataSpec("table", (4,), (), "classification", classes=3)
FITTED = Fitted(ArrayScaling(jnp.arange(4.0), jnp.full(4, 2.0)), None)
QUICK = {"xla_backend_optimization_level": "0"}
"""Programs of a few steps are worth no optimization."""
SMALL = {"model.hidden_sizes": [5], "training.batch_size": BATCH, "training.epochs": 4}


def compiled(function):
    return jax.jit(function, compiler_options=QUICK)


@pytest.fixture(scope="module")
def part():
    rng = np.random.default_rng(0)
    inputs = rng.normal(1.0, 2.0, (EXAMPLES, 4)).astype(np.float32)
    return {"inputs": jnp.asarray(inputs), "targets": jnp.asarray(rng.integers(0, 3, EXAMPLES), jnp.int32)}


@pytest.fixture(scope="module")
def trained(make_config, part):
    """Trains `count` steps and gives (initial state, final state); programs of one static config are compiled once."""
    programs = {}

    def train(values=(), count=STEPS, state=None, copied=False, **choices):
        static, traced = make_config(SMALL | dict(values), dataset="iris", **choices).split()
        if (static, copied) not in programs:
            program = Program(static, SPEC, EXAMPLES, copied=copied)
            programs[static, copied] = compiled(program.init), compiled(program.steps)
        init, steps = programs[static, copied]
        numbers = as_arrays(traced)
        initial = state = init(numbers, FITTED) if state is None else state
        while count:
            stretch = min(count, STEPS - int(state.step) % STEPS)
            state, count = steps(numbers, state, part, np.int32(stretch)), count - stretch
        return initial, state

    return train


def hand_written(initial, part, step_count, rate=1e-3, seed=0):
    """Adam on a perceptron with one hidden layer, batches in the order that the seed and the epoch give."""
    x, labels = (part["inputs"] - jnp.arange(4.0)) / 2, part["targets"]
    params = initial.weights.params
    params, structure = jax.tree.flatten(initial.weights.params)
    params = [np.asarray(leaf) for leaf in params]
    mean, square = ([np.zeros_like(p) for p in params] for _ in range(2))

    def loss(leaves, batch):
        p = jax.tree.unflatten(structure, leaves)
        hidden = p["hidden"]["dense"][0]
        units = jax.nn.relu(x[batch] @ hidden["kernel"] + hidden["bias"])
        logits = units @ p["head"]["kernel"] + p["head"]["bias"]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[batch][:, None], 1).mean()

    value_and_gradient, total = compiled(jax.value_and_grad(loss)), 0.0
    for step in range(step_count):
        epoch, start = step // STEPS, step % STEPS * BATCH
        order = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch), EXAMPLES)
        batch = np.asarray(order)[start : start + BATCH]
        value, gradient = jax.device_get(value_and_gradient(params, batch))
        total += float(value) * len(batch)
        for i, g in enumerate(gradient):
            mean[i] = 0.9 * mean[i] + 0.1 * g
            square[i] = 0.999 * square[i] + 0.001 * g * g
            m, v = mean[i] / (1 - 0.9 ** (step + 1)), square[i] / (1 - 0.999 ** (step + 1))
            params[i] = params[i] - rate * m / (np.sqrt(v) + 1e-8)
    return params, total


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_equal(first, second):
    for one, other in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("copied", [False, True])
def test_an_epoch_equals_a_loop_written_by_hand(trained, part, copied):
    initial, state = trained(count=2 * STEPS, copied=copied)
    params, total = hand_written(initial, part, 2 * STEPS)
    for ours, theirs in zip(leaves(state.weights.params), params, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    assert float(state.sums.loss) == pytest.approx(total, rel=1e-6)


def test_every_example_counts_once_although_the_batch_size_does_not_divide(trained):
    _, state = trained()
    assert float(state.sums.examples) == EXAMPLES
    assert int(state.step) == STEPS


@pytest.mark.parametrize("copied", [False, True])
def test_stretches_of_any_length_give_the_same_bits(trained, copied):
    values = {"model.dropout": 0.3}
    _, whole = trained(values, 7)
    _, first = trained(values, 3, copied=copied)
    _, pieces = trained(values, 4, state=first, copied=copied)
    assert_equal(whole, pieces)


def test_new_numbers_change_the_result_but_compile_nothing(make_config, part):
    traces = []
    static, _ = make_config(SMALL | {"model.dropout": 0.1}, dataset="iris").split()
    program = Program(static, SPEC, EXAMPLES)

    def counted(*arguments):
        traces.append(1)
        return program.steps(*arguments)

    init, steps = compiled(program.init), compiled(counted)
    results = []
    for seed, rate, dropout in ((0, 1e-3, 0.1), (0, 1e-2, 0.1), (0, 1e-3, 0.5), (7, 1e-3, 0.1)):
        values = SMALL | {"seed": seed, "optimizer.learning_rate": rate, "model.dropout": dropout}
        same, traced = make_config(values, dataset="iris").split()
        assert same == static
        numbers = as_arrays(traced)
        results.append(steps(numbers, init(numbers, FITTED), part, np.int32(STEPS)))
    assert len(traces) == 1
    assert len({float(state.sums.loss) for state in results}) == 4
    assert float(results[1].sums.learning_rate) == pytest.approx(1e-2)


def test_a_group_of_trials_is_the_same_program_mapped(make_config, part):
    configs = [make_config(SMALL | {"seed": i, "optimizer.learning_rate": 10.0**-i}, dataset="iris") for i in (1, 2)]
    (static, first), (_, second) = (config.split() for config in configs)
    program, numbers = Program(static, SPEC, EXAMPLES), [as_arrays(traced) for traced in (first, second)]
    stacked = jax.tree.map(lambda *values: np.stack(values), *numbers)
    states = compiled(lambda every: jax.lax.map(lambda one: program.init(one, FITTED), every))(stacked)
    group = compiled(jax.vmap(program.steps, in_axes=(0, 0, None, None)))(stacked, states, part, np.int32(STEPS))
    init, steps = compiled(program.init), compiled(program.steps)
    alone = [steps(one, init(one, FITTED), part, np.int32(STEPS)) for one in numbers]
    np.testing.assert_allclose(group.sums.loss, [state.sums.loss for state in alone], rtol=1e-5)


def kernels_and_biases(before, after):
    for old, new in zip(leaves(before.weights.params), leaves(after.weights.params), strict=True):
        yield old, new, old.ndim > 1


def test_weight_decay_pulls_kernels_and_leaves_biases(trained):
    values = {"optimizer.learning_rate": 0.1, "optimizer.weight_decay": 0.5}
    initial, decayed = trained(values, 1, optimizer="sgd")
    _, plain = trained({**values, "optimizer.weight_decay": 0.0}, 1, optimizer="sgd")
    pairs = zip(kernels_and_biases(initial, decayed), leaves(plain.weights.params), strict=True)
    for (start, with_decay, is_kernel), without in pairs:
        expected = without - 0.1 * 0.5 * start if is_kernel else without
        np.testing.assert_allclose(with_decay, expected, rtol=0, atol=1e-6)


def step_length(initial, state):
    return float(np.sqrt(sum(((new - old) ** 2).sum() for old, new, _ in kernels_and_biases(initial, state))))


def test_the_norm_of_the_gradient_is_clipped_and_its_direction_kept(trained):
    values = {"optimizer.learning_rate": 1.0}
    initial, free = trained(values, 1, optimizer="sgd")
    norm = step_length(initial, free)
    _, clipped = trained({**values, "training.gradient_clip": norm / 4}, 1, optimizer="sgd")
    assert step_length(initial, clipped) == pytest.approx(norm / 4, rel=1e-5)
    _, untouched = trained({**values, "training.gradient_clip": norm * 4}, 1, optimizer="sgd")
    for one, other in zip(leaves(untouched.weights), leaves(free.weights), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


def test_only_the_trainable_weights_learn(trained):
    initial, state = trained({"training.trainable": ["head.*"]})
    assert_equal(initial.weights.params["hidden"], state.weights.params["hidden"])
    for old, new in zip(leaves(initial.weights.params["head"]), leaves(state.weights.params["head"]), strict=True):
        assert not np.array_equal(old, new)


def test_bfloat16_arithmetic_stays_close_and_weights_stay_float32(trained):
    values = {"optimizer.learning_rate": 0.01}
    _, exact = trained(values, 4 * STEPS)
    _, rough = trained({**values, "training.precision": "bfloat16"}, 4 * STEPS)
    assert all(leaf.dtype == np.float32 for leaf in leaves(rough.weights))
    assert float(rough.sums.loss) == pytest.approx(float(exact.sums.loss), rel=0.02)
    assert float(rough.sums.loss) != float(exact.sums.loss)


def test_the_schedule_sees_the_progress_of_the_whole_run(trained):
    _, state = trained({"schedule.final": 0.01}, 2 * STEPS, schedule="exponential")
    progress = (2 * STEPS - 1) / (4 * STEPS)
    assert float(state.sums.learning_rate) == pytest.approx(1e-3 * 0.01**progress, rel=1e-5)


def test_the_best_weights_are_kept_and_the_sums_start_again(make_config, trained):
    static, traced = make_config(SMALL, dataset="iris").split()
    program, numbers = Program(static, SPEC, EXAMPLES), as_arrays(traced)
    initial, state = trained()
    better = program.end_epoch(numbers, state, np.float32(1.0), np.bool_(True))
    assert_equal(better.best, state.weights)
    assert leaves(better.sums) == [0, 0, 0]
    worse = program.end_epoch(numbers, state, np.float32(1.0), np.bool_(False))
    assert_equal(worse.best, initial.weights)
    assert_equal(worse.weights, state.weights)


def test_running_statistics_are_learnt_in_training_alone(make_config, trained, part):
    values = {"model.normalization": "batch"}
    initial, state = trained(values)
    assert not np.array_equal(leaves(initial.weights.statistics)[0], leaves(state.weights.statistics)[0])
    static, traced = make_config(SMALL | values, dataset="iris").split()
    model = Program(static, SPEC, EXAMPLES).model(as_arrays(traced), state)
    model({"inputs": jnp.asarray(part["inputs"])})
    assert_equal(split(model)[3], state.weights.statistics)


def test_evaluation_counts_what_the_mask_shows_and_nothing_else(make_config, trained, part):
    static, traced = make_config(SMALL, dataset="iris").split()
    program, numbers = Program(static, SPEC, EXAMPLES), as_arrays(traced)
    _, state = trained()
    chunk = {name: np.asarray(values)[:20].reshape(2, 10, *values.shape[1:]) for name, values in part.items()}
    mask = np.ones((2, 10), np.float32)
    mask[1, 7:] = 0
    wrong = chunk["inputs"].copy()
    wrong[1, 7:] = 1e3
    evaluate = compiled(program.evaluate)
    found = evaluate(numbers, state, {**chunk, "mask": mask})
    same = evaluate(numbers, state, {**chunk, "inputs": wrong, "mask": mask})
    assert float(found.sums["nnrun/count"]) == 17
    assert float(same.sums["nnrun/loss"]) == float(found.sums["nnrun/loss"])
    outputs = compiled(program.outputs)(numbers, state, {**chunk, "mask": mask})
    logits = np.asarray(outputs.prediction)[:17]
    losses = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), part["targets"][:17, None], 1)
    assert float(found.sums["nnrun/loss"]) == pytest.approx(losses.sum(), rel=1e-6)


def test_weights_have_dotted_names(trained):
    initial, _ = trained()
    assert weight_names(initial.weights.params) == [
        "head.bias",
        "head.kernel",
        "hidden.dense.0.bias",
        "hidden.dense.0.kernel",
    ]
