import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.autoencoder import Autoencoder, AutoencoderConfig, Corruption, Sparsity
from nnrun.models.base import OutputSpec
from nnrun.models.blocks.codec import double, halvings
from nnrun.models.vae import VAE, VAEConfig

QUICK = {"xla_backend_optimization_level": "0"}
BUILDERS = {AutoencoderConfig: Autoencoder, VAEConfig: VAE}


def build(config, shape=(7,)):
    spec = DataSpec("image" if len(shape) == 3 else "table", shape, None, "reconstruction")
    return BUILDERS[type(config)](config, spec, OutputSpec(shape), rngs=nnx.Rngs(0))


def small(**keys):
    return AutoencoderConfig(hidden_sizes=(4,), latent_size=2, **keys)


def outputs_of(config, batch, seed=None):
    """Outputs op by op, which compiles little where all tests share their sizes; a seed means training."""
    return build(config, batch["inputs"].shape[1:])(batch, None if seed is None else nnx.Rngs(seed))[0]


def batch_of(shape, n=6, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)
    return {"inputs": x, "mask": np.ones(n, np.float32), "index": np.arange(n, dtype=np.int32)}


def in_double(model):
    graph, state = nnx.split(model)
    return nnx.merge(graph, jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state))


def test_dense_parity_with_numpy():
    with jax.enable_x64(True):
        config = AutoencoderConfig(hidden_sizes=(6, 5), latent_size=3, activation="tanh")
        model = nnx.jit(lambda: in_double(build(config)))()
        x = np.random.default_rng(1).normal(size=(4, 7))
        outputs, _ = nnx.jit(lambda model, x: model({"inputs": x}))(model, x)
        h = x
        encoder, decoder = model.encoder, model.decoder
        for dense in (*encoder.hidden.dense, None, *decoder.hidden.dense):
            if dense is None:
                h = code = h @ np.asarray(encoder.code.kernel[...]) + np.asarray(encoder.code.bias[...])
            else:
                h = np.tanh(h @ np.asarray(dense.kernel[...]) + np.asarray(dense.bias[...]))
        expected = h @ np.asarray(decoder.head.kernel[...]) + np.asarray(decoder.head.bias[...])
        assert outputs.prediction.dtype == jnp.float64
        np.testing.assert_allclose(outputs.latent, code, rtol=1e-12)
        np.testing.assert_allclose(outputs.prediction, expected, rtol=1e-12)


def test_decoder_mirrors_the_encoder():
    model = nnx.eval_shape(lambda: build(AutoencoderConfig(hidden_sizes=(6, 5), latent_size=3)))
    sizes = [layer.kernel.shape for layer in (*model.encoder.hidden.dense, model.encoder.code)]
    mirror = [layer.kernel.shape for layer in (*model.decoder.hidden.dense, model.decoder.head)]
    assert sizes == [(7, 6), (6, 5), (5, 3)]
    assert mirror == [(o, i) for i, o in reversed(sizes)]


def test_no_hidden_layer_is_linear():
    one, two = batch_of((7,), seed=1)["inputs"], batch_of((7,), seed=2)["inputs"]
    config = AutoencoderConfig(hidden_sizes=(), latent_size=2)
    predictions = outputs_of(config, {"inputs": np.concatenate([one + two, one, two, 0 * one])}).prediction
    both, first, second, origin = np.split(predictions, 4)
    np.testing.assert_allclose(both, first + second - origin, atol=1e-5)


@pytest.mark.parametrize("config", [AutoencoderConfig, VAEConfig])
@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 5, 3), (9, 2, 1), (5, 12, 2)])
def test_convolutional_shapes(config, shape):
    config = config(encoder="convolutional", filters=(4, 6), latent_size=3)
    outputs = jax.eval_shape(lambda batch: build(config, shape)(batch)[0], batch_of(shape))
    assert outputs.prediction.shape == (6, *shape)
    assert outputs.latent.shape == (6, 3)


@pytest.mark.parametrize("shape", [(12,), (6, 2)])
def test_dense_shapes(shape):
    outputs = jax.eval_shape(lambda batch: build(AutoencoderConfig(), shape)(batch)[0], batch_of(shape))
    assert outputs.prediction.shape == (6, *shape)


def test_halvings():
    assert halvings((28, 28, 1), 3) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert halvings((7, 1, 1), 3) == [(7, 1), (4, 1), (2, 1), (1, 1)]


def test_double_is_kronecker():
    x = np.arange(6.0).reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(double(jnp.asarray(x))[0, :, :, 0], np.kron(x[0, :, :, 0], np.ones((2, 2))))


@pytest.mark.parametrize("config", [
    AutoencoderConfig(hidden_sizes=(6,), activation="tanh"),
    AutoencoderConfig(encoder="convolutional", filters=(4, 4), activation="tanh"),
    AutoencoderConfig(hidden_sizes=(6,), activation="tanh", sparsity=0.1, sparsity_kind="kl", input_noise=0.2),
    VAEConfig(hidden_sizes=(6,), activation="tanh"),
])  # fmt: skip
def test_gradient_reaches_every_weight(config):
    batch = batch_of((6, 6, 1))

    def gradient():
        graph, params, rest = nnx.split(build(config, (6, 6, 1)), nnx.Param, ...)

        def objective(params):
            outputs, _ = nnx.merge(graph, params, rest)(batch, nnx.Rngs(0))
            parts = (*outputs.terms.values(), *outputs.penalties.values())
            return jnp.mean((outputs.prediction - batch["inputs"]) ** 2) + sum(part.mean() for part in parts)

        return nnx.as_pure(jax.grad(objective)(params))

    for leaf in jax.tree.leaves(jax.jit(gradient, compiler_options=QUICK)()):
        assert bool(jnp.isfinite(leaf).all())
        assert float(jnp.abs(leaf).max()) > 0


def test_gaussian_noise_has_its_deviation():
    x = jnp.full((4, 20_000), 3.0)
    difference = np.asarray(Corruption("gaussian", 0.4)(jax.random.key(0), x) - x, np.float64)
    assert abs(difference.mean()) < 5 * 0.4 / np.sqrt(difference.size)
    assert difference.std() == pytest.approx(0.4, rel=0.01)


def test_masking_sets_its_share_to_zero():
    seen = np.asarray(Corruption("masking", 0.3)(jax.random.key(0), jnp.full((4, 20_000), 3.0)))
    assert set(np.unique(seen)) == {0.0, 3.0}
    assert (seen == 0).mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("kind", ["gaussian", "masking"])
def test_evaluation_noise_belongs_to_the_example(kind):
    config, batch, some = small(input_noise=0.5, noise_kind=kind), batch_of((7,)), np.array([4, 1])
    seen = outputs_of(config, batch).seen
    assert not np.allclose(seen, batch["inputs"])
    picked = outputs_of(config, {name: values[some] for name, values in batch.items()})
    np.testing.assert_array_equal(picked.seen, seen[some])


def test_evaluation_noise_differs_between_examples():
    noise = np.asarray(Corruption("gaussian", 1.0).fixed(jnp.arange(1000), jnp.zeros((1000, 20))))
    assert len(np.unique(noise)) > 19_900


def test_noise_only_where_asked():
    batch = batch_of((7,))
    noisy, quiet = small(input_noise=0.5), small(input_noise=0.5, noise_at_evaluation=False)

    def seen(config, batch, training=False):
        return jax.eval_shape(lambda: build(config)(batch, nnx.Rngs(0) if training else None)[0]).seen

    assert seen(noisy, batch) is not None
    assert seen(noisy, {"inputs": batch["inputs"]}) is None
    assert seen(small(), batch, training=True) is None
    assert seen(quiet, batch) is None
    assert seen(quiet, batch, training=True) is not None


def test_fresh_noise_while_training():
    config, batch = small(input_noise=0.5), batch_of((7,))
    assert not np.allclose(outputs_of(config, batch, seed=0).seen, outputs_of(config, batch, seed=1).seen)


def test_the_network_sees_the_noisy_inputs():
    config = small(input_noise=0.5)
    outputs = outputs_of(config, batch_of((7,)))
    clean = outputs_of(config, {"inputs": outputs.seen})
    np.testing.assert_allclose(outputs.prediction, clean.prediction, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["l1", "relu"])
def test_the_size_of_the_code_is_counted_with_the_weights_of_the_decoder(kind):
    code, norms = jnp.array([[1.0, -2.0], [0.5, 0.0]]), jnp.array([1.0, 3.0])
    np.testing.assert_allclose(Sparsity(kind, 0.1, 0.05)(code, norms), [0.7, 0.05], rtol=1e-6)


@pytest.mark.parametrize("config", [small(), AutoencoderConfig(hidden_sizes=(), latent_size=2)])
def test_a_small_code_with_large_weights_costs_the_same(config):
    model = build(config)
    x = batch_of((7,))["inputs"]
    code, norms = model.encoder(x), model.decoder.code_norms()
    first = (*model.decoder.hidden.dense, model.decoder.head)[0]
    first.kernel[...] = 10 * first.kernel[...]
    penalty = Sparsity("l1", 1.0, 0.05)
    np.testing.assert_allclose(penalty(code / 10, model.decoder.code_norms()), penalty(code, norms), rtol=1e-5)
    np.testing.assert_allclose(norms, np.linalg.norm(np.asarray(first.kernel[...]) / 10, axis=1), rtol=1e-5)


def test_the_convolutional_decoder_knows_its_norms():
    decoder = build(AutoencoderConfig(encoder="convolutional", filters=(2,), latent_size=3), (4, 4, 1)).decoder
    expected = np.linalg.norm(np.asarray(decoder.expand.kernel[...]), axis=1)
    np.testing.assert_allclose(decoder.code_norms(), expected, rtol=1e-6)


def test_a_sparse_code_is_never_negative():
    batch = batch_of((7,))
    plain, sparse = outputs_of(small(), batch), outputs_of(small(sparsity=1.0), batch)
    np.testing.assert_array_equal(sparse.latent, np.maximum(plain.latent, 0))
    assert (np.asarray(plain.latent) < 0).any()


def test_kl_penalty_and_gradient_by_hand():
    rng = np.random.default_rng(0)
    code, mask, rho = rng.uniform(0.05, 0.95, (5, 3)), np.array([1, 1, 1, 1, 0]), 0.1
    mean = code[:4].mean(0)
    expected = 0.7 * sum(rho * np.log(rho / m) + (1 - rho) * np.log((1 - rho) / (1 - m)) for m in mean)
    slope = 0.7 * (-rho / mean + (1 - rho) / (1 - mean)) / 4 * mask[:, None]
    with jax.enable_x64(True):
        penalty = Sparsity("kl", 0.7, rho)
        np.testing.assert_allclose(
            penalty(jnp.asarray(code), jnp.ones(3), jnp.asarray(mask)), np.full(5, expected), rtol=1e-12
        )
        gradient = jax.grad(lambda c: penalty(c, jnp.ones(3), jnp.asarray(mask)).mean())(jnp.asarray(code))
        np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_kl_code_is_sigmoid_units():
    batch = batch_of((7,))
    plain = outputs_of(small(), batch)
    sparse = outputs_of(small(sparsity=1.0, sparsity_kind="kl"), batch)
    assert plain.penalties == {}
    np.testing.assert_allclose(sparse.latent, jax.nn.sigmoid(plain.latent), rtol=1e-5)
    assert sparse.penalties["sparsity"].shape == (6,)


def test_sigmoid_output_keeps_its_logits():
    batch = batch_of((7,))
    linear = outputs_of(small(), batch)
    squashed = outputs_of(small(output_activation="sigmoid"), batch)
    assert linear.logits is None
    np.testing.assert_allclose(squashed.logits, linear.prediction, rtol=1e-5)
    np.testing.assert_allclose(squashed.prediction, jax.nn.sigmoid(linear.prediction), rtol=1e-5)


def test_traced_numbers_under_vmap_equal_single_runs():
    batch = batch_of((7,))

    def outputs(noise, weight, dropout):
        config = small(input_noise=noise, sparsity=weight, dropout=dropout, sparsity_kind="kl")
        found = build(config)(batch, nnx.Rngs(3))[0]
        return found.prediction, found.penalties["sparsity"], found.seen

    numbers = [(0.1, 0.5, 0.2), (0.4, 0.1, 0.5)]
    together = jax.jit(jax.vmap(outputs), compiler_options=QUICK)(
        *(jnp.asarray(column) for column in zip(*numbers, strict=True))
    )
    for member, values in enumerate(numbers):
        for grouped, single in zip(together, outputs(*values), strict=True):
            np.testing.assert_allclose(grouped[member], single, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: build(AutoencoderConfig(encoder="convolutional", filters=(2, 2, 2, 2)), (8, 8, 1)),
            "model.filters must have at most 3 entries for images of 8x8, because every block halves the image, "
            "but got 4. Leave some out.",
        ),
        (
            lambda: build(AutoencoderConfig(encoder="convolutional")),
            "model.encoder=convolutional needs images, but the data set is a table. Set model.encoder=dense.",
        ),
        (
            lambda: Autoencoder(
                AutoencoderConfig(), DataSpec("table", (7,), (), "regression"), OutputSpec((3,)), rngs=nnx.Rngs(0)
            ),
            "An autoencoder rebuilds its inputs of shape (7,), but the task wants (3,). Set task=reconstruction.",
        ),
        (
            lambda: AutoencoderConfig(noise_kind="masking", input_noise=1.5),
            "model.input_noise must be < 1 with model.noise_kind=masking, where it is the share of masked inputs, "
            "but got 1.5. Set for example model.input_noise=0.3.",
        ),
    ],
)
def test_error_texts(make, text):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == text


HELP = {
    "autoencoder": (
        "inputs x (batch, ...) -> code h (batch, latent_size) -> prediction x̂ (batch, ...) of the inputs' shape.",
        "h_i = φ(h_{i-1} W_i + b_i) over `hidden_sizes`, h = h_L W + b",
        "Source: Goodfellow, Bengio & Courville, Deep Learning (2016), chapter 14.",
    ),
    "vae": (
        "z = μ + σ ε with ε ~ N(0, I) while training",
        "inputs x (batch, ...) -> μ, log σ² and z (batch, latent_size) -> prediction x̂ (batch, ...) of the",
        "Sources: Kingma & Welling, Auto-Encoding Variational Bayes (2014)",
    ),
}


@pytest.mark.parametrize("name", HELP)
def test_help_has_formula_shapes_and_source(nnrun, name):
    said = nnrun(f"model={name}", "--help").out
    assert [part for part in HELP[name] if part not in said] == []
