"""Losses against NumPy in float64, and against PyTorch; gradients too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnrun.tasks import losses

RNG = np.random.default_rng(7)
PREDICTION, TARGET = RNG.normal(size=(5, 3)) * 2, RNG.normal(size=(5, 3))
LOGITS, LABELS, WEIGHTS = RNG.normal(size=(6, 4)) * 3, np.array([0, 3, 1, 2, 2, 0]), np.array([0.5, 1.0, 2.0, 0.25])
MARKS = np.array([[0.0, 1.0, 0.3]] * 5)


def numpy_huber(prediction, target, delta):
    r = np.abs(prediction - target)
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))


def numpy_cross_entropy(logits, labels, smoothing=0.0, weights=None):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    classes = logits.shape[-1]
    q = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    return -(q * log_p * (np.ones(classes) if weights is None else weights)).sum(-1)


def numpy_bce(z, y):
    p = 1 / (1 + np.exp(-z))
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


CASES = {
    "mse": (losses.mse, (PREDICTION, TARGET), lambda p, t: (p - t) ** 2),
    "mae": (losses.mae, (PREDICTION, TARGET), lambda p, t: np.abs(p - t)),
    "huber": (losses.huber, (PREDICTION, TARGET, 0.7), numpy_huber),
    "cross_entropy": (losses.cross_entropy, (LOGITS, LABELS), numpy_cross_entropy),
    "smoothed": (losses.cross_entropy, (LOGITS, LABELS, 0.1), numpy_cross_entropy),
    "weighted": (losses.cross_entropy, (LOGITS, LABELS, 0.1, WEIGHTS), numpy_cross_entropy),
    "binary_cross_entropy": (losses.binary_cross_entropy, (PREDICTION, MARKS), numpy_bce),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_exact_in_float64(name):
    ours, (first, *rest), formula = CASES[name]
    with jax.enable_x64(True):
        found = jax.jit(ours)(jnp.asarray(first), *map(jnp.asarray, rest))
        slope = jax.jit(jax.grad(lambda x, *others: ours(x, *others).sum()))(
            jnp.asarray(first), *map(jnp.asarray, rest)
        )
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, formula(first, *rest), rtol=1e-12)
    nudge = np.zeros_like(first)
    nudge[1, 2] = 1e-6
    numeric = (formula(first + nudge, *rest).sum() - formula(first - nudge, *rest).sum()) / 2e-6
    np.testing.assert_allclose(slope[1, 2], numeric, rtol=1e-6)


def test_values_and_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    theirs = {
        "mse": lambda p, t: functional.mse_loss(p, t, reduction="none"),
        "mae": lambda p, t: functional.l1_loss(p, t, reduction="none"),
        "huber": lambda p, t, d: functional.huber_loss(p, t, reduction="none", delta=d.item()),
        "cross_entropy": lambda z, y: functional.cross_entropy(z, y, reduction="none"),
        "smoothed": lambda z, y, e: functional.cross_entropy(z, y, reduction="none", label_smoothing=e.item()),
        "weighted": lambda z, y, e, w: functional.cross_entropy(
            z, y, weight=w, reduction="none", label_smoothing=e.item()
        ),
        "binary_cross_entropy": lambda z, y: functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
    }
    with jax.enable_x64(True):
        for name, (ours, (first, *rest), _) in CASES.items():
            x = torch.tensor(first, requires_grad=True)
            reference = theirs[name](x, *map(torch.as_tensor, map(np.asarray, rest)))
            reference.sum().backward()
            value, pull = jax.vjp(lambda z, ours=ours, rest=rest: ours(z, *map(jnp.asarray, rest)), jnp.asarray(first))
            np.testing.assert_allclose(value, reference.detach().numpy(), rtol=1e-12, err_msg=name)
            np.testing.assert_allclose(pull(jnp.ones_like(value))[0], x.grad.numpy(), rtol=1e-10, err_msg=name)


def test_logits_of_any_size_neither_overflow_nor_lose_their_gradient():
    z = jnp.float32([-1e4, 0.0, 1e4])
    np.testing.assert_allclose(losses.binary_cross_entropy(z, jnp.float32([0, 0.5, 0])), [0, np.log(2), 1e4], rtol=1e-6)
    slope = jax.grad(lambda z: losses.binary_cross_entropy(z, jnp.float32([0, 0.25, 0])).sum())(z)
    np.testing.assert_allclose(slope, [0, 0.25, 1], atol=1e-7)
    pair = jnp.float32([[1e4, -1e4], [0, 0]])
    np.testing.assert_allclose(losses.cross_entropy(pair, jnp.int32([1, 0])), [2e4, np.log(2)], rtol=1e-6)


def test_a_perfect_prediction_has_no_gradient():
    for loss in (losses.mse, losses.mae, losses.huber):
        assert jax.grad(loss)(jnp.float32(0.5), jnp.float32(0.5)) == 0


def test_low_precision_is_widened():
    low, full = jnp.bfloat16([[1.0, 2.0]]), jnp.float32([[0.0, 1.0]])
    for loss in (losses.mse, losses.mae, losses.huber, losses.binary_cross_entropy):
        assert loss(low, full).dtype == jnp.float32
    assert losses.cross_entropy(low, jnp.int32([1])).dtype == jnp.float32


def test_smoothing_and_delta_may_be_traced_and_mapped():
    smoothed = jax.jit(jax.vmap(lambda e: losses.cross_entropy(jnp.float32(LOGITS), LABELS, e)))(jnp.float32([0, 0.1]))
    np.testing.assert_allclose(smoothed[0], numpy_cross_entropy(LOGITS, LABELS), rtol=1e-5)
    np.testing.assert_allclose(smoothed[1], numpy_cross_entropy(LOGITS, LABELS, 0.1), rtol=1e-5)


def test_means_count_valid_steps_alone():
    targets = jnp.zeros((3, 4, 2))
    elements = jnp.broadcast_to(jnp.arange(4.0)[:, None], (3, 4, 2))
    found = losses.per_example(elements, losses.valid_steps(targets, jnp.int32([4, 2, 0])))
    np.testing.assert_allclose(found, [1.5, 0.5, 0.0])
    np.testing.assert_allclose(losses.per_example(elements, losses.valid_steps(targets, None)), 1.5)
    scalar = losses.valid_steps(jnp.zeros(3), None)
    np.testing.assert_allclose(losses.per_example(jnp.float32([1, 2, 3]), scalar), [1, 2, 3])
