"""What training.trainable leaves out: it keeps its weights and its running statistics, and has no optimizer's state."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.config.run_config import as_arrays
from nnrun.datasets.base import DataSpec
from nnrun.folders import weights_file
from nnrun.tasks.base import ArrayScaling
from nnrun.training.frozen import EVERY, Frozen
from nnrun.training.network import weight_names
from nnrun.training.program import Program
from nnrun.training.state import Fitted

EXAMPLES, BATCH, STEPS = 22, 11, 2
SPEC = DataSpec("table", (4,), (), "classification", classes=3)
FITTED = Fitted(ArrayScaling(jnp.zeros(4), jnp.ones(4)), None)
QUICK = {"xla_backend_optimization_level": "0"}
BOTH = ("hidden.norm.0.norm", "hidden.norm.1.norm")


@pytest.fixture(scope="module")
def part():
    rng = np.random.default_rng(0)
    inputs = rng.normal(1.0, 2.0, (EXAMPLES, 4)).astype(np.float32)
    return {"inputs": inputs, "targets": rng.integers(0, 3, EXAMPLES).astype(np.int32)}


@pytest.fixture(scope="module")
def make(make_config, part):
    """A normalized perceptron by what is trainable: program, numbers, and states at first, after a step, an epoch."""

    @cache
    def made(*trainable, optimizer="adam"):
        values = {"model.hidden_sizes": [5, 4], "model.normalization": "batch", "training.trainable": list(trainable)}
        values |= {"training.batch_size": BATCH, "training.gradient_clip": 0.5, "optimizer.learning_rate": 0.1}
        static, traced = make_config(values, dataset="iris", optimizer=optimizer).split()
        program, numbers = Program(static, SPEC, EXAMPLES), as_arrays(traced)
        first = jax.jit(program.init, compiler_options=QUICK)(numbers, FITTED)
        steps = jax.jit(program.steps, compiler_options=QUICK)
        states = [first, steps(numbers, first, part, np.int32(1))]
        states.append(steps(numbers, states[-1], part, np.int32(STEPS - 1)))
        return program, numbers, *states

    return made


def changed(first, last):
    """Names of the arrays of two states' weights that differ."""
    pairs = zip(weight_names(first), jax.tree.leaves(first), jax.tree.leaves(last), strict=True)
    return {name.partition(".")[2] for name, one, other in pairs if not np.array_equal(one, other)}


@pytest.mark.parametrize("optimizer", ["adam", "lamb", "adagrad"])
def test_frozen_is_all_that_is_not_named(make, optimizer):
    _, _, first, _, last = make("head*", "hidden.dense.1*", optimizer=optimizer)
    assert changed(first.weights, last.weights) == {"head.bias", "head.kernel", "hidden.dense.1.kernel"}


def test_a_normalization_of_which_a_weight_learns_keeps_learning_its_statistics(make):
    _, _, first, _, last = make("head*", "hidden.norm.1.norm.bias")
    learnt = {f"{BOTH[1]}.{name}" for name in ("bias", "mean", "var")}
    assert changed(first.weights, last.weights) == {"head.bias", "head.kernel"} | learnt


def test_a_frozen_normalization_uses_its_statistics(make, part):
    """The loss of a training step is that of evaluation, where the whole batch normalizes nothing."""
    program, numbers, first, one, _ = make("head*")
    order = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 1), 0), EXAMPLES)[:BATCH]
    batch = {name: values[np.asarray(order)][None] for name, values in part.items()}
    evaluate = jax.jit(program.evaluate, compiler_options=QUICK)
    found = evaluate(numbers, first, {**batch, "mask": np.ones((1, BATCH), np.float32)})
    assert float(one.sums.loss) == pytest.approx(float(found.sums["nnrun/loss"]), rel=1e-5)
    assert float(one.sums.loss) != pytest.approx(float(make("*")[3].sums.loss), rel=1e-2)


def test_only_what_learns_has_a_state_of_the_optimizer(make):
    some, every = make("head*")[-1].optimizer, make("*")[-1].optimizer
    assert weight_names(some) == ["1.count", *(f"1.{m}.head.{k}" for m in ("mu", "nu") for k in ("bias", "kernel"))]
    assert set(weight_names(some)) < set(weight_names(every))


def test_a_checkpoint_with_states_of_frozen_weights_is_refused_by_a_sentence(make, tmp_path):
    some, every = make("head*")[-1], make("*")[-1]
    weights_file.write(tmp_path / "old", every)
    with pytest.raises(ValueError, match=r"was written by another version of nnrun: it holds optimizer\.1\.mu\.hidden"):
        weights_file.read(tmp_path / "old", some, exactly=True)


def test_a_module_without_weights_is_as_frozen_as_what_it_is_part_of():
    names = ["trunk.conv.kernel", "trunk.norm.scale", "head.kernel"]
    frozen = Frozen(names, ("head*", "trunk.conv*"))
    paths = ("trunk.norm", "trunk.norm.inner", "trunk", "trunk.other", "head", "", "elsewhere")
    assert [frozen(path) for path in paths] == [True, True, False, False, False, False, False]
    assert not Frozen(names, EVERY)("trunk")
