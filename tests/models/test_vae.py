import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec
from nnrun.models.vae import VAE, VAEConfig, gaussian_kl


def build(shape=(6,), **keys):
    spec = DataSpec("table", shape, None, "reconstruction")
    config = VAEConfig(hidden_sizes=(5,), latent_size=3, **keys)
    return VAE(config, spec, OutputSpec(shape), rngs=nnx.Rngs(0))


def call(model, batch, seed=None):
    return model(batch, None if seed is None else nnx.Rngs(seed))[0]


def inputs(n=4):
    return {"inputs": jnp.asarray(np.random.default_rng(0).normal(size=(n, 6)), jnp.float32)}


def test_kl_formula_and_gradient():
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 5, 3))
    by_hand = [
        sum(0.5 * (m * m + np.exp(v) - 1 - v) for m, v in zip(*pair, strict=True))
        for pair in zip(mean, log_variance, strict=True)
    ]
    with jax.enable_x64(True):
        np.testing.assert_allclose(gaussian_kl(jnp.asarray(mean), jnp.asarray(log_variance)), by_hand, rtol=1e-12)
        gradient = jax.grad(lambda *a: gaussian_kl(*a).sum(), (0, 1))(jnp.asarray(mean), jnp.asarray(log_variance))
        np.testing.assert_allclose(gradient[0], mean, rtol=1e-12)
        np.testing.assert_allclose(gradient[1], 0.5 * (np.exp(log_variance) - 1), rtol=1e-12)


def test_kl_is_the_integral_it_claims_to_be():
    z = np.linspace(-12, 12, 200_001)
    q = np.exp(-0.5 * (z - 0.7) ** 2 / 0.3) / np.sqrt(2 * np.pi * 0.3)
    prior = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    integral = np.trapezoid(np.where(q > 0, q * np.log(np.maximum(q, 1e-300) / prior), 0), z)
    assert float(gaussian_kl(jnp.asarray([0.7]), jnp.log(jnp.asarray([0.3])))) == pytest.approx(integral, rel=1e-5)


def test_term_is_weighted_and_per_element():
    batch = inputs()
    model = build(beta=0.5)
    mean, log_variance = np.split(np.asarray(model.encoder(batch["inputs"]), np.float64), 2, axis=-1)
    outputs = call(model, batch)
    expected = 0.5 * 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(-1) / 6
    np.testing.assert_allclose(outputs.terms["kl"], expected, rtol=1e-5)
    np.testing.assert_allclose(outputs.latent, mean, rtol=1e-6)


def test_loss_and_kl_are_the_negative_elbo_per_element():
    from nnrun.tasks.reconstruction import Reconstruction, ReconstructionConfig

    x = (inputs()["inputs"] > 0).astype(jnp.float32)
    outputs = call(build(output_activation="sigmoid"), {"inputs": x})
    task = Reconstruction(ReconstructionConfig("binary_cross_entropy"), DataSpec("table", (6,), None, "reconstruction"))
    found = task.loss(outputs, {"inputs": x}) + outputs.terms["kl"]
    p, t = np.asarray(outputs.prediction, np.float64), np.asarray(x)
    log_likelihood = (t * np.log(p) + (1 - t) * np.log(1 - p)).sum(-1)
    elbo = log_likelihood - 6 * np.asarray(outputs.terms["kl"])
    np.testing.assert_allclose(found, -elbo / 6, rtol=1e-5)


def test_mean_code_at_evaluation_and_fresh_noise_while_training():
    model, batch = build(), inputs()
    np.testing.assert_allclose(
        call(model, batch).prediction, model.decoder(call(model, batch).latent), rtol=1e-5, atol=1e-6
    )
    trained = [np.asarray(call(model, batch, seed).prediction) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(trained[0], trained[1])
    assert not np.allclose(trained[0], trained[2])


def test_reparametrisation_has_the_encoders_moments():
    model, n = build(), 20_000
    x = jnp.broadcast_to(inputs()["inputs"][:1], (n, 6))
    mean, log_variance = np.split(np.asarray(model.encoder(x[:1]), np.float64)[0], 2)
    model.decoder = lambda code, rngs=None: code
    codes = np.asarray(model({"inputs": x}, nnx.Rngs(0))[0].prediction, np.float64)
    np.testing.assert_allclose(codes.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(codes.std(0), np.exp(0.5 * log_variance), rtol=0.03)


@pytest.mark.parametrize("activation", ["linear", "sigmoid"])
def test_samples(activation):
    model = build(output_activation=activation)
    samples = model.sample(jax.random.key(1), 9)
    assert samples.shape == (9, 6)
    np.testing.assert_array_equal(samples, model.sample(jax.random.key(1), 9))
    decoded = model.decoder(jax.random.normal(jax.random.key(1), (9, 3)))
    expected = jax.nn.sigmoid(decoded) if activation == "sigmoid" else decoded
    np.testing.assert_allclose(samples, expected, rtol=1e-6)


def test_beta_under_vmap_equals_single_runs():
    batch = inputs()

    def kl(beta):
        return build(beta=beta)(batch)[0].terms["kl"]

    together = jax.vmap(kl)(jnp.asarray([0.5, 2.0]))
    for member, beta in enumerate((0.5, 2.0)):
        np.testing.assert_allclose(together[member], kl(beta), rtol=1e-5)
