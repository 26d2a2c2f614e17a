import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, PartitionSpec

from nnrun.models.blocks.convolution import Conv, convolve, framework_convolution, product_convolution
from nnrun.models.kernels import patches, winograd
from nnrun.models.kernels.pooling import average_pool, global_average, max_pool
from nnrun.models.kernels.windows import pads, positions
from nnrun.models.kernels.winograd import suits, winograd_convolution

CASES = [  # space, kernel, stride, padding
    ((7,), (3,), (1,), "same"),
    ((8,), (4,), (3,), "same"),
    ((9,), (2,), (2,), "valid"),
    ((5, 6), (3, 3), (1, 1), "same"),
    ((7, 5), (3, 3), (2, 2), "same"),
    ((6, 7), (2, 4), (1, 2), "same"),
    ((7, 6), (3, 2), (2, 1), "valid"),
    ((5, 5), (5, 5), (1, 1), 1),
    ((6, 5), (1, 3), (1, 1), (0, 1)),
    ((5, 4), (1, 1), (2, 2), 0),
]


def windows(x, extents, stride, amounts, fill=0.0):
    """Plain loops: {position: (batch, *window, channels)} of padded x."""
    padded = np.pad(x, ((0, 0), *amounts, (0, 0)), constant_values=fill)
    counts = [(n - w) // s + 1 for n, w, s in zip(padded.shape[1:-1], extents, stride, strict=True)]
    for place in itertools.product(*map(range, counts)):
        cut = [slice(p * s, p * s + w) for p, s, w in zip(place, stride, extents, strict=True)]
        yield counts, place, padded[(slice(None), *cut)]


def slow(x, extents, stride, amounts, answer, channels, fill=0.0):
    result = None
    for counts, place, seen in windows(x, extents, stride, amounts, fill):
        if result is None:
            result = np.empty((len(x), *counts, channels))
        result[(slice(None), *place)] = answer(seen)
    return result


def slow_convolution(x, kernel, stride, amounts):
    def answer(seen):
        return seen.reshape(len(seen), -1) @ kernel.reshape(-1, kernel.shape[-1])

    return slow(x, kernel.shape[:-2], stride, amounts, answer, kernel.shape[-1])


@pytest.mark.parametrize(("space", "extents", "stride", "padding"), CASES)
def test_convolution_is_the_plain_loop_with_its_gradients(monkeypatch, space, extents, stride, padding):
    amounts = pads(padding, space, extents, stride)

    def forms():
        whole, by_example = patches.PIECE_BYTES, 0
        for size, function in (
            (whole, product_convolution),
            (by_example, product_convolution),
            (whole, framework_convolution),
        ):
            monkeypatch.setattr(patches, "PIECE_BYTES", size)
            yield lambda x, kernel, function=function: function(x, kernel, stride, amounts)

    assert largest_error(forms, space, extents, stride, amounts) < 1e-9


FILTERED = [  # space, zeros around: tiles that end with the space and those that do not
    ((7,), ((1, 1),)),
    ((4, 6), ((1, 1), (1, 1))),
    ((5, 4), ((0, 0), (1, 1))),
    ((3, 7), ((2, 0), (0, 1))),
    ((1, 2), ((1, 1), (2, 2))),
    ((3, 3), ((0, 0), (0, 0))),
]


@pytest.mark.parametrize(("space", "amounts"), FILTERED)
def test_minimal_filtering_is_the_plain_loop_with_its_gradients(monkeypatch, space, amounts):
    def forms():
        for pieces in (1, 2):
            monkeypatch.setattr(winograd, "fitting_pieces", lambda *_, pieces=pieces: pieces)
            yield lambda x, kernel: winograd_convolution(x, kernel, amounts)

    axes = len(space)
    assert largest_error(forms, space, (3,) * axes, (1,) * axes, amounts) < 1e-9


def largest_error(forms, space, extents, stride, amounts):
    """Of outputs and gradients of all forms against plain loops, relative to the largest value."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, *space, 3)), rng.normal(size=(*extents, 3, 4))
    expected = slow_convolution(x, kernel, stride, amounts)
    cotangent, dx, dk = rng.normal(size=expected.shape), rng.normal(size=x.shape), rng.normal(size=kernel.shape)
    # the convolution is linear in each argument, so its derivative along dx and dk is known exactly
    along_x = (slow_convolution(dx, kernel, stride, amounts) * cotangent).sum()
    along_k = (slow_convolution(x, dk, stride, amounts) * cotangent).sum()

    def both(x, kernel, cotangent):
        for form in forms():
            y, back = jax.vjp(form, x, kernel)
            yield y, *back(cotangent)

    with jax.enable_x64(True):
        answers = jax.jit(lambda *arrays: tuple(both(*arrays)))(x, kernel, cotangent)
    pairs = [
        pair
        for y, gradient_x, gradient_k in jax.tree.map(np.asarray, answers)
        for pair in ((y, expected), ((gradient_x * dx).sum(), along_x), ((gradient_k * dk).sum(), along_k))
    ]
    assert all(np.shape(found) == np.shape(wanted) for found, wanted in pairs)
    return max(np.abs(found - wanted).max() / np.abs(wanted).max() for found, wanted in pairs)


@pytest.mark.parametrize(("space", "pool"), [((7,), (2,)), ((9,), (3,)), ((6, 5), (2, 2)), ((5, 7), (3, 2))])
@pytest.mark.parametrize("form", ["patches", "minimal filtering", "framework"])
def test_pooled_in_pieces_is_pooled_as_a_whole_with_its_gradients(monkeypatch, form, space, pool):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(4, *space, 3)).round(1)  # so that some are equal
    kernel = rng.integers(-1, 2, size=(*(3,) * len(space), 3, 4)) * 0.5
    amounts, stride = ((1, 1),) * len(space), (1,) * len(space)
    function = framework_convolution if form == "framework" else product_convolution
    monkeypatch.setattr(patches, "PIECE_BYTES", 0)
    monkeypatch.setitem(winograd.LEAST_CHANNELS, len(space), 1 if form == "minimal filtering" else 99)
    monkeypatch.setattr(winograd, "fitting_pieces", lambda *_: 2)

    def at_once(x, kernel):
        return function(x, kernel, stride, amounts, pool)

    def afterwards(x, kernel):
        return max_pool(function(x, kernel, stride, amounts), pool)

    def both(x, kernel):
        for way in (at_once, afterwards):
            y, back = jax.vjp(way, x, kernel)
            yield y, *back(jnp.sin(y))

    with jax.enable_x64(True):
        first, second = jax.jit(lambda *arrays: tuple(both(*arrays)))(x, kernel)
    for found, wanted in zip(first, second, strict=True):
        assert np.abs(wanted).max() > 0.1
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("backend", "native"), [("cpu", False), ("gpu", True)])
def test_device_decides_how_a_convolution_is_computed(monkeypatch, backend, native):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    shapes = jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32), jax.ShapeDtypeStruct((3, 3, 2, 1), jnp.float32)
    program = jax.make_jaxpr(lambda x, k: convolve(x, k, (1, 1), ((1, 1), (1, 1))))(*shapes)
    assert ("conv_general_dilated" in str(program)) == native


POOLS = [  # space, window, stride, padding
    ((7,), 2, None, 0),
    ((8,), 3, 2, 1),
    ((4, 6), 2, None, 0),
    ((7, 5), 3, None, 0),
    ((7, 8), 3, 2, 1),
    ((6, 5), (3, 2), (1, 2), 0),
    ((5, 5), 3, 1, 1),
]


@pytest.mark.parametrize(("space", "window", "stride", "padding"), POOLS)
@pytest.mark.parametrize(("pool", "answer", "fill"), [(max_pool, np.max, -np.inf), (average_pool, np.mean, 0.0)])
def test_pooling_is_the_plain_loop_with_its_gradient(space, window, stride, padding, pool, answer, fill):
    axes = len(space)
    extents = (window,) * axes if isinstance(window, int) else window
    steps = extents if stride is None else (stride,) * axes if isinstance(stride, int) else stride
    amounts, inner = ((padding, padding),) * axes, tuple(range(1, axes + 1))
    rng = np.random.default_rng(1)
    x = rng.permutation(2 * np.prod(space) * 3).reshape(2, *space, 3) / 10.0  # no two alike
    dx = rng.normal(size=x.shape)

    def by_hand(x):
        return slow(x, extents, steps, amounts, lambda seen: answer(seen, axis=inner), 3, fill)

    expected = by_hand(x)
    slope = (by_hand(x + 1e-6 * dx) - by_hand(x - 1e-6 * dx)) / 2e-6
    cotangent = rng.normal(size=expected.shape)

    def value_and_gradient(x, cotangent):
        y, back = jax.vjp(lambda x: pool(x, window, stride, padding), x)
        return y, back(cotangent)[0]

    with jax.enable_x64(True):
        y, gradient = map(np.asarray, jax.jit(value_and_gradient)(x, cotangent))
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose((gradient * dx).sum(), (slope * cotangent).sum(), rtol=1e-6)


@pytest.mark.parametrize(("stride", "expected"), [(2, [1, 0, 1, 0, 0]), (1, [1, 1, 1, 1, 0])])
def test_the_first_of_equal_largest_values_gets_the_gradient(stride, expected):
    gradient = jax.grad(lambda x: max_pool(x, 2, stride).sum())(jnp.ones((1, 5, 1)))
    assert gradient.ravel().tolist() == expected


@pytest.mark.parametrize("least_channels", [winograd.LEAST_CHANNELS[2], 1])
@pytest.mark.parametrize("piece_bytes", [patches.PIECE_BYTES, 0])
def test_batched_trials_are_the_single_ones(monkeypatch, piece_bytes, least_channels):
    monkeypatch.setitem(winograd.LEAST_CHANNELS, 2, least_channels)
    for module in (patches, winograd):
        monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(size=(3, 2, 6, 5, 2)), jnp.float32)
    kernels = jnp.asarray(rng.normal(size=(3, 3, 3, 2, 4)), jnp.float32)

    def loss(x, kernel):
        return (max_pool(convolve(x, kernel, (1, 1), ((1, 1), (1, 1))), 2) ** 2).sum()

    grad = jax.value_and_grad(loss, 1)
    one = jax.jit(grad)
    mapped = jax.jit(lambda *arrays: jax.lax.map(lambda trial: grad(*trial), arrays))(x, kernels)
    vmapped = jax.jit(jax.vmap(grad))(x, kernels)
    for trial in range(3):
        value, gradient = one(x[trial], kernels[trial])
        for together in (mapped, vmapped):
            np.testing.assert_allclose(together[0][trial], value, rtol=1e-5)
            np.testing.assert_allclose(together[1][trial], gradient, rtol=1e-4, atol=1e-4)


def test_patches_of_a_large_batch_are_never_all_in_memory():
    x, kernel = jax.ShapeDtypeStruct((64, 28, 28, 8), jnp.float32), jax.ShapeDtypeStruct((3, 3, 8, 4), jnp.float32)

    def loss(x, kernel):
        return jnp.sum(jnp.sin(product_convolution(x, kernel, (1, 1), ((1, 1), (1, 1)))))

    program = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, kernel))
    assert "f32[8,28,28,72]" in program
    assert "f32[64,28,28,72]" not in program


def test_large_kernels_take_the_whole_batch_at_once():
    x, kernel = jax.ShapeDtypeStruct((64, 8, 8, 128), jnp.float32), jax.ShapeDtypeStruct((3, 3, 128, 256), jnp.float32)
    program = jax.make_jaxpr(lambda x, k: product_convolution(x, k, (2, 2), ((1, 1), (1, 1))))(x, kernel)
    assert "f32[64,4,4,1152]" in str(program)


def test_many_tiles_of_minimal_filtering_are_never_all_in_memory():
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((64, 32, 32, 64), (3, 3, 64, 64)))

    def loss(x, kernel):
        return jnp.sum(jnp.sin(product_convolution(x, kernel, (1, 1), ((1, 1), (1, 1)))))

    program = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(x, kernel))
    assert f"f32[{64 // 8 * 256},64]" in program
    assert f"f32[{64 * 256},64]" not in program


def test_pieces_are_smaller_where_every_core_has_a_trial_of_its_own():
    x, kernel, trial = jnp.zeros((2, 64, 14, 14, 32)), jnp.zeros((2, 3, 3, 32, 64)), PartitionSpec("trial")

    def alone(x, kernel):
        return product_convolution(x[0], kernel[0], (1, 1), ((1, 1), (1, 1)))[None]

    mesh = jax.make_mesh((2,), ("trial",), axis_types=(AxisType.Auto,))
    grouped = jax.shard_map(alone, mesh=mesh, in_specs=trial, out_specs=trial, check_vma=False)
    shapes = {f"f32[{rows},32]": [] for rows in (3136, 392)}
    for function in (alone, grouped):
        program = str(jax.make_jaxpr(function)(x, kernel))
        for shape, found in shapes.items():
            found.append(shape in program)
    assert list(shapes.values()) == [[True, False], [False, True]]


SUITED = ((14, 14, 32), (3, 3, 32, 64), (1, 1), 1, jnp.float32)


@pytest.mark.parametrize(
    ("space", "kernel", "stride", "padding", "dtype", "expected"),
    [
        (*SUITED, True),
        ((14, 32), (3, 32, 64), (1,), 1, jnp.float32, False),
        ((28, 64), (3, 64, 128), (1,), 1, jnp.float32, True),
        (*SUITED[:4], jnp.bfloat16, False),
        (*SUITED[:2], (2, 2), *SUITED[3:], False),
        (*SUITED[:3], 3, jnp.float32, False),
        ((14, 14, 16), (3, 3, 16, 64), *SUITED[2:], False),
        ((14, 14, 32), (5, 5, 32, 64), *SUITED[2:], False),
        ((14, 14, 32), (3, 1, 32, 64), *SUITED[2:], False),
        ((4, 4, 512), (3, 3, 512, 512), *SUITED[2:], False),
        ((8, 8, 256), (3, 3, 256, 256), *SUITED[2:], True),
    ],
)
@pytest.mark.parametrize("batch", [1, 64])
def test_minimal_filtering_is_chosen_by_the_shapes_of_an_example(
    batch, space, kernel, stride, padding, dtype, expected
):
    amounts = ((padding, padding),) * (len(space) - 1)
    x, weights = jax.ShapeDtypeStruct((batch, *space), dtype), jax.ShapeDtypeStruct(kernel, dtype)
    assert suits(x, weights, stride, amounts) == expected


def test_kernel_gradients_of_many_pieces_are_summed_in_single_precision(monkeypatch):
    monkeypatch.setattr(patches, "PIECE_BYTES", 0)
    x, kernel = jnp.ones((300, 4, 1), jnp.bfloat16), jnp.ones((3, 1, 1), jnp.bfloat16)
    gradient = jax.grad(lambda k: product_convolution(x, k, (1,), ((1, 1),)).astype(jnp.float32).sum())(kernel)
    assert gradient.dtype == jnp.bfloat16
    # In steps of bfloat16 a sum of ones ends at 256.
    assert gradient.ravel().tolist() == [900, 1200, 900]


def test_layer_adds_its_bias_and_keeps_the_type():
    layer = Conv(2, 3, 3, axes=1, rngs=nnx.Rngs(0))
    assert layer.kernel.shape == (3, 2, 3)
    layer.bias[...] = jnp.arange(3.0)
    graph, state = nnx.split(layer)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), state)
    y = nnx.merge(graph, half)(jnp.zeros((1, 4, 2), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.tile(np.arange(3), (1, 4, 1)))
    assert Conv(2, 3, (1, 7), bias=False, rngs=nnx.Rngs(0)).bias is None


@pytest.mark.parametrize(("space", "extents", "stride", "padding"), CASES)
def test_positions_are_those_of_the_convolution(space, extents, stride, padding):
    amounts = pads(padding, space, extents, stride)
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, *space, 3), (*extents, 3, 4)))
    y = jax.eval_shape(lambda x, k: framework_convolution(x, k, stride, amounts), *shapes)
    assert y.shape[1:-1] == positions(space, extents, stride, padding)


def test_positions_never_fall_below_zero():
    assert positions((2,), 5) == (0,)
    assert positions((28, 27), 3, 2, "same") == (14, 14)


def test_global_average():
    x = np.arange(24.0).reshape(2, 2, 3, 2)
    np.testing.assert_allclose(global_average(jnp.asarray(x, jnp.float32)), x.mean((1, 2)))
