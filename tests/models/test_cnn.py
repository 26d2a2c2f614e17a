import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published import filled

from nnrun.datasets.base import DataSpec
from nnrun.errors import ConfigError
from nnrun.models.base import OutputSpec
from nnrun.models.cnn import CNN, CNNConfig
from nnrun.schema import build

TABLE = {"_target_": "nnrun.models.cnn.CNN"}


def spec(shape):
    return DataSpec("image" if len(shape) == 3 else "series", shape, (), "classification", 3)


def network(shape=(6, 6, 1), seed=0, **keys):
    keys = {"filters": (4, 5), "dense_sizes": (7,)} | keys
    return CNN(CNNConfig(**keys), spec(shape), OutputSpec((3,)), rngs=nnx.Rngs(seed))


def torch_twin(torch, model, axes, space):
    """The same network of torch.nn, with the flattened features in its order of channels first."""
    layers = torch.nn
    conv, pool = (layers.Conv1d, layers.MaxPool1d) if axes == 1 else (layers.Conv2d, layers.MaxPool2d)
    parts = []
    for block in model.blocks:
        kernel = np.moveaxis(np.asarray(block.conv.kernel[...]), (-1, -2), (0, 1))
        twin = conv(kernel.shape[1], kernel.shape[0], kernel.shape[2:], padding="same").double()
        twin.weight.data, twin.bias.data = torch.tensor(kernel), torch.tensor(np.asarray(block.conv.bias[...]))
        parts += [twin, layers.ReLU(), pool(2)]
    filters, left = parts[-3].out_channels, [extent // 4 for extent in space]
    for index, linear in enumerate([*model.dense.dense, model.head]):
        weight = np.asarray(linear.kernel[...])
        if index == 0:
            weight = np.moveaxis(weight.reshape(*left, filters, -1), axes, 0).reshape(weight.shape)
        twin = layers.Linear(*weight.shape).double()
        twin.weight.data, twin.bias.data = torch.tensor(weight.T.copy()), torch.tensor(np.asarray(linear.bias[...]))
        parts += [layers.Flatten() if index == 0 else layers.ReLU(), twin]
    return layers.Sequential(*parts)


@pytest.mark.parametrize("shape", [(9, 2), (6, 9, 2)])
def test_whole_network_is_torchs(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(size=(4, *shape)), rng.normal(size=(4, 3))
    with jax.enable_x64(True):
        model = filled(lambda: network(shape))
        graph, weights = nnx.split(model)

        def loss(weights, x):
            return (nnx.merge(graph, weights)({"inputs": x})[0].prediction * cotangent).sum()

        gradients, gradient_x = jax.jit(jax.grad(loss, (0, 1)))(weights, jnp.asarray(x))
        prediction = jax.jit(lambda w, x: nnx.merge(graph, w)({"inputs": x})[0].prediction)(weights, jnp.asarray(x))
        twin = torch_twin(torch, model, len(shape) - 1, shape[:-1])
    there = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    answer = twin(there)
    (answer * torch.tensor(cotangent)).sum().backward()
    np.testing.assert_allclose(prediction, answer.detach(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.moveaxis(np.asarray(gradient_x), -1, 1), there.grad, rtol=1e-8, atol=1e-12)
    kernel = np.moveaxis(np.asarray(gradients["blocks"][0]["conv"]["kernel"][...]), (-1, -2), (0, 1))
    np.testing.assert_allclose(kernel, twin[0].weight.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "keys",
    [
        {"pooling": "average", "head": "global_average"},
        {"pooling": "none", "stride": 2, "padding": "valid"},
        {"kernel_size": (3, 1), "stride": (2, 1), "padding": 1, "normalization": "layer"},
        {"dense_sizes": (), "activation": "tanh", "normalization": "batch"},
    ],
)
@pytest.mark.parametrize("shape", [(11, 2), (11, 9, 3)])
def test_variants_answer_in_the_shape_of_the_task(shape, keys):
    model = nnx.eval_shape(lambda: network(shape, **keys))
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    prediction = nnx.eval_shape(lambda m, x: m({"inputs": x}, rngs=nnx.Rngs(0))[0].prediction, model, x)
    assert prediction.shape == (2, 3)
    assert all(block.conv.bias is None for block in model.blocks) == ("normalization" in keys)


def test_running_statistics_move_only_in_training():
    @jax.jit
    def means(x):
        model = network(normalization="batch")
        running = model.blocks[0].norm.norm.mean
        model({"inputs": x})
        before = running[...]
        model({"inputs": x}, rngs=nnx.Rngs(0))
        return before, running[...], model.blocks[0].conv(x).mean((0, 1, 2))

    x = jnp.asarray(np.random.default_rng(0).normal(2, 1, (8, 6, 6, 1)), jnp.float32)
    evaluated, trained, batch = means(x)
    np.testing.assert_array_equal(evaluated, 0)
    np.testing.assert_allclose(trained, 0.1 * batch, rtol=1e-4, atol=1e-6)


def test_dropout_acts_in_training_alone_with_a_traced_rate():
    x = {"inputs": jnp.ones((2, 6, 6, 1))}

    @jax.jit
    def answers(rate):
        model = network(filters=(4,), dense_sizes=(), dropout=rate)
        return model(x)[0].prediction, model(x, rngs=nnx.Rngs(1))[0].prediction

    without, kept = answers(jnp.float32(0.0))
    plain, dropped = answers(jnp.float32(0.5))
    np.testing.assert_allclose(kept, without, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(plain, without)
    assert np.abs(plain - dropped).max() > 1e-3


def test_feature_maps_follow_the_blocks():
    maps = jax.eval_shape(lambda: network().feature_maps(jnp.ones((1, 6, 6, 1))))
    assert [m.shape for m in maps] == [(1, 3, 3, 4), (1, 1, 1, 5)]
    assert jax.eval_shape(lambda: network().first_kernel()).shape == (3, 3, 1, 4)


@pytest.mark.parametrize(
    ("shape", "keys", "text"),
    [
        (
            (3, 3, 1),
            {},
            "The pooling of a block must fit into its input, but that of block 2 of model.filters is 2 wide and finds "
            "1x1 pixels. Set model.pooling=none or leave entries of model.filters out.",
        ),
        (
            (7, 1),
            {"padding": "valid", "kernel_size": 5},
            "The kernel of a block must fit into its input, but that of block 2 of model.filters is 5 wide and finds "
            "1 steps. Set model.padding=same or leave entries of model.filters out.",
        ),
        (
            (8, 1),
            {"kernel_size": (3, 3, 3)},
            "model.kernel_size must be one number or a list with one per block of model.filters (2), but got 3. "
            "Set for example model.kernel_size=3.",
        ),
        (
            (8, 1),
            {"filters": ()},
            "model.filters must have at least one entry, but got []. Set for example model.filters=[32].",
        ),
    ],
)
def test_what_does_not_fit_is_said(shape, keys, text):
    with pytest.raises(ConfigError) as error:
        network(shape, **keys)
    assert str(error.value) == text


def test_an_answer_per_step_is_refused():
    with pytest.raises(ConfigError) as error:
        CNN(CNNConfig(), spec((8, 1)), OutputSpec((1,), per_step=True), rngs=nnx.Rngs(0))
    assert str(error.value) == (
        "model=cnn answers once per example, but the task wants an answer at every time step. "
        "Set for example model=lstm."
    )


def test_values_from_the_command_line():
    assert build("model", TABLE | {"padding": 2, "kernel_size": [5, 3]}).kernel_size == (5, 3)
    with pytest.raises(ConfigError, match=r"model.padding must be >= 0, but got -1"):
        build("model", TABLE | {"padding": -1})
    with pytest.raises(ConfigError, match=r"model.padding must be one of same, valid or an integer, but got full"):
        build("model", TABLE | {"padding": "full"})
