"""What the tests of the published networks share: random weights without a compiled init, and torch's side."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nnrun.datasets.base import DataSpec
from nnrun.models.base import OutputSpec


def filled(make):
    """The module that `make` builds, in float64 with random values (positive ones for vectors, as variances need)."""
    rng = np.random.default_rng(3)
    graph, state = nnx.split(nnx.eval_shape(make))

    def draw(leaf):
        values = rng.uniform(0.2, 1.0, leaf.shape)
        return jnp.asarray(values if len(leaf.shape) < 2 else values * rng.choice([-1, 1], leaf.shape))

    return nnx.merge(graph, jax.tree.map(draw, state))


def abstract(model, config, shape, classes=1000):
    """(number of parameters, shape of the prediction in training), without allocating anything."""
    data = DataSpec("image" if len(shape) == 3 else "series", shape, (), "classification", classes)
    net = nnx.eval_shape(lambda: model(config, data, OutputSpec((classes,)), rngs=nnx.Rngs(0)))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    prediction = nnx.eval_shape(lambda m, x: m({"inputs": x}, rngs=nnx.Rngs(0))[0].prediction, net, x)
    return count, prediction.shape


def conv_norm(torch, layer, x, stride=1, padding=0, relu=True, eps=1e-5):
    """The layer's convolution and batch normalization (in training) by torch on (batch, channels, *space)."""
    kernel = np.moveaxis(np.asarray(layer.conv.kernel[...]), (-1, -2), (0, 1)).copy()
    scale, bias = (torch.tensor(np.asarray(v[...])) for v in (layer.norm.scale, layer.norm.bias))
    convolve = torch.nn.functional.conv2d if x.ndim == 4 else torch.nn.functional.conv1d
    x = convolve(x, torch.tensor(kernel), stride=stride, padding=padding)
    x = torch.nn.functional.batch_norm(x, None, None, scale, bias, training=True, eps=eps)
    return torch.relu(x) if relu else x


def assert_same(torch, module, forward, shape, rtol=1e-8):
    """`module(x, rngs)` and its gradient are those of `forward(torch, x)`; call with 64 bits enabled."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=shape)
    there = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    answer = forward(torch, there)
    cotangent = rng.normal(size=np.moveaxis(answer.detach().numpy(), 1, -1).shape)
    (answer * torch.tensor(np.moveaxis(cotangent, -1, 1).copy())).sum().backward()
    graph, state = nnx.split(module)
    state = nnx.as_pure(state)

    def here(state, x, cotangent):
        y, back = jax.vjp(lambda x: nnx.merge(graph, state)(x, nnx.Rngs(0)), x)
        return y, back(cotangent)[0]

    quick = {"xla_backend_optimization_level": "0"}
    y, gradient = jax.jit(here, compiler_options=quick)(state, x, cotangent)
    np.testing.assert_allclose(np.moveaxis(np.asarray(y), -1, 1), answer.detach(), rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(np.moveaxis(np.asarray(gradient), -1, 1), there.grad, rtol=rtol, atol=1e-8)
